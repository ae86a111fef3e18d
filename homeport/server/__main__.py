"""`python -m homeport.server`: the control plane as a process of its own."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn

import click

from homeport.base.config import DEFAULT_INSTANCE_LOST_AFTER, DEFAULT_PORT, DEFAULT_REGION, ServerConfig
from homeport.base.local import default_data_dir
from homeport.base.log import configure_logging
from homeport.server.app import run_server
from homeport.server.bootstrap import WrongRegionError
from homeport.store.store import UnreadableRow

_DO_NOT_RESTART = 5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=default_data_dir,
    show_default="HOMEPORT_DATA_DIR or ~/.homeport",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=DEFAULT_PORT, show_default=True)
@click.option(
    "--region", default=lambda: os.environ.get("AWS_REGION", DEFAULT_REGION), show_default="AWS_REGION or us-east-1"
)
@click.option(
    "--instance-lost-after",
    type=float,
    default=DEFAULT_INSTANCE_LOST_AFTER,
    show_default=True,
    help="Seconds an agent may be away before its host counts as lost.",
)
@click.option(
    "--task-retention", type=float, default=3600.0, show_default=True, help="Seconds that STOPPED tasks stay visible."
)
@click.option(
    "--hosts-file",
    type=click.Path(path_type=Path),
    default=lambda: "/etc/hosts" if os.access("/etc/hosts", os.W_OK) else "",
    show_default="/etc/hosts if it may be written",
    help="File that tells this host the names of load balancers; empty for none.",
)
@click.option(
    "--lambda-endpoint",
    default=lambda: os.environ.get("HOMEPORT_LAMBDA_ENDPOINT", ""),
    show_default="HOMEPORT_LAMBDA_ENDPOINT",
    help="URL of the Lambda Invoke API for lifecycle hooks of deployments; empty: such hooks are refused.",
)
@click.option("--log-level", default="info", show_default=True)
def main(
    data_dir: Path,
    host: str,
    port: int,
    region: str,
    instance_lost_after: float,
    task_retention: float,
    hosts_file: Path,
    lambda_endpoint: str,
    log_level: str,
) -> None:
    """Run the Homeport control plane: the AWS endpoint and the schedulers behind it."""
    configure_logging(level=log_level, json_lines=not sys.stderr.isatty())
    config = ServerConfig(
        data_dir=data_dir.absolute(),
        host=host,
        port=port,
        region=region,
        instance_lost_after=instance_lost_after,
        task_retention=task_retention,
        hosts_file=hosts_file if str(hosts_file) not in ("", ".") else None,
        lambda_endpoint=lambda_endpoint or None,
        log_level=log_level,
    )
    try:
        sys.exit(_run(config))
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise click.ClickException(f"{data_dir / 'state.db'} is in use: one server a directory") from error
    except WrongRegionError as error:
        _give_up(str(error))
    except UnreadableRow as error:
        _give_up(
            f"{data_dir} was written by another version of Homeport; go on with that one, or take another ({error})"
        )


def _give_up(why: str) -> NoReturn:
    """End so that whoever restarts processes leaves this one alone."""
    click.echo(f"Error: {why}", err=True)
    sys.exit(_DO_NOT_RESTART)


def _run(config: ServerConfig) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run_server(config))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run_server(config))


if __name__ == "__main__":
    main()
