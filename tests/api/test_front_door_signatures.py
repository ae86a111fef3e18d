"""Every fault of a signature has its own answer, and botocore's signer is the oracle of a right one."""

import hashlib
from urllib.parse import quote

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from homeport.api import canonical
from homeport.api.request import Request
from homeport.base.session import mint_session
from tests.builders import ENDPOINT, REGION, ROOT_KEY_ID, ROOT_SECRET, a_region, to_request

TARGET = "AmazonEC2ContainerServiceV20141113.ListClusters"
JSON_HEADERS = {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.1"}


@pytest.fixture(scope="module")
def shared():
    made = a_region()
    yield made
    made.close()


def signed(
    *, url=ENDPOINT + "/", method="POST", headers=JSON_HEADERS, body=b"{}", key_id=ROOT_KEY_ID, secret=ROOT_SECRET, token=None,
    service="ecs", region=REGION, signer=auth.SigV4Auth, **options,
):  # fmt: skip
    """A request signed by botocore, now."""
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    signer(Credentials(key_id, secret, token), service, region, **options).add_auth(request)
    return to_request(request.prepare())


def code_of(response) -> str:
    return msgspec.json.decode(response.body).get("__type", "") if response.status != 200 else ""


def changed(request: Request, **headers) -> Request:
    """The request with headers replaced (None: removed), its signature as it was."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in (request.headers | names).items() if value is not None}
    return msgspec.structs.replace(request, headers=kept)


def test_signature_when_right_then_served(shared):
    assert shared.call(signed()).status == 200


def test_signature_when_in_the_url_then_served(shared):
    request = signed(signer=auth.SigV4QueryAuth, expires=60)
    assert "authorization" not in request.headers
    assert shared.call(request).status == 200


@settings(max_examples=60)
@given(
    path=st.lists(st.text(max_size=8), max_size=4),
    query=st.lists(st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=4),
    header=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    body=st.binary(max_size=40),
    presigned=st.booleans(),
)
@example(
    path=["a b", "..", "", "ü"], query=[("a", "+ &="), ("a", "")], header="  two  spaces ", body=b"", presigned=True
)
def test_signature_when_botocore_signs_anything_then_it_verifies(shared, path, query, header, body, presigned):
    url = ENDPOINT + "/" + "/".join(quote(piece, safe="") for piece in path)
    if query:
        url += "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    headers = {"X-Custom": header, "Content-Type": "text/plain"}
    options = {"signer": auth.SigV4QueryAuth, "expires": 60} if presigned else {}
    # (botocore moves the body of a presigned request into its URL)
    request = signed(url=url, headers=headers, body=b"" if presigned else body, **options)
    identity = shared.gateway._signatures.verify(request, "ecs")
    assert identity.access_key_id == ROOT_KEY_ID


@settings(max_examples=60)
@given(data=st.data())
def test_signature_when_anything_signed_is_changed_then_refused(shared, data):
    request = signed(url=ENDPOINT + "/?a=b&c=d")
    what = data.draw(st.sampled_from(["method", "path", "query_string", "body", "host", "x-amz-target", "x-amz-date"]))
    if what in ("host", "x-amz-target", "x-amz-date"):
        value = request.headers[what]
        spot = data.draw(st.integers(0, len(value) - 2))
        request = changed(request, **{what: value[:spot] + chr(ord(value[spot]) ^ 1) + value[spot + 1 :]})
    elif what == "body":
        request = msgspec.structs.replace(request, body=request.body + b" ")
    else:
        request = msgspec.structs.replace(request, **{what: getattr(request, what) + "x"})
    response = shared.call(request)
    assert response.status == 403
    assert code_of(response) in ("InvalidSignatureException", "IncompleteSignatureException")


def test_signature_when_missing_then_missing_authentication_token(shared):
    response = shared.call(changed(signed(), authorization=None))
    assert (response.status, code_of(response)) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=/20261123/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00",
        "AWS4-ECDSA-P256-SHA256 Credential=A/20261123/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00",
    ],
)
def test_signature_when_the_header_lacks_something_then_incomplete(shared, authorization):
    response = shared.call(changed(signed(), authorization=authorization))
    assert (response.status, code_of(response)) == (403, "IncompleteSignatureException")


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "20261332T000000Z", "2026-11-23T00:00:00Z", "٢٠٢٦١١٢٣T٠٠٠٠٠٠Z"]
)
def test_signature_when_the_date_is_unreadable_then_incomplete(shared, date):
    response = shared.call(changed(signed(), x_amz_date=date))
    assert (response.status, code_of(response)) == (403, "IncompleteSignatureException")


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_signature_when_the_clocks_differ_then_fifteen_minutes_are_allowed(region, minutes, status):
    request = signed()
    region.clock.advance(minutes * 60)
    response = region.call(request)
    assert response.status == status
    assert status == 200 or code_of(response) == "InvalidSignatureException"


def test_signature_when_the_parts_come_in_another_order_then_served(shared):
    request = signed()
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    turned = ",".join(reversed([part.strip() for part in rest.split(",")]))
    assert shared.call(changed(request, authorization=f"{algorithm} {turned}")).status == 200
    assert shared.call(request).status == 200


def test_signature_when_the_key_is_unknown_then_unrecognized_client(shared):
    response = shared.call(signed(key_id="AKIAUNKNOWN000000000"))
    assert (response.status, code_of(response)) == (403, "UnrecognizedClientException")


def test_signature_when_the_secret_is_wrong_then_invalid_signature(shared):
    assert code_of(shared.call(signed(secret="wrong"))) == "InvalidSignatureException"


def test_signature_when_the_key_is_deleted_or_replaced_then_refused(region):
    request = signed()
    assert region.call(request).status == 200
    other = region.access_key(ROOT_KEY_ID, "another secret", region.world.arns.root(), 0.0)
    region.world.store.update(lambda tx: tx.access_keys.put(other))
    assert code_of(region.call(request)) == "InvalidSignatureException"
    region.world.store.update(lambda tx: tx.access_keys.delete(ROOT_KEY_ID))
    assert code_of(region.call(request)) == "UnrecognizedClientException"


def test_signature_when_for_another_region_then_says_so(shared):
    response = shared.call(signed(region="eu-west-1"))
    assert code_of(response) == "InvalidSignatureException"
    assert b"Credential should be scoped to a valid region" in response.body
    assert b"us-east-1" in response.body


def test_signature_when_for_another_service_then_says_so(shared):
    response = shared.call(signed(service="s3"))
    assert code_of(response) == "InvalidSignatureException"
    assert b"Credential should be scoped to correct service: 'ecs'" in response.body


def test_signature_when_the_target_is_not_signed_then_refused(shared):
    request = signed(headers={"Content-Type": "application/x-amz-json-1.1"})
    assert code_of(shared.call(changed(request, x_amz_target=TARGET))) == "InvalidSignatureException"


def test_signature_when_the_host_is_not_signed_then_refused(shared):
    request = signed()
    unhosted = request.headers["authorization"].replace("content-type;host;", "content-type;")
    assert b"'Host'" in shared.call(changed(request, authorization=unhosted)).body


def test_signature_when_the_payload_is_unsigned_then_served_as_signed(shared):
    request = AWSRequest("POST", ENDPOINT + "/", headers=dict(JSON_HEADERS), data=b"{}")
    request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    signer = auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), "ecs", REGION)
    signer.payload = lambda _: "UNSIGNED-PAYLOAD"
    signer.add_auth(request)
    prepared = to_request(request.prepare())
    assert shared.call(prepared).status == 200
    # It cannot be slipped under a request whose payload was signed.
    assert (
        code_of(shared.call(changed(signed(), x_amz_content_sha256="UNSIGNED-PAYLOAD"))) == "InvalidSignatureException"
    )


def test_signature_when_the_payload_hash_is_another_bodys_then_refused(shared):
    assert code_of(shared.call(changed(signed(), x_amz_content_sha256="0" * 64))) == "InvalidSignatureException"


@pytest.mark.parametrize("missing", ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"])
def test_presigned_when_a_parameter_is_missing_then_incomplete(shared, missing):
    request = signed(signer=auth.SigV4QueryAuth, expires=60)
    query = "&".join(piece for piece in request.query_string.split("&") if not piece.startswith(missing))
    response = shared.call(msgspec.structs.replace(request, query_string=query))
    assert code_of(response) == "IncompleteSignatureException"


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "x", "9" * 40, "٣"])
def test_presigned_when_expires_is_out_of_range_then_incomplete(shared, expires):
    request = signed(signer=auth.SigV4QueryAuth, expires=60)
    query = request.query_string.replace("X-Amz-Expires=60", f"X-Amz-Expires={quote(expires)}")
    assert code_of(shared.call(msgspec.structs.replace(request, query_string=query))) == "IncompleteSignatureException"


def test_presigned_when_its_time_is_over_then_request_expired(region):
    request = signed(signer=auth.SigV4QueryAuth, expires=3600)
    region.clock.advance(3500)
    assert region.call(request).status == 200
    region.clock.advance(200)
    assert code_of(region.call(request)) == "RequestExpired"


def a_session(region, *, task_arn=None, lifetime=3600.0, account_id="123456789012"):
    return mint_session(
        region.world.sealer, region.world.ids, principal_arn="arn:aws:sts::123456789012:assumed-role/web/abc", account_id=account_id,
        task_arn=task_arn, now=region.clock.now(), lifetime=lifetime,
    )  # fmt: skip


def test_session_when_valid_then_its_principal_is_the_caller(region):
    made = a_session(region, task_arn=region.world.arns.task("default", "0" * 32))
    client = region.client("sts", key_id=made.access_key_id, secret=made.secret_access_key, token=made.session_token)
    answer = client.get_caller_identity()
    assert answer["Arn"] == "arn:aws:sts::123456789012:assumed-role/web/abc"
    assert answer["UserId"].startswith("AROA")
    assert answer["UserId"].endswith(":abc")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token": None}, "InvalidClientTokenId"),
        ({"token": "forged"}, "InvalidClientTokenId"),
        ({"token": "Zm9yZ2VkZm9yZ2VkZm9yZ2VkZm9yZ2VkZm9yZ2Vk"}, "InvalidClientTokenId"),
        ({"key_id": "ASIAANOTHER000000000"}, "InvalidClientTokenId"),
        ({"secret": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_session_when_any_part_is_false_then_refused(region, change, code):
    made = a_session(region)
    parts = {"key_id": made.access_key_id, "secret": made.secret_access_key, "token": made.session_token} | change
    with pytest.raises(ClientError) as caught:
        region.client("sts", **parts).get_caller_identity()
    assert caught.value.response["Error"]["Code"] == code


def test_session_when_expired_then_expired_token(region):
    made = a_session(region, lifetime=60)
    request = signed(key_id=made.access_key_id, secret=made.secret_access_key, token=made.session_token)
    assert code_of(region.call(request)) == "AccessDeniedException"  # known, though not allowed
    region.clock.advance(61)
    assert code_of(region.call(request)) == "ExpiredTokenException"


def test_session_when_of_another_account_then_refused(region):
    made = a_session(region, account_id="999999999999")
    request = signed(key_id=made.access_key_id, secret=made.secret_access_key, token=made.session_token)
    assert code_of(region.call(request)) == "UnrecognizedClientException"


def test_long_lived_key_when_it_comes_with_a_token_then_refused(shared):
    assert code_of(shared.call(signed(token="something"))) == "UnrecognizedClientException"


def test_signing_again_when_thousands_of_headers_differ_then_the_caches_stay_bounded(shared):
    request = signed()
    for number in range(5000):
        text = f"AWS4-HMAC-SHA256 Credential=K{number}/20261123/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
        shared.call(changed(request, authorization=text, x_amz_target=None))
    assert len(shared.gateway._signatures._claims) <= 4096
    assert shared.call(request).status == 200


GARBAGE = st.text(
    alphabet=st.characters(codec=None, categories=("Lu", "Nd", "Po", "Zs", "Cs", "Cc", "Sm")), max_size=30
)
PIECES = st.sampled_from(
    [
        "AWS4-HMAC-SHA256 ",
        "Credential=",
        "/20261123/us-east-1/ecs/aws4_request",
        ", ",
        "SignedHeaders=host",
        "Signature=",
        "0",
        ROOT_KEY_ID,
    ]
)


@settings(max_examples=200)
@given(
    path=GARBAGE, query=GARBAGE | st.just("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/aws4_request"),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-amz-date", "x-amz-target", "x-amz-security-token", "host", "date", "content-type", "content-encoding", "x-amz-content-sha256"]),
        GARBAGE | st.lists(PIECES, max_size=9).map("".join),
    ),
    body=st.binary(max_size=20),
)  # fmt: skip
def test_anything_when_it_comes_in_then_refused_without_falling_over(shared, path, query, headers, body):
    response = shared.call(Request("POST", "/" + path, query, headers, body))
    assert 400 <= response.status < 500


@pytest.mark.parametrize("service", ["ecs", "\udcff"])
def test_request_when_it_is_no_utf8_but_rightly_signed_then_its_route_is_unknown(shared, service):
    stamp = canonical.write_stamp(shared.clock.now())
    scope = f"{stamp[:8]}/{REGION}/{service}/aws4_request"
    headers = {"host": "\udcff", "x-amz-date": stamp}
    request = Request("GET", "/a/../\udcff", "\udcfe=\udcff&%ff=%fe", headers, b"")
    query = canonical.canonical_query(canonical.query_pairs(request.query_string))
    text = canonical.canonical_request(request, query, ("host", "x-amz-date"), hashlib.sha256(b"").hexdigest())
    key = canonical.signing_key(ROOT_SECRET, stamp[:8], REGION, service)
    signature = canonical.sign(key, stamp, scope, text)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={ROOT_KEY_ID}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    response = shared.call(changed(request, authorization=authorization))
    assert (response.status, code_of(response)) == (404, "UnknownOperationException")
