"""Files by which the processes of one data directory find each other.

`root-key.json` (written at first start, sealed secret), `server.json` and `agent.json` (process ids and addresses of
what runs now), `supervisor.json` (who restarts them). All are small JSON documents, replaced atomically.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from homeport.base.seal import Sealer, load_or_create_key


class RootKey(msgspec.Struct, frozen=True, array_like=False):
    """The account's root access key; the secret is sealed with the master key (purpose `access-key`)."""

    access_key_id: str
    sealed_secret: str
    account_id: str
    region: str


class Credentials(NamedTuple):
    """What a client needs to sign as the account's root."""

    access_key_id: str
    secret_access_key: str
    account_id: str
    region: str


def default_data_dir() -> Path:
    """HOMEPORT_DATA_DIR, else `~/.homeport`."""
    return Path(os.environ.get("HOMEPORT_DATA_DIR") or Path.home() / ".homeport")


def root_key_path(data_dir: Path) -> Path:
    return data_dir / "root-key.json"


def master_key(data_dir: Path) -> Sealer:
    """The sealer of a data directory; its key is made at first use."""
    return Sealer(load_or_create_key(data_dir / "master.key"))


def region_of(data_dir: Path) -> str | None:
    """The region that a data directory holds, or None before the first start."""
    key = _root_key(data_dir)
    return key.region if key else None


def _root_key(data_dir: Path) -> RootKey | None:
    try:
        return msgspec.json.decode(root_key_path(data_dir).read_bytes(), type=RootKey)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def root_credentials(data_dir: Path) -> Credentials | None:
    """The root access key with its secret opened, or None before the first start."""
    key = _root_key(data_dir)
    if key is None:
        return None
    secret = master_key(data_dir).open("access-key", key.sealed_secret)
    return None if secret is None else Credentials(key.access_key_id, secret.decode(), key.account_id, key.region)


def read_state(data_dir: Path, name: str) -> dict[str, Any]:
    """`NAME.json` as a dict; empty where there is none."""
    try:
        content: dict[str, Any] = msgspec.json.decode((data_dir / f"{name}.json").read_bytes(), type=dict[str, Any])
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return {}
    return content


def write_state(data_dir: Path, name: str, content: dict[str, Any]) -> None:
    """Replace `NAME.json`."""
    temporary = data_dir / f"{name}.json.new"
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    temporary.replace(data_dir / f"{name}.json")


def running_pid(data_dir: Path, name: str) -> int | None:
    """The id of the process that `NAME.json` names; None unless it runs and is Homeport's: ids are given out again."""
    pid: int | None = read_state(data_dir, name).get("pid")
    return pid if is_running(pid) and _is_homeport(pid) else None


def _is_homeport(pid: int | None) -> bool:
    """By its command line; Envoy's says so too."""
    try:
        return b"homeport" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_running(pid: int | None) -> bool:
    """Whether a process of that id exists (and is not a zombie waiting for its parent)."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        return True
