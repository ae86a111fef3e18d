"""A load generator that fails loudly: `python -m tests.system.load HOST PORT` until SIGTERM, then one line of JSON.

Keep-alive connections send one request after another. Every request counts, and every one that is not answered with a
status below 500 is a failure with its reason. A connection that the other end had closed before the request was sent is
opened anew, as any client does. Beside it wrk asks as fast as it can on a few connections.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path


class Load:
    """Requests per connection until told to stop."""

    def __init__(self, host, port, *, path="/", connections=8, think=0.002):
        self._host, self._port, self._path = host, port, path
        self._connections, self._think = connections, think
        self._stop = asyncio.Event()
        self.served, self.failures, self.bodies = 0, Counter(), Counter()
        self.longest = 0.0

    async def run(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        await asyncio.gather(*(self._client() for _ in range(self._connections)))
        return {
            "served": self.served,
            "failed": sum(self.failures.values()),
            "failures": dict(self.failures),
            "bodies": dict(self.bodies),
            "longest": self.longest,
        }

    async def _client(self):
        reader = writer = None
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                if reader is None or reader.at_eof():
                    reader, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self._port), 5)
                keeps = await asyncio.wait_for(self._ask(reader, writer), 10)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.failures[type(error).__name__] += 1
                keeps = False
            self.longest = max(self.longest, time.monotonic() - started)
            if not keeps:
                if writer is not None:
                    writer.close()
                reader = writer = None
            await asyncio.sleep(self._think)

    async def _ask(self, reader, writer):
        writer.write(f"GET {self._path} HTTP/1.1\r\nHost: load.test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").lower()
        status = int(head.split(" ", 2)[1])
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if status >= 500:
            self.failures[f"status {status}"] += 1
        else:
            self.served += 1
            self.bodies[body[:32].decode("latin1").strip()] += 1
        return fields.get("connection") != "close"


class Wrk:
    """wrk until told to stop: what it counted, in the words of `Load`."""

    def __init__(self, host, port, path, connections):
        command = ["wrk", "-t1", f"-c{connections}", "-d1h", "--timeout", "10s", f"http://{host}:{port}{path}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        text, _ = self._process.communicate(timeout=30)
        failures = {name: int(count) for name, count in re.findall(r"(connect|read|write|timeout) (\d+)", text)}
        (failures["status"],) = map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text) or [0])
        (served,) = map(int, re.findall(r"(\d+) requests in", text))
        return {
            "served": served - failures["status"],
            "failed": sum(failures.values()),
            "failures": {name: count for name, count in failures.items() if count},
        }


class LoadProcess:
    """The generator as a process of its own, and wrk on `fast` connections, as a context manager; `result` afterwards."""

    def __init__(self, host, port, *, path="/", connections=8, fast=0):
        self._command = [sys.executable, "-m", "tests.system.load", host, str(port), path, str(connections)]
        self._wrk = (host, port, path, fast) if fast else None
        self.result = None

    def __enter__(self):
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(self._command, cwd=root, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"
        self._fast = Wrk(*self._wrk) if self._wrk else None
        return self

    def __exit__(self, *_):
        fast = self._fast.stop() if self._fast else None
        self._process.terminate()
        output, _ = self._process.communicate(timeout=30)
        self.result = json.loads(output)
        if fast is not None:
            self.result["wrk"] = fast
            self.result["failed"] += fast["failed"]


async def main(host, port, path="/", connections="8"):
    load = Load(host, int(port), path=path, connections=int(connections))
    print("ready", flush=True)
    print(json.dumps(await load.run()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
