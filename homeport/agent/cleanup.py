"""What stopped tasks leave behind is removed: containers three hours later, their volumes and control group.

Only tasks whose STOPPED was acknowledged are touched, so `docker logs` and `docker inspect` work until then. Sources:
the Amazon ECS agent's task clean-up wait.
"""

from homeport.agent.cgroup import Cgroups
from homeport.agent.record import ContainerStatus, TaskRecord
from homeport.agent.tasks import Tasks
from homeport.agent.volumes import find_volume, plan_volume
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import Permanent, Transient
from homeport.base.log import get_logger
from homeport.drivers.engine import Engine

log = get_logger("cleanup")
LONGEST_ROUND_SECONDS = 30.0


class Cleanup:
    """A loop for the supervisor: `clean_tasks`."""

    def __init__(self, *, tasks: Tasks, engine: Engine, cgroups: Cgroups, clock: Clock, config: AgentConfig) -> None:
        self._tasks = tasks
        self._engine = engine
        self._cgroups = cgroups
        self._clock = clock
        self._config = config

    async def clean_tasks(self) -> None:
        while True:
            await self._clock.sleep(min(LONGEST_ROUND_SECONDS, self._config.task_cleanup_wait / 2))
            now = self._clock.now()
            for task in self._tasks.all():
                if is_due(task, now, self._config.task_cleanup_wait):
                    await self._remove(task)

    async def _remove(self, task: TaskRecord) -> None:
        """Remove what the task left; on failure it is tried again in the next round."""
        try:
            for container in reversed(task.containers):
                await self._engine.remove(container.docker_id or container.docker_name)
            for name in task.volumes_provisioned:
                volume = find_volume(task.spec, name)
                plan = plan_volume(task.spec, volume) if volume else None
                if plan is not None and plan.is_task_scoped:
                    await self._engine.remove_volume(plan.docker_name)
            if task.cgroup_parent:
                await self._cgroups.remove(task.id)
        except (Transient, Permanent) as error:
            log.info("cleanup_delayed", task=task.arn, error=str(error))
            return
        self._tasks.forget(task.arn)
        log.info("task_cleaned", task=task.arn)


def is_due(task: TaskRecord, now: float, wait_seconds: float) -> bool:
    """Whether a task's remains may go: stopped that long ago, and the control plane knows."""
    return (
        task.known is ContainerStatus.STOPPED
        and task.sent is ContainerStatus.STOPPED
        and task.stopped_at is not None
        and now - task.stopped_at >= wait_seconds
    )
