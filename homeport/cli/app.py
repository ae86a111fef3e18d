"""`homeport`: the commands of a person who runs it. Everything else is `aws ecs …` with the endpoint that `up` prints."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click
from click.core import ParameterSource

from homeport.base.config import DEFAULT_PORT, DEFAULT_REGION
from homeport.base.local import default_data_dir, read_state, region_of
from homeport.cli import local


def _absolute(_context: click.Context, _parameter: click.Parameter, data_dir: Path) -> Path:
    """The directory as an absolute path; refused if this user may not look into it."""
    try:
        is_reachable = not data_dir.exists() or os.access(data_dir, os.R_OK | os.X_OK)
    except PermissionError:
        is_reachable = False
    if not is_reachable:
        raise click.BadParameter(f"{data_dir} is another user's; become that user (sudo?) or choose another directory")
    return data_dir.absolute()


def _is_given(option: str) -> bool:
    """Whether the option stands on the command line."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    callback=_absolute,
    default=default_data_dir,
    show_default="HOMEPORT_DATA_DIR or ~/.homeport",
    help="Where all state lives.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="homeport", prog_name="homeport")
def main() -> None:
    """Amazon ECS on your own machines."""


@main.command()
@data_dir_option
@click.option(
    "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Port of the endpoint."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for other hosts' agents."
)
@click.option(
    "--region",
    default=lambda: os.environ.get("AWS_REGION", DEFAULT_REGION),
    show_default="the data directory's; of a new one AWS_REGION or us-east-1",
)
@click.option("--cluster", default="default", show_default=True, help="Cluster that this host joins.")
@click.option("--availability-zone", help="Where this host is, such as us-east-1a.")
@click.option("--detach", "-d", is_flag=True, help="Return when ready and leave it running.")
@click.option("--foreground", is_flag=True, help="Show the logs of all processes here.")
@click.option(
    "--server-option", multiple=True, help="Passed on to `homeport server`, such as --server-option=--log-level=debug."
)
@click.option("--agent-option", multiple=True, help="Passed on to `homeport agent`.")
def up(
    data_dir: Path,
    port: int,
    host: str,
    region: str,
    cluster: str,
    availability_zone: str | None,
    detach: bool,
    foreground: bool,
    server_option: tuple[str, ...],
    agent_option: tuple[str, ...],
) -> None:
    """Start the control plane and an agent for this host."""
    from homeport.cli.up import UpOptions, bring_up

    agent_options = [f"--cluster={cluster}", *agent_option]
    if availability_zone:
        agent_options.append(f"--availability-zone={availability_zone}")
    bring_up(
        UpOptions(
            data_dir=data_dir,
            host=host,
            port=port,
            region=region if _is_given("region") else region_of(data_dir) or region,
            detach=detach,
            foreground=foreground,
            server_options=tuple(server_option),
            agent_options=tuple(agent_options),
            is_port_given=_is_given("port"),
        )
    )


@main.command()
@data_dir_option
def down(data_dir: Path) -> None:
    """Stop server and agent. Containers go on; the next `up` finds them again."""
    from homeport.cli.up import bring_down

    bring_down(data_dir)


@main.command()
@data_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(data_dir: Path, as_json: bool) -> None:
    """What runs, where, and how it is. Exits 1 if the endpoint does not answer."""
    from homeport.cli.status import show_status

    sys.exit(show_status(data_dir, as_json=as_json))


@main.command()
@data_dir_option
@click.option("--port", type=int, show_default=f"that of the last `up`, or {DEFAULT_PORT}")
@click.option("--json", "as_json", is_flag=True)
def doctor(data_dir: Path, port: int | None, as_json: bool) -> None:
    """Check engine, kernel, ports and disk; say what is missing and the remedy."""
    from homeport.cli.doctor import examine

    port = port or read_state(data_dir, "server").get("port") or DEFAULT_PORT
    sys.exit(examine(data_dir, port, as_json=as_json))


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def server(options: tuple[str, ...]) -> None:
    """Run the control plane alone (see `homeport server --help`)."""
    os.execv(sys.executable, [sys.executable, "-m", "homeport.server", *options])  # noqa: S606 - replaces this process


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def agent(options: tuple[str, ...]) -> None:
    """Run an agent alone, for a further host (see `homeport agent --help`)."""
    os.execv(sys.executable, [sys.executable, "-m", "homeport.agent", *options])  # noqa: S606 - replaces this process


@main.command()
@data_dir_option
def env(data_dir: Path) -> None:
    """Print `export` lines for a shell: eval "$(homeport env)"."""
    key, endpoint = local.credentials_and_endpoint(data_dir)
    click.echo(f"export AWS_ENDPOINT_URL={endpoint}")
    click.echo(f"export AWS_ACCESS_KEY_ID={key.access_key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={key.secret_access_key}")
    click.echo(f"export AWS_REGION={key.region}")
    click.echo(f"export AWS_DEFAULT_REGION={key.region}")
    click.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")


@main.command()
@data_dir_option
@click.option("--name", default="homeport", show_default=True, help="Name of the profile.")
def profile(data_dir: Path, name: str) -> None:
    """Write an AWS profile, so that `aws --profile homeport …` just works."""
    from homeport.cli.profile import write_profile

    for path in write_profile(data_dir, name):
        click.echo(f"profile {name!r} written to {path}")
    click.echo(f"try: aws --profile {name} ecs list-clusters")


@main.group()
def explain() -> None:
    """Why something is not where you want it."""


@explain.command("task")
@data_dir_option
@click.argument("task_definition")
@click.option("--cluster", default="default", show_default=True)
@click.option(
    "--cli-input-json",
    "request_file",
    type=click.File("rb"),
    help="Further members of RunTask (constraints, strategy, overrides) as JSON.",
)
@click.option("--json", "as_json", is_flag=True)
def explain_task(
    data_dir: Path, task_definition: str, cluster: str, request_file: BinaryIO | None, as_json: bool
) -> None:
    """Every container instance and why it can or cannot take a task of TASK_DEFINITION now."""
    from homeport.cli.explain import show_explanation

    more = request_file.read() if request_file else b"{}"
    sys.exit(show_explanation(data_dir, task_definition, cluster, more, as_json=as_json))


@explain.command("service")
@data_dir_option
@click.argument("service")
@click.option("--cluster", default="default", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def explain_service(data_dir: Path, service: str, cluster: str, as_json: bool) -> None:
    """What SERVICE is waiting for, with the numbers. Exits 1 unless it is steady."""
    from homeport.cli.explain import show_service

    sys.exit(show_service(data_dir, service, cluster, as_json=as_json))


if __name__ == "__main__":
    main()
