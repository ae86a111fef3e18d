"""`homeport status`: what runs, as a table or as JSON."""

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from homeport.base.local import is_running, read_state
from homeport.cli import local


def collect(data_dir: Path) -> dict[str, Any]:
    """`{"endpoint", "server": {"pid", "running"}, "agent": {"pid", "running", …}, "supervisor": …, "health": …}`."""
    server, agent, supervisor, balancer = (
        read_state(data_dir, name) for name in ("server", "agent", "supervisor", "balancer")
    )
    endpoint = server.get("endpoint")
    facts: dict[str, Any] = {"endpoint": endpoint, "dataDir": str(data_dir)}
    for name, state in (("server", server), ("agent", agent), ("supervisor", supervisor), ("balancer", balancer)):
        pid = state.get("pid")
        facts[name] = {"pid": pid if is_running(pid) else None, "running": is_running(pid)}
    facts["agent"]["containerInstanceArn"] = agent.get("containerInstanceArn")
    facts["region"] = server.get("region")
    facts["health"] = local.health(endpoint) if endpoint else None
    return facts


def show_status(data_dir: Path, *, as_json: bool) -> int:
    """Print the facts; 0 if the endpoint answers, else 1."""
    facts = collect(data_dir)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())
        return 0 if facts["health"] else 1
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row(
        "endpoint", f"{facts['endpoint'] or '–'}  {'answers' if facts['health'] else '[red]does not answer[/]'}"
    )
    for name in ("supervisor", "server", "agent", "balancer"):
        state = facts[name]
        table.add_row(name, f"pid {state['pid']}" if state["running"] else "[red]not running[/]")
    table.add_row("instance", facts["agent"]["containerInstanceArn"] or "–")
    table.add_row("data", facts["dataDir"])
    Console(highlight=False).print(table)
    if not facts["health"]:
        click.echo("start it with: homeport up", err=True)
    return 0 if facts["health"] else 1
