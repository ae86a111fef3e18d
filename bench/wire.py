"""Load clients that cost little, so that what is measured is the server.

`drive` sends one request, signed once, again and again over a few connections: a signature holds for fifteen minutes.
It runs in a process of its own (`apart`), and is the same for every server compared; a connection is kept unless the
server closes it. `Caller` calls one operation after the other, for measurements of time to an effect.
"""

import asyncio
import http.client
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_TARGET = "AmazonEC2ContainerServiceV20141113"
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """What to send where, for how long, over how many connections."""

    host: str
    port: int
    request: str
    connections: int
    seconds: float


class Caller:
    """Calls ECS over one connection. Raises RuntimeError for an answer that is no success."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint
        self.access_key = access_key
        self.secret_key = secret_key
        self._connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=_PATIENCE_SECONDS)

    def __call__(self, operation: str, **body: Any) -> dict[str, Any]:
        data, headers = _signed(self.endpoint, operation, body, self.access_key, self.secret_key)
        self._connection.request("POST", "/", data, headers)
        answer = self._connection.getresponse()
        content: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {content}")
        return content

    def close(self) -> None:
        self._connection.close()


def _signed(
    endpoint: str, operation: str, body: dict[str, Any], access_key: str, secret_key: str
) -> tuple[bytes, dict[str, str]]:
    data = json.dumps(body).encode()
    headers = {"X-Amz-Target": f"{_TARGET}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{endpoint}/", headers, data)
    SigV4Auth(Credentials(access_key, secret_key), "ecs", "us-east-1").add_auth(request)
    return data, dict(request.headers.items())


def signed_request(endpoint: str, operation: str, body: dict[str, Any], access_key: str, secret_key: str) -> str:
    """The bytes (as latin-1 text) of a signed JSON 1.1 call to ECS."""
    data, headers = _signed(endpoint, operation, body, access_key, secret_key)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    host = endpoint.removeprefix("http://")
    head = "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", f"Content-Length: {len(data)}", *lines])
    return f"{head}\r\n\r\n{data.decode()}"


async def _one(reader: asyncio.StreamReader) -> bool:
    """Read one answer; whether the connection stays open. An answer that is no success ends the client."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    lines = head.split(b"\r\n")
    length = int(next(line for line in lines if line.startswith(b"content-length:")).split(b":")[1])
    content = await reader.readexactly(length)
    if b" 200 " not in lines[0] + b" ":
        raise SystemExit(f"not a success: {lines[0]!r} {content[:500]!r}")
    return b"connection: close" not in lines


async def _connection(load: Load, until: float) -> int:
    data, count = load.request.encode("latin-1"), 0
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(load.host, load.port)
        is_open = True
        while is_open and time.monotonic() < until:
            writer.write(data)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                is_open = await _one(reader)
            count += 1
        writer.close()
    return count


async def drive(load: Load) -> float:
    """Requests answered per second."""
    started = time.monotonic()
    counts = await asyncio.gather(*(_connection(load, started + load.seconds) for _ in range(load.connections)))
    return sum(counts) / (time.monotonic() - started)


async def apart(load: Load) -> float:
    """`drive` in another process, so that the client's own work is not the server's."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.wire", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(json.dumps(asdict(load)).encode())
    if process.returncode:
        raise RuntimeError("the load client failed")
    return float(output)


if __name__ == "__main__":
    print(asyncio.run(drive(Load(**json.load(sys.stdin)))))
