"""A task as DescribeTasks shows it.

Rows are immutable, so the JSON of a row never changes: it is made once per row and kept (`TaskViews`). A view is found
by ARN and is good only for the very row it was made from, so nothing ever has to be invalidated.
"""

from typing import cast

import msgspec

from homeport.model.task import Container, Task
from homeport.shapes import ecs as shapes

#: How many views are kept; the oldest goes first. A task of ten containers takes about 6 KB.
KEPT_VIEWS = 4096


def task_view(task: Task, *, with_tags: bool = False) -> shapes.Task:
    """What a caller sees of a task; its tags only if asked for (DescribeTasks `include`)."""
    return shapes.Task(
        attachments=task.attachments,
        attributes=task.attributes,
        availability_zone=task.availability_zone,
        capacity_provider_name=task.capacity_provider_name,
        cluster_arn=task.cluster_arn,
        connectivity=cast("shapes.Connectivity | None", task.connectivity),
        connectivity_at=task.connectivity_at,
        container_instance_arn=task.container_instance_arn,
        containers=tuple(_container_view(task, container) for container in task.containers),
        cpu=task.cpu or str(task.resources.cpu_units),
        created_at=task.created_at,
        desired_status=task.desired_status.value,
        enable_execute_command=task.enable_execute_command,
        ephemeral_storage=task.ephemeral_storage,
        execution_stopped_at=task.execution_stopped_at,
        group=task.group,
        health_status=task.health_status(),
        inference_accelerators=(),
        last_status=task.last_status.value,
        launch_type=cast("shapes.LaunchType | None", task.launch_type),
        memory=task.memory or str(task.resources.memory_mib),
        overrides=task.overrides,
        platform_family=task.platform_family,
        platform_version=task.platform_version,
        pull_started_at=task.pull_started_at,
        pull_stopped_at=task.pull_stopped_at,
        started_at=task.started_at,
        started_by=task.started_by,
        stop_code=task.stop_code.value if task.stop_code else None,
        stopped_at=task.stopped_at,
        stopped_reason=task.stopped_reason,
        stopping_at=task.stopping_at,
        tags=task.tags if with_tags else (),
        task_arn=task.arn,
        task_definition_arn=task.task_definition_arn,
        version=task.version,
    )


def _container_view(task: Task, container: Container) -> shapes.Container:
    return shapes.Container(
        container_arn=task.container_arn(container.name),
        task_arn=task.arn,
        name=container.name,
        image=container.image,
        image_digest=container.image_digest,
        runtime_id=container.runtime_id,
        last_status=container.last_status,
        exit_code=container.exit_code,
        reason=container.reason,
        network_bindings=container.network_bindings,
        network_interfaces=(),
        health_status=container.health_status,
        managed_agents=container.managed_agents or None,
        cpu=container.cpu,
        memory=container.memory,
        memory_reservation=container.memory_reservation,
        gpu_ids=tuple(gpu_id for gpu_id in container.gpu_ids if gpu_id) or None,
    )


class TaskViews:
    """Encoded views of the rows that were asked for last."""

    def __init__(self, kept: int = KEPT_VIEWS) -> None:
        self._kept = kept
        self._views: dict[tuple[str, bool], tuple[Task, msgspec.Raw]] = {}

    def view(self, task: Task, *, with_tags: bool = False) -> shapes.Task:
        """The JSON of `task_view`, which the encoder of an answer copies as it is."""
        with_tags = with_tags and bool(task.tags)
        key = (task.arn, with_tags)
        known = self._views.get(key)
        if known is not None and known[0] is task:
            return cast("shapes.Task", known[1])
        encoded = msgspec.Raw(msgspec.json.encode(task_view(task, with_tags=with_tags)))
        if known is None and len(self._views) >= self._kept:
            del self._views[next(iter(self._views))]
        self._views[key] = (task, encoded)
        return cast("shapes.Task", encoded)


#: The views of this process; sound for any number of stores, because a view belongs to one row.
VIEWS = TaskViews()
