"""`python -m homeport.agent`: the agent as a process of its own, for any host with a container engine."""

import asyncio
import os
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any, ClassVar

import click

from homeport.agent.address import reachable_address
from homeport.agent.main import run_agent
from homeport.base.config import DEFAULT_PORT, DEFAULT_REGION, AgentConfig
from homeport.base.errors import Permanent
from homeport.base.local import default_data_dir
from homeport.base.log import configure_logging


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` options as a dict; a name alone has the value ""."""
    return {name: value for name, _, value in (text.partition("=") for text in values)}


class Duration(click.ParamType[float]):
    """Seconds, as a number or as the Amazon ECS agent's settings have it: `90`, `30s`, `1m30s`, `3h`."""

    name = "duration"
    _PARTS: ClassVar = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text):
            self.fail(f"{text!r} is no time, such as 30s or 1m30s", param, ctx)
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
        return sum(float(number) * self._PARTS[unit] for number, unit in parts)


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is no URL, such as http://10.0.0.5:{DEFAULT_PORT}")
    return value


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=default_data_dir,
    show_default="HOMEPORT_DATA_DIR or ~/.homeport",
)
@click.option(
    "--endpoint",
    envvar="AWS_ENDPOINT_URL",
    callback=_url,
    default=f"http://127.0.0.1:{DEFAULT_PORT}",
    show_default=True,
    help="The control plane.",
)
@click.option(
    "--region", default=lambda: os.environ.get("AWS_REGION", DEFAULT_REGION), show_default="AWS_REGION or us-east-1"
)
@click.option("--cluster", envvar="ECS_CLUSTER", default="default", show_default=True)
@click.option("--availability-zone", help="Where this host is, such as us-east-1a; default: the region's first.")
@click.option(
    "--address",
    envvar="HOMEPORT_ADDRESS",
    help="Where load balancers reach this host's ports; default: the address from which it "
    "reaches the endpoint, and Docker's bridge where that is on this host.",
)
@click.option(
    "--attribute", multiple=True, callback=_pairs, help="NAME=VALUE, custom attribute of this container instance."
)
@click.option("--tag", multiple=True, callback=_pairs, help="KEY=VALUE, tag of this container instance.")
@click.option("--docker-host", envvar="DOCKER_HOST", default="unix:///var/run/docker.sock", show_default=True)
@click.option(
    "--pull-behavior",
    envvar="ECS_IMAGE_PULL_BEHAVIOR",
    type=click.Choice(["default", "always", "once", "prefer-cached"]),
    default="default",
    show_default=True,
)
@click.option(
    "--stop-timeout",
    envvar="ECS_CONTAINER_STOP_TIMEOUT",
    type=Duration(),
    default="30s",
    show_default=True,
    help="From stop signal to SIGKILL, of containers without a stopTimeout.",
)
@click.option(
    "--cleanup-wait",
    envvar="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
    type=Duration(),
    default="3h",
    show_default=True,
    help="How long a stopped task's containers stay.",
)
@click.option(
    "--reserved-memory",
    envvar="ECS_RESERVED_MEMORY",
    type=int,
    default=0,
    show_default=True,
    help="MiB kept from tasks.",
)
@click.option("--cpu-units", type=int, help="Offer this many CPU units instead of what the engine has.")
@click.option("--memory", type=int, help="Offer this many MiB instead of what the engine has.")
@click.option("--task-endpoint-address", default="169.254.170.2", show_default=True)
@click.option("--task-endpoint-port", type=int, default=80, show_default=True)
@click.option("--introspection-port", type=int, default=51678, show_default=True)
@click.option("--log-intake-port", type=int, default=51681, show_default=True)
@click.option(
    "--dns-address",
    default="169.254.169.253",
    show_default=True,
    help="Where tasks resolve the names of load balancers; empty for nowhere.",
)
@click.option("--dns-port", type=int, default=53, show_default=True)
@click.option("--log-level", default="info", show_default=True)
def main(
    data_dir: Path,
    endpoint: str,
    region: str,
    cluster: str,
    availability_zone: str | None,
    address: str | None,
    attribute: dict[str, str],
    tag: dict[str, str],
    docker_host: str,
    pull_behavior: str,
    stop_timeout: float,
    cleanup_wait: float,
    reserved_memory: int,
    cpu_units: int | None,
    memory: int | None,
    task_endpoint_address: str,
    task_endpoint_port: int,
    introspection_port: int,
    log_intake_port: int,
    dns_address: str,
    dns_port: int,
    log_level: str,
) -> None:
    """Run a Homeport agent: this host becomes a container instance. Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
    configure_logging(level=log_level, json_lines=not sys.stderr.isatty())
    if not os.environ.get("AWS_ACCESS_KEY_ID") or not os.environ.get("AWS_SECRET_ACCESS_KEY"):
        raise click.ClickException(
            'no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (eval "$(homeport env)" on the server prints them)'
        )
    config = AgentConfig(
        data_dir=data_dir.absolute(),
        endpoint=endpoint,
        region=region,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        session_token=os.environ.get("AWS_SESSION_TOKEN"),
        cluster=cluster,
        docker_host=docker_host,
        availability_zone=availability_zone,
        address=address or reachable_address(endpoint),
        instance_attributes=attribute,
        instance_tags=tag,
        image_pull_behavior=pull_behavior,
        container_stop_timeout=max(1.0, stop_timeout),
        task_cleanup_wait=max(1.0, cleanup_wait),
        reserved_memory_mib=reserved_memory,
        total_cpu_units=cpu_units,
        total_memory_mib=memory,
        task_endpoint_address=task_endpoint_address,
        task_endpoint_port=task_endpoint_port,
        introspection_port=introspection_port,
        log_intake_port=log_intake_port,
        dns_address=dns_address or None,
        dns_port=dns_port,
        log_level=log_level,
    )
    sys.exit(_run(config))


def _run(config: AgentConfig) -> int:
    """The exit code; what a user can mend ends in a sentence instead of a traceback."""
    try:
        return asyncio.run(run_agent(config))
    except Permanent as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise click.ClickException(f"{config.data_dir / 'agent.db'} is in use: one agent a directory") from error


if __name__ == "__main__":
    main()
