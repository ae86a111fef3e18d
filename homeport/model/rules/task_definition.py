"""RegisterTaskDefinition: every rule in order, then the definition as ECS gives it back.

Given settings come back as given (a role that is an empty string is none). Added are the defaults that ECS fills in
(cpu 0, essential, empty lists, protocol, host port), the revision and who registered it, `compatibilities` and
`requiresAttributes`.
"""

import msgspec
from msgspec.structs import replace

from homeport.model.expression import ExpressionError, parse
from homeport.model.rules.capabilities import required_attributes
from homeport.model.rules.compatibility import compatibilities
from homeport.model.rules.containers import check_container
from homeport.model.rules.dependencies import check_dependencies
from homeport.model.rules.logging import check_log_routing
from homeport.model.rules.names import check_container_name, check_family, check_image
from homeport.model.rules.network import check_network, filled_ports, network_mode
from homeport.model.rules.sizes import check_sizes, cpu_units, memory_mib
from homeport.model.rules.volumes import check_volumes, filled_volumes
from homeport.shapes import ecs as shapes

Request = shapes.RegisterTaskDefinitionRequest

MOST_CONTAINERS = 10
MOST_BYTES = 64 * 1024
MOST_CONSTRAINTS = 10
LONGEST_EXPRESSION = 2_000
_ENCODER = msgspec.json.Encoder()


def register(
    wanted: Request, *, arn: str, revision: int, registered_at: float, registered_by: str
) -> shapes.TaskDefinition:
    """The definition that a request asks for; raises ClientException or InvalidParameterException for a bad one."""
    cpu, memory = check(wanted)
    mode = network_mode(wanted.network_mode)
    definition = shapes.TaskDefinition(
        task_definition_arn=arn,
        container_definitions=tuple(_filled(container, mode) for container in wanted.container_definitions),
        family=wanted.family,
        task_role_arn=wanted.task_role_arn or None,
        execution_role_arn=wanted.execution_role_arn or None,
        network_mode=wanted.network_mode,
        revision=revision,
        volumes=filled_volumes(wanted.volumes),
        status="ACTIVE",
        placement_constraints=wanted.placement_constraints or (),
        compatibilities=compatibilities(wanted, cpu, memory),
        runtime_platform=wanted.runtime_platform,
        requires_compatibilities=wanted.requires_compatibilities,
        cpu=None if cpu is None else str(cpu),
        memory=None if memory is None else str(memory),
        inference_accelerators=wanted.inference_accelerators,
        pid_mode=wanted.pid_mode,
        ipc_mode=wanted.ipc_mode,
        proxy_configuration=wanted.proxy_configuration,
        registered_at=registered_at,
        registered_by=registered_by,
        ephemeral_storage=wanted.ephemeral_storage,
        enable_fault_injection=wanted.enable_fault_injection,
        trusted_execution_configuration=wanted.trusted_execution_configuration,
    )
    return replace(definition, requires_attributes=required_attributes(definition))


def check(wanted: Request) -> tuple[int | None, int | None]:
    """Every rule but the compatibilities; returns the task's CPU units and MiB, None where not given."""
    check_family(wanted.family)
    _check_containers(wanted.container_definitions)
    if len(_ENCODER.encode(replace(wanted, tags=None))) > MOST_BYTES:
        raise shapes.ClientException(f"The size of the task definition is greater than {MOST_BYTES // 1024} KB.")
    cpu = cpu_units(wanted.cpu) if wanted.cpu is not None else None
    memory = memory_mib(wanted.memory) if wanted.memory is not None else None
    check_sizes(wanted.container_definitions, cpu, memory)
    check_network(wanted)
    check_dependencies(wanted.container_definitions)
    check_volumes(wanted)
    for container in wanted.container_definitions:
        check_container(container, wanted.execution_role_arn)
    check_log_routing(wanted.container_definitions)
    _check_constraints(wanted.placement_constraints or ())
    _check_task_settings(wanted)
    return cpu, memory


def _check_containers(containers: tuple[shapes.ContainerDefinition, ...]) -> None:
    """How many there are, and that each has a name of its own and an image."""
    if not containers:
        raise shapes.ClientException("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise shapes.ClientException("Too many containers.")
    names: set[str] = set()
    for container in containers:
        name = check_container_name(container.name)
        if name in names:
            raise shapes.ClientException(f"Duplicate container name '{name}'.")
        names.add(name)
        check_image(container.image)


def _check_constraints(constraints: tuple[shapes.TaskDefinitionPlacementConstraint, ...]) -> None:
    """A definition may only constrain by memberOf, with an expression of the cluster query language."""
    if len(constraints) > MOST_CONSTRAINTS:
        raise shapes.ClientException(f"A task definition can have at most {MOST_CONSTRAINTS} placement constraints.")
    for constraint in constraints:
        expression = constraint.expression or ""
        if constraint.type is None or not expression.strip():
            raise shapes.ClientException("A placement constraint must have the type memberOf and an expression.")
        if len(expression) > LONGEST_EXPRESSION:
            raise shapes.ClientException(
                f"The expression of a placement constraint can have at most {LONGEST_EXPRESSION} characters."
            )
        try:
            parse(expression)
        except ExpressionError as error:
            raise shapes.ClientException(f"Invalid expression '{expression}': {error}") from None


def _check_task_settings(wanted: Request) -> None:
    proxy = wanted.proxy_configuration
    names = {container.name for container in wanted.container_definitions}
    if proxy is not None and proxy.container_name not in names:
        raise shapes.ClientException(f"Unknown proxy container '{proxy.container_name}'.")
    if proxy is not None and wanted.network_mode != "awsvpc":
        raise shapes.ClientException("Proxy configuration is only supported when networkMode=awsvpc.")
    if wanted.enable_fault_injection and wanted.network_mode not in ("awsvpc", "host"):
        raise shapes.ClientException("Fault injection is only supported when networkMode is awsvpc or host.")
    devices = {accelerator.device_name for accelerator in wanted.inference_accelerators or ()}
    for container in wanted.container_definitions:
        for need in container.resource_requirements or ():
            if need.type == "InferenceAccelerator" and need.value not in devices:
                raise shapes.ClientException(f"Unknown inference accelerator '{need.value}'.")
    _check_system_controls(wanted)


def _check_system_controls(wanted: Request) -> None:
    """Kernel parameters of a namespace that the containers share with the host cannot be set."""
    for container in wanted.container_definitions:
        for control in container.system_controls or ():
            namespace = control.namespace or ""
            is_ipc = namespace.startswith(("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."))
            if not is_ipc and not namespace.startswith("net."):
                raise shapes.ClientException(
                    f"Invalid 'systemControls' setting for container '{container.name}': '{namespace}' is not supported."
                )
            if namespace.startswith("net.") and wanted.network_mode == "host":
                raise shapes.ClientException("Network systemControls are not supported when networkMode=host.")
            if is_ipc and wanted.ipc_mode == "host":
                raise shapes.ClientException("IPC systemControls are not supported when ipcMode=host.")


def _filled(container: shapes.ContainerDefinition, mode: str) -> shapes.ContainerDefinition:
    """A container with the defaults that ECS shows."""
    return replace(
        container,
        cpu=container.cpu or 0,
        essential=container.essential is not False,
        port_mappings=filled_ports(container.port_mappings or (), mode),
        environment=container.environment or (),
        mount_points=container.mount_points or (),
        volumes_from=container.volumes_from or (),
        system_controls=container.system_controls or (),
    )
