"""Imported certificates, and listeners that use them."""

import datetime as dt
from functools import cache

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.api.test_elbv2 import a_balancer, a_group, a_listener, error_of, only
from tests.builders import a_region

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def region():
    made = a_region()
    yield made
    made.close()


@pytest.fixture
def acm(region):
    return region.client("acm")


@cache
def a_key(kind):
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def pem_of(item):
    if isinstance(item, x509.Certificate):
        return item.public_bytes(serialization.Encoding.PEM)
    encoding = serialization.Encoding.PEM
    return item.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def a_certificate(*names, key="rsa", issuer=None, start=-DAY, end=DAY, ca=False):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer_name, issuer_key = issuer or (subject, a_key(key))
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer_name)
        .public_key(a_key(key).public_key())
        .serial_number(0x0ABCDE)
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def imported(acm, *names, key="rsa", **more):
    made = a_certificate(*names, key=key)
    return acm.import_certificate(Certificate=pem_of(made), PrivateKey=pem_of(a_key(key)), **more)["CertificateArn"]


def test_certificate_when_imported_then_described_from_itself(acm):
    arn = imported(acm, "www.example.com", "*.example.com", Tags=[{"Key": "a", "Value": "1"}])
    found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert arn.startswith("arn:aws:acm:us-east-1:123456789012:certificate/")
    assert {
        "DomainName": "www.example.com",
        "SubjectAlternativeNames": ["www.example.com", "*.example.com"],
        "Serial": "0a:bc:de",
        "Subject": "CN=www.example.com",
        "Issuer": "www.example.com",
        "Status": "ISSUED",
        "Type": "IMPORTED",
        "KeyAlgorithm": "RSA_2048",
        "SignatureAlgorithm": "SHA256WITHRSA",
        "InUseBy": [],
        "RenewalEligibility": "INELIGIBLE",
    }.items() <= found.items()
    assert found["ExtendedKeyUsages"] == [{"Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1"}]
    assert abs((found["NotAfter"] - NOW - DAY).total_seconds()) < 2
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_certificate_when_imported_then_its_key_is_only_kept_sealed(acm, region):
    imported(acm, "www.example.com")
    row = only(list(region.world.store.read.certificates))
    assert "PRIVATE" not in repr(row)
    assert region.world.sealer.open("certificate", row.sealed_key).startswith(b"-----BEGIN PRIVATE KEY-----")


def test_certificate_when_it_has_a_chain_then_checked_and_given_back(acm):
    authority = a_certificate("ca.example.com", key="ec", ca=True)
    leaf = a_certificate("www.example.com", issuer=(authority.subject, a_key("ec")))
    parts = {"Certificate": pem_of(leaf), "PrivateKey": pem_of(a_key("rsa"))}
    arn = acm.import_certificate(**parts, CertificateChain=pem_of(authority))["CertificateArn"]
    found = acm.get_certificate(CertificateArn=arn)
    assert (found["Certificate"], found["CertificateChain"]) == (pem_of(leaf).decode(), pem_of(authority).decode())
    stranger = a_certificate("other.example.com")
    code, message = error_of(acm.import_certificate, **parts, CertificateChain=pem_of(stranger))
    assert (code, message) == ("ValidationException", "Could not validate the certificate with the certificate chain.")


def test_certificate_when_it_may_not_be_then_refused(acm):
    key, good = pem_of(a_key("rsa")), pem_of(a_certificate("a.example.com"))
    encrypted = a_key("rsa").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    for certificate, private in [
        (b"nonsense", key),
        (good, b"nonsense"),
        (good, encrypted),
        (good, pem_of(a_key("ec"))),
        (good + good, key),
        (pem_of(a_certificate("a.example.com", start=-2 * DAY, end=-DAY)), key),
        (pem_of(a_certificate("a.example.com", start=DAY, end=2 * DAY)), key),
    ]:
        code, message = error_of(acm.import_certificate, Certificate=certificate, PrivateKey=private)
        assert code == "ValidationException", message
    assert acm.list_certificates()["CertificateSummaryList"] == []


def test_certificate_when_imported_again_then_same_arn_and_new_content(acm):
    arn = imported(acm, "a.example.com", Tags=[{"Key": "a", "Value": "1"}])
    assert imported(acm, "a.example.com", "b.example.com", CertificateArn=arn) == arn
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["SubjectAlternativeNames"][1] == "b.example.com"
    assert len(acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]) == 1
    with pytest.raises(ClientError, match="key algorithm"):
        imported(acm, "a.example.com", "b.example.com", key="ec", CertificateArn=arn)
    with pytest.raises(ClientError, match="all names"):
        imported(acm, "a.example.com", CertificateArn=arn)


