"""Certificates that are imported: kept with their key sealed, described from the certificate itself.

Certificates that ACM would issue or renew need a public authority and are not served.
"""

import base64
import binascii
from collections.abc import Iterable

from msgspec.structs import replace

from homeport.api.acm.find import find_certificate, users_of
from homeport.api.acm.pem import Imported, read_facts, read_import
from homeport.api.acm.tags import checked_tags
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import Certificate
from homeport.shapes import acm as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

#: What keys are sealed for; the data plane's driver opens them with the same word.
KEY_PURPOSE = "certificate"
_MOST_CERTIFICATES = 2500
_MOST_NAMES_SHOWN = 100
_DEFAULT_PAGE = 1000
#: ListCertificates gives only these unless `Includes.keyTypes` asks for others. Source: API reference of Filters.
_DEFAULT_KEY_TYPES = ("RSA_1024", "RSA_2048")


@operation(shapes.SERVICE, "ImportCertificate")
def import_certificate(
    ctx: Context, tx: Tx, request: shapes.ImportCertificateRequest
) -> shapes.ImportCertificateResponse:
    """A new certificate, or with an ARN a new version of one that listeners go on using."""
    imported = read_import(request.certificate, request.private_key, request.certificate_chain)
    if imported.facts.not_after <= tx.now:
        raise shapes.ValidationException("The certificate has expired.")
    if imported.facts.not_before > tx.now:
        raise shapes.ValidationException("The certificate is not valid yet.")
    if request.certificate_arn is None:
        row = _new(ctx, tx, imported, checked_tags(request.tags))
    else:
        if request.tags:
            raise shapes.InvalidParameterException("Tags cannot be specified when a certificate is reimported.")
        row = _again(ctx, tx, request.certificate_arn, imported)
    tx.certificates.put(row)
    return shapes.ImportCertificateResponse(certificate_arn=row.arn)


def _new(ctx: Context, tx: Tx, imported: Imported, tags: dict[str, str]) -> Certificate:
    if len(tx.certificates) >= _MOST_CERTIFICATES:
        raise shapes.LimitExceededException(f"You have reached your limit of {_MOST_CERTIFICATES} certificates.")
    facts = imported.facts
    return Certificate(
        arn=f"arn:aws:acm:{ctx.arns.region}:{ctx.arns.account_id}:certificate/{tx.ids.uuid()}",
        certificate_pem=facts.pem,
        chain_pem=imported.chain_pem,
        sealed_key=ctx.world.sealer.seal(KEY_PURPOSE, imported.key_pem.encode()),
        domain_name=facts.names[0] if facts.names else "",
        names=facts.names,
        not_before=facts.not_before,
        not_after=facts.not_after,
        created_at=tx.now,
        serial=facts.serial,
        issuer=facts.issuer,
        subject=facts.subject,
        key_algorithm=facts.key_algorithm,
        tags=tags,
    )


def _again(ctx: Context, tx: Tx, arn: str, imported: Imported) -> Certificate:
    """The same row with another certificate; AWS keeps the key's algorithm and every name that was there."""
    before = find_certificate(tx, arn)
    if before.key_algorithm != imported.facts.key_algorithm:
        raise shapes.ValidationException(
            "The key algorithm of the certificate to be imported must be that of the existing one."
        )
    if not set(before.names) <= set(imported.facts.names):
        raise shapes.ValidationException("The certificate to be imported must have all names of the existing one.")
    return replace(_new(ctx, tx, imported, before.tags), arn=before.arn)


@operation(shapes.SERVICE, "DescribeCertificate")
def describe_certificate(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.DescribeCertificateRequest,
) -> shapes.DescribeCertificateResponse:
    row = find_certificate(tx, request.certificate_arn)
    return shapes.DescribeCertificateResponse(certificate=_detail(tx, row, tx.now))


def _detail(tx: Tables, row: Certificate, now: float) -> shapes.CertificateDetail:
    facts = read_facts(row.certificate_pem)
    return shapes.CertificateDetail(
        certificate_arn=row.arn,
        domain_name=row.domain_name or None,
        subject_alternative_names=row.names[:_MOST_NAMES_SHOWN] or None,
        serial=row.serial,
        subject=row.subject,
        issuer=row.issuer,
        created_at=row.created_at,
        imported_at=row.created_at,
        status=_status(row, now),
        not_before=row.not_before,
        not_after=row.not_after,
        key_algorithm=row.key_algorithm,  # type: ignore[arg-type]  # rows keep the model's own words
        signature_algorithm=facts.signature_algorithm,
        in_use_by=users_of(tx, row.arn),
        type="IMPORTED",
        key_usages=tuple(shapes.KeyUsage(name=name) for name in facts.usages),  # type: ignore[arg-type]
        extended_key_usages=tuple(
            shapes.ExtendedKeyUsage(name=name, oid=oid or None)  # type: ignore[arg-type]
            for name, oid in facts.extended_usages
        ),
        renewal_eligibility="INELIGIBLE",
        options=shapes.CertificateOptions(certificate_transparency_logging_preference="DISABLED"),
    )


