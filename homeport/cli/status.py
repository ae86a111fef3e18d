"""`homeport status`: what runs, as a table or as JSON."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from homeport.base.local import read_state, running_pid
from homeport.cli import local
from homeport.cli.console import new_console

_DESCRIBED_AT_ONCE = 10
_MOST_SERVICES = 40


def _print_processes(console: Console, facts: dict[str, Any]) -> None:
    """A line each, as long as it is: what is cut or broken cannot be copied."""
    rows = {
        "endpoint": f"{facts['endpoint'] or '–'}  {'answers' if facts['health'] else '[red]does not answer[/]'}",
        **{
            name: f"pid {facts[name]['pid']}" if facts[name]["running"] else "[red]not running[/]"
            for name in ("supervisor", "server", "agent", "balancer")
        },
        "instance": facts["agent"]["containerInstanceArn"] or "–",
        "data": facts["dataDir"],
    }
    for name, text in rows.items():
        console.print(f"{name:<12}{text}", soft_wrap=True)


def _print_load_balancer(console: Console, balancer: dict[str, Any]) -> None:
    color = {"active": "green", "provisioning": "yellow"}.get(balancer["state"], "red")
    console.print(f"load balancer {balancer['name']}  [{color}]{balancer['state']}[/]  {balancer.get('address', '')}")
    if balancer["reason"]:
        console.print(f"  [red]{balancer['reason']}[/]", soft_wrap=True)
    if balancer.get("dnsName"):
        console.print(f"  {balancer['dnsName']}", soft_wrap=True)
    for url in balancer["urls"]:
        console.print(f"  curl {'-k ' if url.startswith('https') else ''}{url}" if url[-1] == "/" else f"  {url}")


def _print_services(console: Console, services: list[dict[str, Any]]) -> None:
    table = Table("service", "cluster", "tasks", "deployment", "of", box=None, pad_edge=False)
    for each in services[:_MOST_SERVICES]:
        is_well = each["running"] == each["desired"]
        tasks = f"[{'green' if is_well else 'yellow'}]{each['running']} of {each['desired']}[/]"
        color = {"COMPLETED": "green", "FAILED": "red"}.get(each["deployment"], "yellow")
        table.add_row(each["name"], each["cluster"], tasks, f"[{color}]{each['deployment']}[/]", each["taskDefinition"])
    console.print(table)
    if len(services) > _MOST_SERVICES:
        console.print(f"… and {len(services) - _MOST_SERVICES} more services")


def collect(data_dir: Path) -> dict[str, Any]:
    """`{"endpoint", "server": {"pid", "running"}, "agent": {"pid", "running", …}, "supervisor": …, "health": …}`."""
    server = read_state(data_dir, "server")
    endpoint = server.get("endpoint")
    facts: dict[str, Any] = {"endpoint": endpoint, "dataDir": str(data_dir)}
    for name in ("server", "agent", "supervisor", "balancer"):
        pid = running_pid(data_dir, name)
        facts[name] = {"pid": pid, "running": pid is not None}
    facts["agent"]["containerInstanceArn"] = read_state(data_dir, "agent").get("containerInstanceArn")
    facts["region"] = server.get("region")
    facts["health"] = local.health(endpoint) if endpoint else None
    return facts | (_asked(data_dir) if facts["health"] else {"services": [], "loadBalancers": []})


def _asked(data_dir: Path) -> dict[str, Any]:
    """What the endpoint tells of services and load balancers; `error` when it stopped answering meanwhile."""
    from botocore.exceptions import BotoCoreError, ClientError

    facts: dict[str, Any] = {"services": [], "loadBalancers": []}
    try:
        facts["services"] = _services(data_dir)
        facts["loadBalancers"] = _load_balancers(data_dir)
    except (BotoCoreError, ClientError) as error:
        facts["error"] = str(error)
    return facts


def _services(data_dir: Path) -> list[dict[str, Any]]:
    """Every service of every cluster: how many tasks run of how many, and how its newest deployment is."""
    ecs = local.client(data_dir, "ecs")
    found: list[dict[str, Any]] = []
    for cluster in _paged(ecs, "list_clusters", "clusterArns"):
        arns = _paged(ecs, "list_services", "serviceArns", cluster=cluster, maxResults=100)
        for start in range(0, len(arns), _DESCRIBED_AT_ONCE):
            batch = arns[start : start + _DESCRIBED_AT_ONCE]
            found += map(_service, ecs.describe_services(cluster=cluster, services=batch)["services"])
    return found


def _paged(client: Any, operation: str, member: str, **request: Any) -> list[str]:
    pages = client.get_paginator(operation).paginate(**request)
    return [arn for page in pages for arn in page[member]]


def _service(row: dict[str, Any]) -> dict[str, Any]:
    newest: dict[str, Any] = next((each for each in row["deployments"] if each["status"] == "PRIMARY"), {})
    return {
        "name": row["serviceName"],
        "cluster": row["clusterArn"].rsplit("/", 1)[1],
        "desired": row["desiredCount"],
        "running": row["runningCount"],
        "pending": row["pendingCount"],
        "deployment": newest.get("rolloutState", row["deploymentController"]["type"]),
        "taskDefinition": newest.get("taskDefinition", "").rsplit("/", 1)[-1],
    }


def _load_balancers(data_dir: Path) -> list[dict[str, Any]]:
    """Every load balancer with its listeners, and how to reach it from this host."""
    elb = local.client(data_dir, "elbv2")
    pages = elb.get_paginator("describe_load_balancers").paginate()
    found = [row for page in pages for row in page["LoadBalancers"]]
    return [_load_balancer(row, _listeners(elb, row["LoadBalancerArn"])) for row in found]


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
    console = new_console()
    _print_processes(console, facts)
    if facts["services"]:
        _print_services(console, facts["services"])
    for balancer in facts["loadBalancers"]:
        _print_load_balancer(console, balancer)
    if "error" in facts:
        click.echo(f"the endpoint did not answer everything: {facts['error']}", err=True)
    if not facts["health"]:
        click.echo(f"start it with: {local.command('up', data_dir)}", err=True)
    return 0 if facts["health"] else 1
