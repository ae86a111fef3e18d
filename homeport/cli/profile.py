"""`homeport profile`: an AWS profile with endpoint, region and keys, in the files that every AWS tool reads."""

import os
from pathlib import Path

from homeport.cli import local


def write_profile(data_dir: Path, name: str) -> tuple[Path, Path]:
    """Set the profile's keys in AWS's config and credentials files, leaving every other profile as it is."""
    key, endpoint = local.credentials_and_endpoint(data_dir)
    config = Path(os.environ.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config")
    credentials = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    _set(config, name if name == "default" else f"profile {name}", {"region": key.region, "endpoint_url": endpoint})
    _set(credentials, name, {"aws_access_key_id": key.access_key_id, "aws_secret_access_key": key.secret_access_key})
    return config, credentials


def _set(path: Path, section: str, values: dict[str, str]) -> None:
    before = path.read_text() if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(with_section(before, section, values))
    temporary.replace(path)


def with_section(text: str, section: str, values: dict[str, str]) -> str:
    """The file's text with the section's values set; other lines, comments among them, stay as they are."""
    lines = text.splitlines()
    header = f"[{section}]"
    wanted = [f"{name} = {value}" for name, value in values.items()]
    start = next((number for number, line in enumerate(lines) if line.strip() == header), None)
    if start is None:
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, header, *wanted]) + "\n"
    end = next(
        (number for number in range(start + 1, len(lines)) if lines[number].lstrip().startswith("[")), len(lines)
    )
    kept = [line for line in lines[start + 1 : end] if line.partition("=")[0].strip() not in values]
    return "\n".join([*lines[: start + 1], *wanted, *kept, *lines[end:]]) + "\n"