def _status(row: Certificate, now: float) -> shapes.CertificateStatus:
    return "EXPIRED" if row.not_after <= now else "ISSUED"


@operation(shapes.SERVICE, "GetCertificate")
def get_certificate(
    ctx: Context,  # noqa: ARG001
    tx: Tables,
    request: shapes.GetCertificateRequest,
) -> shapes.GetCertificateResponse:
    row = find_certificate(tx, request.certificate_arn)
    return shapes.GetCertificateResponse(certificate=row.certificate_pem, certificate_chain=row.chain_pem or None)


@operation(shapes.SERVICE, "DeleteCertificate")
def delete_certificate(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.DeleteCertificateRequest,
) -> shapes.DeleteCertificateResponse:
    row = find_certificate(tx, request.certificate_arn)
    if users_of(tx, row.arn):
        raise shapes.ResourceInUseException(f"Certificate {row.arn} is in use.")
    tx.certificates.delete(row.arn)
    return shapes.DeleteCertificateResponse()


@operation(shapes.SERVICE, "ListCertificates")
def list_certificates(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.ListCertificatesRequest,
) -> shapes.ListCertificatesResponse:
    if (request.sort_by is None) != (request.sort_order is None):
        raise shapes.ValidationException("SortBy and SortOrder must be specified together.")
    wanted = request.includes or shapes.Filters()
    rows = [row for row in tx.certificates if _is_wanted(row, request, wanted, tx.now)]
    if request.sort_order == "DESCENDING":
        rows.reverse()  # rows are in the order of their import
    start = _read_token(request.next_token)
    end = start + (request.max_items or _DEFAULT_PAGE)
    shown = tuple(_summary(tx, row, tx.now) for row in rows[start:end])
    token = base64.b64encode(f"h1:{end}".encode()).decode() if end < len(rows) else None
    return shapes.ListCertificatesResponse(certificate_summary_list=shown, next_token=token)


def _is_wanted(row: Certificate, request: shapes.ListCertificatesRequest, wanted: shapes.Filters, now: float) -> bool:
    if request.certificate_statuses and _status(row, now) not in request.certificate_statuses:
        return False
    if request.certificate_key_pair_origins and "CUSTOMER_PROVIDED" not in request.certificate_key_pair_origins:
        return False
    if wanted.managed_by or wanted.export_option == "ENABLED":
        return False
    if row.key_algorithm not in (wanted.key_types or _DEFAULT_KEY_TYPES):
        return False
    if not (wanted.key_usage or wanted.extended_key_usage):
        return True
    facts = read_facts(row.certificate_pem)
    return _overlap(wanted.key_usage, facts.usages) and _overlap(
        wanted.extended_key_usage, [name for name, _ in facts.extended_usages]
    )


def _overlap(wanted: Iterable[str] | None, present: Iterable[str]) -> bool:
    return not wanted or bool(set(wanted) & set(present))


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    try:
        raw = base64.b64decode(token.encode(), validate=True)
        if raw.startswith(b"h1:"):
            return max(0, int(raw[3:]))
    except (ValueError, binascii.Error):
        pass
    raise shapes.ValidationException("The next token is not valid.")


def _summary(tx: Tables, row: Certificate, now: float) -> shapes.CertificateSummary:
    facts = read_facts(row.certificate_pem)
    return shapes.CertificateSummary(
        certificate_arn=row.arn,
        domain_name=row.domain_name or None,
        subject_alternative_name_summaries=row.names[:_MOST_NAMES_SHOWN] or None,
        has_additional_subject_alternative_names=len(row.names) > _MOST_NAMES_SHOWN,
        status=_status(row, now),
        type="IMPORTED",
        key_algorithm=row.key_algorithm,  # type: ignore[arg-type]
        key_usages=facts.usages,  # type: ignore[arg-type]
        extended_key_usages=tuple(name for name, _ in facts.extended_usages),  # type: ignore[misc]
        in_use=bool(users_of(tx, row.arn)),
        renewal_eligibility="INELIGIBLE",
        not_before=row.not_before,
        not_after=row.not_after,
        created_at=row.created_at,
        imported_at=row.created_at,
    )