def test_certificates_when_listed_then_filtered_and_paged(acm):
    arns = [imported(acm, f"{letter}.example.com") for letter in "abc"]
    elliptic = imported(acm, "e.example.com", key="ec")
    listed = acm.list_certificates()["CertificateSummaryList"]
    assert [item["CertificateArn"] for item in listed] == arns
    assert (listed[0]["DomainName"], listed[0]["InUse"], listed[0]["Type"]) == ("a.example.com", False, "IMPORTED")
    found = acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    assert only(found)["CertificateArn"] == elliptic
    assert acm.list_certificates(CertificateStatuses=["EXPIRED"])["CertificateSummaryList"] == []
    latest = acm.list_certificates(SortBy="CREATED_AT", SortOrder="DESCENDING", MaxItems=1)
    assert only(latest["CertificateSummaryList"])["CertificateArn"] == arns[-1]
    pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2})
    assert [item["CertificateArn"] for page in pages for item in page["CertificateSummaryList"]] == arns
    assert error_of(acm.list_certificates, NextToken="x")[0] == "ValidationException"


def test_certificate_tags_when_changed_then_so(acm):
    arn = imported(acm, "a.example.com")
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert (
        error_of(acm.add_tags_to_certificate, CertificateArn=arn, Tags=[{"Key": "aws:x"}])[0] == "InvalidTagException"
    )


def test_certificate_when_gone_or_no_certificate_then_not_found(acm):
    arn = imported(acm, "a.example.com")
    acm.delete_certificate(CertificateArn=arn)
    for call in (acm.describe_certificate, acm.get_certificate, acm.delete_certificate, acm.list_tags_for_certificate):
        assert error_of(call, CertificateArn=arn)[0] == "ResourceNotFoundException"
    assert error_of(acm.describe_certificate, CertificateArn="arn:aws:acm:us-east-1:123456789012:x")[0] in (
        "InvalidArnException",
        "ValidationException",
    )


def test_secure_listener_when_created_then_has_its_certificates(acm, region):
    elb = region.client("elbv2")
    first, second, third = (imported(acm, f"{letter}.example.com") for letter in "abc")
    balancer = a_balancer(region)
    made = a_listener(
        region, balancer, a_group(region), Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": first}]
    )
    arn = made["ListenerArn"]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08" and made["Certificates"] == [{"CertificateArn": first}]
    assert made["MutualAuthentication"] == {"Mode": "off"}
    added = elb.add_listener_certificates(
        ListenerArn=arn, Certificates=[{"CertificateArn": n} for n in (second, third)]
    )
    assert added["Certificates"] == [{"CertificateArn": n, "IsDefault": False} for n in (second, third)]
    listed = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert {item["CertificateArn"]: item["IsDefault"] for item in listed} == {first: True, second: False, third: False}
    assert only(elb.describe_listeners(ListenerArns=[arn])["Listeners"])["Certificates"] == [{"CertificateArn": first}]
    described = acm.describe_certificate(CertificateArn=second)["Certificate"]
    assert described["InUseBy"] == [balancer["LoadBalancerArn"]]
    assert error_of(acm.delete_certificate, CertificateArn=second)[0] == "ResourceInUseException"
    elb.remove_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": second}])
    acm.delete_certificate(CertificateArn=second)
    default = [{"CertificateArn": first}]
    assert (
        error_of(elb.remove_listener_certificates, ListenerArn=arn, Certificates=default)[0] == "OperationNotPermitted"
    )
    changed = elb.modify_listener(
        ListenerArn=arn, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06", Certificates=[{"CertificateArn": third}]
    )
    assert only(changed["Listeners"])["Certificates"] == [{"CertificateArn": third}]
    assert only(elb.describe_listener_certificates(ListenerArn=arn)["Certificates"])["IsDefault"] is True
    plain = only(elb.modify_listener(ListenerArn=arn, Protocol="HTTP")["Listeners"])
    assert "Certificates" not in plain and "SslPolicy" not in plain


def test_secure_listener_when_certificate_or_policy_is_unknown_then_refused(acm, region):
    elb = region.client("elbv2")
    good = [{"CertificateArn": imported(acm, "a.example.com")}]
    wanted = {
        "LoadBalancerArn": a_balancer(region)["LoadBalancerArn"],
        "Protocol": "HTTPS",
        "Port": 443,
        "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    }
    unknown = [{"CertificateArn": good[0]["CertificateArn"][:-1] + "x"}]
    assert error_of(elb.create_listener, **wanted, Certificates=unknown)[0] == "CertificateNotFound"
    assert error_of(elb.create_listener, **wanted, Certificates=good * 2)[0] == "TooManyCertificates"
    assert error_of(elb.create_listener, **wanted, Certificates=good, SslPolicy="x")[0] == "SSLPolicyNotFound"
    wanted |= {"Certificates": good}
    assert error_of(elb.create_listener, **wanted, AlpnPolicy=["HTTP9"])[0] == "ALPNPolicyNotFound"
    assert error_of(elb.create_listener, **wanted, AlpnPolicy=["HTTP2Only"])[0] == "InvalidConfigurationRequest"
