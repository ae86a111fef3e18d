"""Log configurations: which drivers there are and what they need.

Source: API reference of LogConfiguration and FirelensConfiguration.
"""

from homeport.shapes import ecs as shapes

#: Options that a driver cannot do without, in the order in which they are named.
REQUIRED_OPTIONS: dict[str, tuple[str, ...]] = {
    "awslogs": ("awslogs-group", "awslogs-region"),
    "splunk": ("splunk-token", "splunk-url"),
}
FARGATE_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_MODES = ("blocking", "non-blocking")


def check_logging(container: shapes.ContainerDefinition) -> None:
    """A container's log driver has its options; a log router's options are known ones."""
    configuration = container.log_configuration
    if configuration is not None:
        options = configuration.options or {}
        given = {*options, *(secret.name for secret in configuration.secret_options or ())}
        missing = [name for name in REQUIRED_OPTIONS.get(configuration.log_driver, ()) if name not in given]
        if missing:
            raise shapes.ClientException(
                f"Log driver {configuration.log_driver} requires options: {', '.join(missing)}."
            )
        if options.get("mode", "blocking") not in _MODES:
            raise shapes.ClientException(f"Invalid log option 'mode' for container '{container.name}'.")
    router = container.firelens_configuration
    if router is not None and (router.options or {}).get("config-file-type", "file") not in ("s3", "file"):
        raise shapes.ClientException(
            f"Invalid 'firelensConfiguration' setting for container '{container.name}'."
            " The option 'config-file-type' must be s3 or file."
        )


def check_log_routing(containers: tuple[shapes.ContainerDefinition, ...]) -> None:
    """At most one log router in a task, and one wherever a container logs through it."""
    routers = [container for container in containers if container.firelens_configuration is not None]
    if len(routers) > 1:
        raise shapes.ClientException("At most one container in a task definition can have a FireLens configuration.")
    uses = any(
        container.log_configuration is not None and container.log_configuration.log_driver == "awsfirelens"
        for container in containers
    )
    if uses and not routers:
        raise shapes.ClientException(
            "When a container uses the log driver awsfirelens, one container must have a FireLens configuration."
        )
