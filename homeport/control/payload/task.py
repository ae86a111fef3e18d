"""A task as the agent protocol has it. Source: agent protocol, sections A4 and B."""

from msgspec import Struct

from homeport.control.payload.container import render_container
from homeport.control.payload.volume import render_volume
from homeport.model.overrides import task_size
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.shapes import ecs as shapes


class Rendering(Struct, frozen=True, kw_only=True):
    """What the rendering depends on besides task and task definition.

    `logs_endpoint` is where an agent's host reaches CloudWatch Logs ("": AWS's own address in `region`).
    `log_mode` is the account's `defaultLogDriverMode`. The credentials are None where the task has no such role.
    """

    region: str
    logs_endpoint: str = ""
    log_mode: str = "non-blocking"
    role_credentials: acs.RoleCredentials | None = None
    execution_role_credentials: acs.RoleCredentials | None = None


def render_task(task: Task, definition: shapes.TaskDefinition, rendering: Rendering) -> acs.Task:
    """The task with all that is needed to run it; its desired status is the row's.

    `definition` is the effective one: the task's overrides are merged in already, for an agent understands none but
    the command's.
    """
    cpu, memory = task_size(definition)
    return acs.Task(
        arn=task.arn,
        desired_status=task.desired_status.value,
        family=task.family,
        version=str(definition.revision),
        containers=tuple(
            render_container(task, definition, container, rendering)
            for container in definition.container_definitions or ()
        ),
        volumes=tuple(render_volume(volume) for volume in definition.volumes or ()),
        cpu=None if cpu is None else cpu / 1024,
        memory=memory,
        role_credentials=rendering.role_credentials,
        execution_role_credentials=rendering.execution_role_credentials,
        network_mode=definition.network_mode or "bridge",
        pid_mode=definition.pid_mode,
        ipc_mode=definition.ipc_mode,
        associations=_gpu_associations(task),
        launch_type=task.launch_type or "EC2",
        service_name=task.service_name,
        group=task.group,
        task_cluster_arn=task.cluster_arn,
        enable_fault_injection=bool(definition.enable_fault_injection),
    )


def render_stop(task: Task) -> acs.Task:
    """A stop of a task that the agent certainly knows."""
    return acs.Task(arn=task.arn, desired_status="STOPPED")


def _gpu_associations(task: Task) -> tuple[acs.Association, ...] | None:
    associations = tuple(
        acs.Association(name=gpu_id, type="gpu", containers=(container.name,))
        for container in task.containers
        for gpu_id in container.gpu_ids
    )
    return associations or None
