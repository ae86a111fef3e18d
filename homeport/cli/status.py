"""`homeport status`: what runs, as a table or as JSON."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from homeport.base.local import is_running, read_state
from homeport.cli import local


def _print_load_balancer(console: Console, balancer: dict[str, Any]) -> None:
    color = {"active": "green", "provisioning": "yellow"}.get(balancer["state"], "red")
    console.print(f"load balancer {balancer['name']}  [{color}]{balancer['state']}[/]  {balancer.get('address', '')}")
    if balancer["reason"]:
        console.print(f"  [red]{balancer['reason']}[/]", soft_wrap=True)
    if balancer.get("dnsName"):
        console.print(f"  {balancer['dnsName']}", soft_wrap=True)
    for url in balancer["urls"]:
        console.print(f"  curl {'-k ' if url.startswith('https') else ''}{url}" if url[-1] == "/" else f"  {url}")


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
    facts["loadBalancers"] = _load_balancers(data_dir) if facts["health"] else []
    return facts


def _load_balancers(data_dir: Path) -> list[dict[str, Any]]:
    """Every load balancer with its listeners, and how to reach it from this host."""
    from botocore.exceptions import BotoCoreError, ClientError

    elb = local.client(data_dir, "elbv2")
    try:
        pages = elb.get_paginator("describe_load_balancers").paginate()
        found = [row for page in pages for row in page["LoadBalancers"]]
        return [_load_balancer(row, _listeners(elb, row["LoadBalancerArn"])) for row in found]
    except (BotoCoreError, ClientError) as error:
        return [{"name": "?", "state": "unknown", "reason": str(error), "urls": []}]


def _listeners(elb: Any, arn: str) -> list[dict[str, Any]]:
    pages = elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=arn)
    return [listener for page in pages for listener in page["Listeners"]]


def _load_balancer(row: dict[str, Any], listeners: list[dict[str, Any]]) -> dict[str, Any]:
    address = address_in_name(row["DNSName"])
    return {
        "name": row["LoadBalancerName"],
        "dnsName": row["DNSName"],
        "address": address,
        "state": row["State"]["Code"],
        "reason": row["State"].get("Reason"),
        "urls": [_reach(listener, address) for listener in listeners],
    }


def address_in_name(dns_name: str) -> str:
    """The address that a load balancer's name carries as a number."""
    return str(IPv4Address(int(dns_name.split(".", maxsplit=1)[0].rpartition("-")[2])))


def _reach(listener: dict[str, Any], address: str) -> str:
    protocol, port = listener["Protocol"].lower(), listener["Port"]
    is_usual = (protocol, port) in (("http", 80), ("https", 443))
    end = "/" if protocol in ("http", "https") else ""
    return f"{protocol}://{address}{'' if is_usual else f':{port}'}{end}"


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
    console = Console(highlight=False)
    console.print(table)
    for balancer in facts["loadBalancers"]:
        _print_load_balancer(console, balancer)
    if not facts["health"]:
        click.echo("start it with: homeport up", err=True)
    return 0 if facts["health"] else 1
