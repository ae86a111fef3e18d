"""`homeport explain`: the scheduler's reasons, for people and for scripts."""

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from homeport.cli import local
from homeport.cli.console import new_console


def show_explanation(data_dir: Path, task_definition: str, cluster: str, more: bytes, *, as_json: bool) -> int:
    """Ask where one more task could go; 0 if it can be placed, else 1."""
    try:
        request = msgspec.json.decode(more, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"--cli-input-json wants a JSON object with members of RunTask: {error}") from error
    body = request | {"cluster": cluster, "taskDefinition": task_definition}
    answer = local.call_own(data_dir, "ExplainTask", body)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return 0 if answer.get("placeable") else 1
    console = new_console()
    console.print(answer.get("summary", ""))
    table = Table("container instance", "can take it", "reasons", box=None, pad_edge=False)
    for instance in answer.get("containerInstances", []):
        reasons = instance.get("reasons", [])
        table.add_row(
            instance["containerInstanceArn"].rsplit("/", 1)[1],
            "[red]no[/]" if reasons else "[green]yes[/]",
            "\n".join(f"{reason['reason']}: {reason['detail']}" for reason in reasons),
        )
    if answer.get("containerInstances"):
        console.print(table)
    return 0 if answer.get("placeable") else 1


def show_service(data_dir: Path, service: str, cluster: str, *, as_json: bool) -> int:
    """What the service is waiting for; 0 if it is steady, else 1."""
    answer = local.call_own(data_dir, "ExplainService", {"service": service, "cluster": cluster})
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    else:
        click.echo("\n".join(answer.get("waitsFor") or [answer.get("summary", "")]))
    return 0 if answer.get("steady") else 1
