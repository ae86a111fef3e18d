"""Lambda functions behind an endpoint that speaks Lambda's Invoke API: a runtime emulator, a local stack, a gateway.

`POST /2015-03-31/functions/NAME/invocations` with the payload; a function that raised answers 200 with the header
`X-Amz-Function-Error`. Requests are not signed: whoever listens at the configured endpoint must take them as they are.
Source: Lambda API reference, "Invoke".
"""

import asyncio
from urllib.parse import quote

import aiohttp

from homeport.drivers.hooks import Answer, Call, CallFailed, Returned, Unreachable

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_MOST_TOLD = 300
_CONNECT_SECONDS = 10.0


class LambdaEndpoint:
    """`url` is the endpoint's, such as `http://127.0.0.1:9001`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def call(self, call: Call) -> Answer:
        try:
            async with asyncio.timeout(call.timeout):
                return await self._call(call)
        except TimeoutError:
            return CallFailed(f"The function did not answer within {call.timeout:.0f} seconds.")
        except (aiohttp.ClientError, OSError) as error:
            return Unreachable(f"{type(error).__name__}: {error}")

    async def _call(self, call: Call) -> Answer:
        """A session a call: calls are few, and none should depend on a connection that another one left behind."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self._url + path_of(call.function_arn), data=call.payload, headers=headers) as response,
        ):
            body = await response.read()
            told = body[:_MOST_TOLD].decode(errors="replace")
            if response.status in _TRY_AGAIN:
                return Unreachable(f"HTTP status {response.status}: {told}")
            if response.status != 200:
                return CallFailed(f"HTTP status {response.status}: {told}")
            if "X-Amz-Function-Error" in response.headers:
                return CallFailed(f"The function failed: {told}")
            return Returned(body)


def path_of(function_arn: str) -> str:
    """Name and qualifier of `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]` as the Invoke API wants them."""
    parts = function_arn.split(":")
    name = parts[6] if len(parts) > 6 else function_arn
    query = f"?Qualifier={quote(parts[7], safe='')}" if len(parts) > 7 else ""
    return f"/2015-03-31/functions/{quote(name, safe='')}/invocations{query}"
