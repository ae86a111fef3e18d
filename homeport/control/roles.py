"""Session credentials of a task's two roles: made here, carried by the agent, asked for by the containers."""

from msgspec import Struct

from homeport.base.arn import Arns, last_part, parse_arn
from homeport.base.clock import iso8601
from homeport.base.ids import Ids, derived_uuid
from homeport.base.seal import Sealer
from homeport.base.session import mint_session
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.shapes import ecs as shapes

TASK_ROLE = "TaskApplication"
EXECUTION_ROLE = "TaskExecution"


class RoleArns(Struct, frozen=True, kw_only=True):
    """The roles a task runs with after overrides; None where it has none."""

    task: str | None
    execution: str | None

    def __bool__(self) -> bool:
        return self.task is not None or self.execution is not None


def roles_of(task: Task, definition: shapes.TaskDefinition | None) -> RoleArns:
    """Overrides go before the task definition."""
    overrides = task.overrides
    return RoleArns(
        task=overrides.task_role_arn or (definition.task_role_arn if definition else None),
        execution=overrides.execution_role_arn or (definition.execution_role_arn if definition else None),
    )


class RoleCredentialsMaker:
    """Makes credentials that last `lifetime` seconds. They need no storage: the token holds the session."""

    def __init__(self, arns: Arns, sealer: Sealer, ids: Ids, lifetime: float) -> None:
        self._arns = arns
        self._sealer = sealer
        self._ids = ids
        self.lifetime = lifetime

    def make(self, task: Task, role_arn: str, role_type: str, now: float) -> acs.RoleCredentials:
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
            credentials_id=self._credentials_id(task, role_type),
            role_arn=role_arn,
            access_key_id=session.access_key_id,
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            expiration=iso8601(session.expires_at),
        )

    def _credentials_id(self, task: Task, role_type: str) -> str:
        """Whoever knows the id gets the credentials, so where a row has none it is derived from the secret key."""
        stored = task.credentials_id if role_type == TASK_ROLE else task.execution_credentials_id
        return stored or derived_uuid(self._sealer.derive("credentials-id", task.arn), role_type)
