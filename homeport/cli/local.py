"""How commands reach the endpoint of a data directory: its address, its root key, botocore clients."""

import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click
import msgspec

from homeport.base.local import Credentials, default_data_dir, read_state, root_credentials

#: The endpoint is never behind the proxy that the environment may name.
directly = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def credentials_and_endpoint(data_dir: Path) -> tuple[Credentials, str]:
    """Ends the command with advice where nothing was ever started in the directory."""
    key = root_credentials(data_dir)
    endpoint = read_state(data_dir, "server").get("endpoint")
    if key is None or not endpoint:
        raise click.ClickException(f"nothing was started in {data_dir} yet; run: {command('up', data_dir)}")
    return key, endpoint


def command(name: str, data_dir: Path) -> str:
    """A command of ours as the user can type it: with the path where `homeport` is not on PATH, with the directory
    where another is the default.
    """
    called = Path(sys.argv[0])
    program = str(called) if called.name == "homeport" and shutil.which("homeport") is None else "homeport"
    return f"{program} {name}" + ("" if data_dir == default_data_dir().absolute() else f" --data-dir {data_dir}")


def health(endpoint: str, timeout_seconds: float = 2.0) -> dict[str, Any] | None:
    """What the endpoint says of itself, or None while it does not answer."""
    try:
        with directly(f"{endpoint}/_homeport/health", timeout=timeout_seconds) as answer:
            content: dict[str, Any] = msgspec.json.decode(answer.read(), type=dict[str, Any])
    except (OSError, urllib.error.URLError, msgspec.DecodeError):
        return None
    return content


def client(data_dir: Path, service: str) -> Any:
    """A botocore client that signs as root and talks to the directory's endpoint, whatever the user's profiles say."""
    import botocore.session
    from botocore.config import Config

    key, endpoint = credentials_and_endpoint(data_dir)
    of_nobody = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    return botocore.session.Session(of_nobody).create_client(
        service,
        region_name=key.region,
        endpoint_url=endpoint,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(proxies={}),
    )


def call_own(data_dir: Path, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """One operation of Homeport's own service, signed. Raises click.ClickException with the endpoint's message."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as BotocoreCredentials

    key, endpoint = credentials_and_endpoint(data_dir)
    request = AWSRequest(
        "POST",
        f"{endpoint}/",
        {"X-Amz-Target": f"Homeport_20261101.{operation}", "Content-Type": "application/x-amz-json-1.1"},
        msgspec.json.encode(body),
    )
    SigV4Auth(BotocoreCredentials(key.access_key_id, key.secret_access_key), "homeport", key.region).add_auth(request)
    plain = urllib.request.Request(request.url, request.body, dict(request.headers.items()), method="POST")  # noqa: S310
    try:
        with directly(plain, timeout=30) as answer:
            return msgspec.json.decode(answer.read(), type=dict[str, Any])
    except urllib.error.HTTPError as error:
        content = msgspec.json.decode(error.read() or b"{}", type=dict[str, Any])
        raise click.ClickException(
            f"{content.get('__type', error.code)}: {content.get('message', error.reason)}"
        ) from error
    except OSError as error:
        raise click.ClickException(
            f"{endpoint} does not answer ({getattr(error, 'reason', error)}); start it: {command('up', data_dir)}"
        ) from error


def wait_until(condition: Any, seconds: float, *, every: float = 0.05) -> bool:
    """Poll `condition()` until it is true or the time is over; the command line has no loop to be woken by."""
    deadline = time.monotonic() + seconds  # noqa: TID251 - a person waits here
    while time.monotonic() < deadline:  # noqa: TID251
        if condition():
            return True
        time.sleep(every)
    return bool(condition())
