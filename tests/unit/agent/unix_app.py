"""Applications reached over a socket file: real HTTP without a port."""

import contextlib

import aiohttp
from aiohttp import web


@contextlib.asynccontextmanager
async def serving(app, folder):
    """A client session whose every request (to `http://x/…`) goes to the application."""
    runner = web.AppRunner(app)
    await runner.setup()
    path = str(folder / "app.sock")
    await web.UnixSite(runner, path).start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), base_url="http://x") as session:
            yield session
    finally:
        await runner.cleanup()


async def ask(session, method, path, **options):
    """Status and decoded body."""
    async with session.request(method, path, **options) as response:
        return response.status, await response.json(content_type=None)
