"""What a certificate, its key and its chain say, read with a real X.509 parser; and whether they belong together.

Source: AWS Certificate Manager User Guide, "Prerequisites for importing ACM certificates".
"""

from itertools import pairwise
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeport.shapes import acm as shapes

_CURVES = {"secp256r1": "EC_prime256v1", "secp384r1": "EC_secp384r1", "secp521r1": "EC_secp521r1"}
_RSA_SIZES = (1024, 2048, 3072, 4096)
_USAGES = {
    "digital_signature": "DIGITAL_SIGNATURE", "content_commitment": "NON_REPUDIATION",
    "key_encipherment": "KEY_ENCIPHERMENT", "data_encipherment": "DATA_ENCIPHERMENT", "key_agreement": "KEY_AGREEMENT",
    "key_cert_sign": "CERTIFICATE_SIGNING", "crl_sign": "CRL_SIGNING",
}  # fmt: skip
_EXTENDED = {
    ExtendedKeyUsageOID.SERVER_AUTH: "TLS_WEB_SERVER_AUTHENTICATION",
    ExtendedKeyUsageOID.CLIENT_AUTH: "TLS_WEB_CLIENT_AUTHENTICATION",
    ExtendedKeyUsageOID.CODE_SIGNING: "CODE_SIGNING",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "EMAIL_PROTECTION",
    ExtendedKeyUsageOID.TIME_STAMPING: "TIME_STAMPING",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP_SIGNING",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "ANY",
}


class Facts(NamedTuple):
    """One certificate's content. Instants in epoch seconds; `names` are its DNS names, the subject's own first."""

    pem: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    serial: str
    issuer: str
    subject: str
    key_algorithm: str
    signature_algorithm: str
    usages: tuple[str, ...]
    extended_usages: tuple[tuple[str, str], ...]


class Imported(NamedTuple):
    """A certificate that may be kept: its facts, its key and chain as PEM texts."""

    facts: Facts
    key_pem: str
    chain_pem: str


def read_import(certificate: bytes, key: bytes, chain: bytes | None) -> Imported:
    """Everything checked; raises ValidationException with the reason."""
    found = _certificates(certificate, "certificate")
    if len(found) != 1:
        raise shapes.ValidationException(
            "The certificate field contains more than one certificate. You can specify only one certificate in this field."
        )
    facts = _facts(found[0])
    private = _private_key(key)
    if _public_pem(private.public_key()) != _public_pem(found[0].public_key()):
        raise shapes.ValidationException("The private key does not match the certificate.")
    issuers = _certificates(chain, "certificate chain") if chain else []
    _check_chain([found[0], *issuers])
    key_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Imported(facts, key_pem.decode(), "".join(_pem(issuer) for issuer in issuers))


def read_facts(pem: str) -> Facts:
    """The facts of a certificate that was imported."""
    return _facts(_certificates(pem.encode(), "certificate")[0])


def _certificates(text: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise shapes.ValidationException(f"The {what} is not valid PEM.") from None


def _private_key(text: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError:
        raise shapes.ValidationException("The private key is encrypted; it must be unencrypted.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise shapes.ValidationException("The private key is not valid PEM.") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise shapes.ValidationException("The private key's algorithm is not supported.")
    return key


def _check_chain(certificates: list[x509.Certificate]) -> None:
    """Each certificate must be issued by the next one."""
    for child, issuer in pairwise(certificates):
        try:
            child.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise shapes.ValidationException("Could not validate the certificate with the certificate chain.") from None


def _facts(certificate: x509.Certificate) -> Facts:
    serial = f"{certificate.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    return Facts(
        pem=_pem(certificate),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        serial=":".join(serial[at : at + 2] for at in range(0, len(serial), 2)),
        issuer=_common_name(certificate.issuer) or certificate.issuer.rfc4514_string(),
        subject=certificate.subject.rfc4514_string(),
        key_algorithm=_key_algorithm(certificate),
        signature_algorithm=_signature_algorithm(certificate),
        usages=_usages(certificate),
        extended_usages=_extended_usages(certificate),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The common name, if it is one of the alternative names or there are none, then the alternative names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    common = _common_name(certificate.subject)
    return tuple(dict.fromkeys(((common,) if common and (not names or common in names) else ()) + names))


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _key_algorithm(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_SIZES:
        return f"RSA_{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise shapes.ValidationException("The certificate's key algorithm is not supported.")


def _signature_algorithm(certificate: x509.Certificate) -> str:
    digest = certificate.signature_hash_algorithm
    kind = "ECDSA" if "ecdsa" in certificate.signature_algorithm_oid._name.lower() else "RSA"  # noqa: SLF001 - its only name
    return f"{digest.name.upper().replace('-', '') if digest else ''}WITH{kind}"


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ("ANY",)
    return tuple(name for member, name in _USAGES.items() if getattr(usage, member))


def _extended_usages(certificate: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """Names and object identifiers."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return (("NONE", ""),)
    return tuple((_EXTENDED.get(oid, "CUSTOM"), oid.dotted_string) for oid in usages)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _public_pem(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
