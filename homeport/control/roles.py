"""Session credentials of a task's two roles: made here, carried by the agent, asked for by the containers."""

from homeport.base.arn import Arns, last_part, parse_arn
from homeport.base.clock import iso8601
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.base.session import mint_session
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.shapes import ecs as shapes

TASK_ROLE = "TaskApplication"
EXECUTION_ROLE = "TaskExecution"


class RoleCredentialsMaker:
    """Makes credentials that last `lifetime` seconds. They need no storage: the token holds the session."""

    def __init__(self, arns: Arns, sealer: Sealer, ids: Ids, lifetime: float) -> None:
        self._arns = arns
        self._sealer = sealer
        self._ids = ids
        self.lifetime = lifetime

    def make_all(self, task: Task, definition: shapes.TaskDefinition, now: float) -> dict[str, acs.RoleCredentials]:
        """Credentials by role type, for the roles that the (effective) definition names."""
        roles = (
            (TASK_ROLE, definition.task_role_arn, task.credentials_id),
            (EXECUTION_ROLE, definition.execution_role_arn, task.execution_credentials_id),
        )
        return {
            role_type: self._make(task, role_arn, credentials_id, now)
            for role_type, role_arn, credentials_id in roles
            if role_arn and credentials_id
        }

    def _make(self, task: Task, role_arn: str, credentials_id: str, now: float) -> acs.RoleCredentials:
        """New credentials for the session that AWS would name after the task; the id stays the same over renewals."""
        parsed = parse_arn(role_arn)
        account = parsed.account if parsed and parsed.account else self._arns.account_id
        session = mint_session(
            self._sealer,
            self._ids,
            principal_arn=f"arn:aws:sts::{account}:assumed-role/{last_part(role_arn)}/{task.id}",
            account_id=account,
            task_arn=task.arn,
            now=now,
            lifetime=self.lifetime,
        )
        return acs.RoleCredentials(
            credentials_id=credentials_id,
            role_arn=role_arn,
            access_key_id=session.access_key_id,
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            expiration=iso8601(session.expires_at),
        )


def has_role(task: Task) -> bool:
    """Whether an agent needs credentials for the task: an id was drawn for each role when the task was made."""
    return task.credentials_id is not None or task.execution_credentials_id is not None
