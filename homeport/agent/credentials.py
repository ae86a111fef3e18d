"""Role credentials of tasks: in memory only, served to whoever knows their id.

The id is a random UUID that only the task's own containers are told, so knowing it is the permission. After a restart
the agent knows the ids from its records but not yet the keys: those requests are told to come back.
"""

from homeport.agent.record import ContainerStatus, TaskBook
from homeport.shapes import acs

TASK_ROLE = "TaskApplication"
EXECUTION_ROLE = "TaskExecution"


class Credentials:
    """What the control plane has sent, by task and role type; the newest of each replaces the one before."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], acs.RoleCredentials] = {}
        self._owners: dict[str, tuple[str, str]] = {}

    def put(self, task_arn: str, role_type: str, credentials: acs.RoleCredentials) -> None:
        """`role_type` is TaskApplication or TaskExecution."""
        self.remove(task_arn, role_type)
        self._held[(task_arn, role_type)] = credentials
        self._owners[credentials.credentials_id] = (task_arn, role_type)

    def get(self, credentials_id: str) -> acs.RoleCredentials | None:
        owner = self._owners.get(credentials_id)
        return None if owner is None else self._held[owner]

    def owner(self, credentials_id: str) -> tuple[str, str] | None:
        """Task ARN and role type of an id that is held."""
        return self._owners.get(credentials_id)

    def of_task(self, task_arn: str, role_type: str) -> acs.RoleCredentials | None:
        return self._held.get((task_arn, role_type))

    def remove(self, task_arn: str, role_type: str | None = None) -> None:
        """Forget the credentials of one role type, or of both."""
        for kind in (TASK_ROLE, EXECUTION_ROLE) if role_type is None else (role_type,):
            held = self._held.pop((task_arn, kind), None)
            if held is not None:
                self._owners.pop(held.credentials_id, None)


def is_awaited(book: TaskBook, credentials_id: str) -> bool:
    """Whether a task that is not stopped owns the id: its credentials will be sent again."""
    return any(
        credentials_id in (task.credentials_id, task.execution_credentials_id)
        for task in book.all()
        if task.known < ContainerStatus.STOPPED
    )
