"""A container registry of one repository on loopback, just enough for a real engine to pull from.

Docker trusts plain HTTP on 127.0.0.0/8. `password` None lets everybody in.
"""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import tarfile
from typing import Self

from aiohttp import web

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Serves `app` at the tags given by `push`. Use `async with`; then `name(tag)` is what to pull."""

    def __init__(self, password: str | None = None) -> None:
        self._password = password
        self._blobs: dict[str, bytes] = {}
        self._tags: dict[str, str] = {}
        self.is_broken = False
        self.requests: list[str] = []
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/v2/", self._root)
        app.router.add_get("/v2/app/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/app/blobs/{digest}", self._blob)
        self._runner = web.AppRunner(app, keepalive_timeout=0, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await asyncio.sleep(0.05)  # Transports close their sockets in the loop's next rounds.

    def name(self, tag: str) -> str:
        return f"127.0.0.1:{self._port}/app:{tag}"

    def push(self, tag: str, content: bytes) -> str:
        """An image with one file; returns its manifest's digest."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            entry = tarfile.TarInfo("content")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        packed = gzip.compress(layer.getvalue(), mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/content"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self._keep(config, "application/vnd.docker.container.image.v1+json"),
            "layers": [self._keep(packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        }
        digest = str(self._keep(json.dumps(manifest).encode(), MANIFEST_TYPE)["digest"])
        self._tags[tag] = digest
        return digest

    def _keep(self, blob: bytes, kind: str) -> dict[str, str | int]:
        self._blobs[_digest(blob)] = blob
        return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}

    @web.middleware
    async def _guard(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        wanted = "Basic " + base64.b64encode(f"AWS:{self._password}".encode()).decode()
        if self._password is not None and request.headers.get("Authorization") != wanted:
            error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            return web.json_response(error, status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        return await handler(request)  # type: ignore[operator, no-any-return]

    async def _root(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, request: web.Request) -> web.Response:
        reference = request.match_info["reference"]
        digest = self._tags.get(reference, reference)
        if digest not in self._blobs:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            return web.json_response(error, status=404)
        headers = {"Docker-Content-Digest": digest, "Content-Type": MANIFEST_TYPE}
        return web.Response(body=self._blobs[digest], headers=headers)

    async def _blob(self, request: web.Request) -> web.Response:
        if self.is_broken:
            return web.Response(status=404, text="gone")
        return web.Response(body=self._blobs[request.match_info["digest"]], content_type="application/octet-stream")


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
