"""The Invoke API over real sockets: names and qualifiers, function errors, overload, silence."""

import asyncio

import pytest
from aiohttp import web

from homeport.drivers.hooks import Call, CallFailed, Returned, Unreachable
from homeport.drivers.hooks.endpoint import LambdaEndpoint, path_of

ARN = "arn:aws:lambda:us-east-1:123456789012:function:check"


async def called(answer, *, arn=ARN, timeout=5.0):
    """One call of an endpoint that answers with what `answer` (a handler) says; also the requests it got."""
    seen = []

    async def handle(request):
        seen.append((request.method, request.path_qs, request.headers, await request.read()))
        return await answer()

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        call = Call(function_arn=arn, payload=b'{"executionId":"1"}', timeout=timeout)
        return await LambdaEndpoint(f"http://127.0.0.1:{port}/").call(call), seen
    finally:
        await runner.cleanup()


def answering(status=200, body=b"", headers=None):
    async def answer():
        return web.Response(status=status, body=body, headers=headers)

    return answer


def test_call_when_the_function_returns_then_its_payload_comes_back():
    answer, seen = asyncio.run(called(answering(body=b'{"hookStatus":"SUCCEEDED"}')))
    assert answer == Returned(b'{"hookStatus":"SUCCEEDED"}')
    method, path, headers, body = seen[0]
    assert (method, path) == ("POST", "/2015-03-31/functions/check/invocations")
    assert headers["X-Amz-Invocation-Type"] == "RequestResponse"
    assert body == b'{"executionId":"1"}'


def test_call_when_the_arn_has_a_qualifier_then_it_is_asked_for():
    assert path_of(f"{ARN}:live") == "/2015-03-31/functions/check/invocations?Qualifier=live"


def test_call_when_the_function_raises_then_it_has_failed():
    body = b'{"errorMessage":"boom"}'
    answer, _ = asyncio.run(called(answering(body=body, headers={"X-Amz-Function-Error": "Unhandled"})))
    assert isinstance(answer, CallFailed) and "boom" in answer.text


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_call_when_the_endpoint_is_in_trouble_then_it_is_worth_another_try(status):
    answer, _ = asyncio.run(called(answering(status)))
    assert isinstance(answer, Unreachable)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_call_when_it_is_refused_then_it_has_failed(status):
    answer, _ = asyncio.run(called(answering(status, b"ResourceNotFoundException")))
    assert isinstance(answer, CallFailed) and "ResourceNotFoundException" in answer.text


def test_call_when_there_is_no_answer_in_time_then_it_has_failed():
    async def silence():
        await asyncio.sleep(5)
        return web.Response()

    answer, _ = asyncio.run(called(silence, timeout=0.2))
    assert isinstance(answer, CallFailed)


def test_call_when_nobody_listens_then_it_is_unreachable():
    call = Call(function_arn=ARN, payload=b"{}", timeout=5.0)
    answer = asyncio.run(LambdaEndpoint("http://127.0.0.1:1").call(call))
    assert isinstance(answer, Unreachable)
