"""A task of the payload becomes a record of ours, or is refused with ECS's reason. Pure."""

from msgspec.structs import replace

from homeport.agent.dependencies import unresolvable
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.volumes import docker_name
from homeport.base.ids import derived_uuid
from homeport.shapes import acs

_NETWORK_MODES = {None, "", "bridge", "host", "none"}


def new_record(spec: acs.Task, now: float, *, endpoint_seed: str, task_limits: bool) -> TaskRecord:
    """The record of a task just received; one that cannot run is already on its way to STOPPED, with the reason, and so
    is one that is to be stopped before it was ever heard of.

    `endpoint_seed` is this agent's secret: endpoint ids must not be guessed from public names.
    """
    containers = tuple(
        ContainerRecord(
            spec=container,
            docker_name=docker_name(spec, container.name),
            endpoint_id=derived_uuid(endpoint_seed, spec.arn, container.name),
        )
        for container in spec.containers or ()
    )
    refusal = refuse(spec)
    is_to_stop = refusal is not None or spec.desired_status == "STOPPED"
    role, execution_role = spec.role_credentials, spec.execution_role_credentials
    return TaskRecord(
        spec=_without_credentials(spec),
        containers=containers,
        desired=ContainerStatus.STOPPED if is_to_stop else ContainerStatus.RUNNING,
        reason=refusal,
        accepted_at=now,
        credentials_id=role.credentials_id if role else None,
        execution_credentials_id=execution_role.credentials_id if execution_role else None,
        cgroup_parent=None if task_limits and not refusal else "",
    )


def refuse(spec: acs.Task) -> str | None:
    """Why this agent cannot run the task, as `Name: text`; None if it can."""
    if not spec.containers:
        return "UnrecognizedTaskError: Error loading task - the task has no containers"
    if unresolvable(spec.containers):
        return f"Task dependencies cannot be resolved, taskArn: {spec.arn}"
    return _refuse_task(spec) or _refuse_containers(spec.containers) or _refuse_volumes(spec)


def _refuse_task(spec: acs.Task) -> str | None:
    if spec.network_mode not in _NETWORK_MODES:
        return f"ResourceInitializationError: network mode {spec.network_mode} is not supported by this agent"
    if spec.pid_mode == "task" or spec.ipc_mode == "task":
        return "ResourceInitializationError: pidMode and ipcMode task are not supported by this agent"
    if spec.memory and any(container.memory > spec.memory for container in spec.containers or ()):
        return "ResourceInitializationError: a container's memory limit exceeds that of its task"
    return None


def _refuse_containers(containers: tuple[acs.Container, ...]) -> str | None:
    for container in containers:
        if container.secrets:
            return f"ResourceInitializationError: secrets of container {container.name} are not supported by this agent"
        if container.overrides not in {"", "{}"}:
            return f"UnrecognizedTaskError: Error loading task - overrides of container {container.name} must be merged"
        if container.registry_authentication:
            return f"CannotPullContainerAuthError: registry credentials of {container.name} are not supported by this agent"
    return None


def _refuse_volumes(spec: acs.Task) -> str | None:
    for volume in spec.volumes or ():
        if volume.type not in {"host", "docker"}:
            return f"ResourceInitializationError: volume type {volume.type} is not supported by this agent"
        if volume.type == "host" and volume.host is None:
            return f"UnrecognizedTaskError: Error loading task - volume {volume.name} has no host object"
    return None


def _without_credentials(spec: acs.Task) -> acs.Task:
    """Secret keys stay in memory: the journal never holds them."""
    return replace(spec, role_credentials=None, execution_role_credentials=None)
