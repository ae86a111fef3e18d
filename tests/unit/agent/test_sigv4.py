"""Our signatures are botocore's."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from homeport.agent.sigv4 import Keys, Signer

NOW = 1_795_377_225.612


@pytest.mark.parametrize("token", [None, "token"])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "http://127.0.0.1:4566/", b'{"cluster":"default"}'),
        ("POST", "https://ecs.example.com/", b"{}"),
        ("GET", "http://127.0.0.1:4566/acs/ws?agentHash=a&containerInstanceArn=arn%3Aaws%3Aecs%2F1&seqNum=1", b""),
        ("GET", "http://[::1]:80/a%20b/ws?x=%2B&a=1", b""),
    ],
)
def test_signature_is_botocores(method, url, body, token) -> None:
    headers = {"content-type": "application/x-amz-json-1.1"} if method == "POST" else {}
    ours = Signer("us-east-1").sign(
        Keys("AKID", "secret", token), service="ecs", method=method, url=url, headers=headers, body=body, now=NOW
    )
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    request.context["timestamp"] = datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%dT%H%M%SZ")
    signer = SigV4Auth(Credentials("AKID", "secret", token), "ecs", "us-east-1")
    signer._modify_request_before_signing(request)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
