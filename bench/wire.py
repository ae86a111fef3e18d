"""A load client that costs little: one request, signed once and sent again and again over a few kept connections.

A signature holds for fifteen minutes, so the same bytes may be sent for the length of a measurement; what is measured
is the server. The same client is used for every server compared. Run in a process of its own.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


@dataclass(frozen=True)
class Load:
    """What to send where, for how long, over how many connections."""

    host: str
    port: int
    request: str
    connections: int
    seconds: float


def signed_request(endpoint: str, operation: str, body: dict[str, object], access_key: str, secret_key: str) -> str:
    """The bytes (as latin-1 text) of a signed JSON 1.1 call to ECS."""
    data = json.dumps(body).encode()
    headers = {
        "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    request = AWSRequest("POST", f"{endpoint}/", headers, data)
    SigV4Auth(Credentials(access_key, secret_key), "ecs", "us-east-1").add_auth(request)
    host = endpoint.removeprefix("http://")
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", f"Content-Length: {len(data)}", *lines])
    return f"{head}\r\n\r\n{data.decode()}"


async def _connection(load: Load, until: float) -> int:
    reader, writer = await asyncio.open_connection(load.host, load.port)
    data, count = load.request.encode("latin-1"), 0
    while time.monotonic() < until:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"not a success: {head[:300]!r} {await reader.read(2000)!r}")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
        )
        await reader.readexactly(length)
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
    output, _ = await process.communicate(json.dumps(load.__dict__).encode())
    if process.returncode:
        raise SystemExit("the load client failed")
    return float(output)


if __name__ == "__main__":
    print(asyncio.run(drive(Load(**json.load(sys.stdin)))))
