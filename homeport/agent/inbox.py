"""What an agent does with each message of its ACS connection, and what it answers. Nothing here waits."""

from typing import Protocol

from msgspec import Struct

from homeport.agent.record import ContainerStatus, TaskRecord
from homeport.agent.state import AgentState
from homeport.base.log import get_logger
from homeport.shapes import acs

log = get_logger("inbox")


class Tasks(Protocol):
    def all(self) -> tuple[TaskRecord, ...]: ...
    def by_arn(self, task_arn: str) -> TaskRecord | None: ...
    def accept(self, spec: acs.Task) -> None: ...
    def stop(self, task_arn: str) -> None: ...


class CredentialStore(Protocol):
    """Where role credentials live: in memory only. `role_type` is TaskApplication or TaskExecution."""

    def put(self, task_arn: str, role_type: str, credentials: acs.RoleCredentials) -> None: ...


class Inbox:
    """Handles the messages of one connection: sequence numbers and stop verification start anew with each."""

    def __init__(self, tasks: Tasks, credentials: CredentialStore, state: AgentState) -> None:
        self._tasks = tasks
        self._credentials = credentials
        self._state = state
        self._latest = -1
        self._verifying: str | None = None

    def handle(self, message: Struct) -> tuple[Struct, ...]:
        """Act on a message; returns the frames to answer with."""
        match message:
            case acs.HeartbeatMessage():
                return (acs.HeartbeatAckRequest(message_id=message.message_id),)
            case acs.PayloadMessage():
                return self._payload(message)
            case acs.IAMRoleCredentialsMessage():
                return self._role_credentials(message)
            case acs.TaskManifestMessage():
                return self._manifest(message)
            case acs.TaskStopVerificationAck():
                return self._verified(message)
            case acs.PerformUpdateMessage():
                return (
                    acs.NackRequest(
                        cluster=message.cluster_arn,
                        container_instance=message.container_instance_arn,
                        message_id=message.message_id,
                        reason="Updates are disabled",
                    ),
                )
            case acs.CloseMessage():
                log.info("close_announced", text=message.message)
        return ()

    def _payload(self, message: acs.PayloadMessage) -> tuple[Struct, ...]:
        """Stops before starts; acknowledged once the tasks are on disk."""
        self._latest = max(self._latest, message.seq_num)
        answers: list[Struct] = [_ack(message)]
        for task in sorted(message.tasks, key=lambda each: each.desired_status != "STOPPED"):
            answers.extend(self._take_credentials(message.message_id, task))
            self._tasks.accept(task)
        self._state.flush()
        return tuple(answers)

    def _take_credentials(self, message_id: str, task: acs.Task) -> list[Struct]:
        acks: list[Struct] = []
        carried = (("TaskApplication", task.role_credentials), ("TaskExecution", task.execution_role_credentials))
        for role_type, credentials in carried:
            if credentials is not None:
                self._credentials.put(task.arn, role_type, credentials)
                acks.append(_credentials_ack(message_id, credentials))
        return acks

    def _role_credentials(self, message: acs.IAMRoleCredentialsMessage) -> tuple[Struct, ...]:
        task = self._tasks.by_arn(message.task_arn)
        if task is None or task.known is ContainerStatus.STOPPED:
            return ()
        self._credentials.put(message.task_arn, message.role_type, message.role_credentials)
        return (_credentials_ack(message.message_id, message.role_credentials),)

    def _manifest(self, message: acs.TaskManifestMessage) -> tuple[Struct, ...]:
        """Whatever runs here and is not listed as RUNNING is a candidate to be stopped: the control plane confirms."""
        if message.timeline <= self._latest:
            log.info("manifest_stale", timeline=message.timeline, latest=self._latest)
            return ()
        self._latest = message.timeline
        wanted = {task.task_arn for task in message.tasks if task.desired_status == "RUNNING"}
        candidates = tuple(
            acs.ManifestTask(task_arn=task.arn, task_cluster_arn=message.cluster_arn, desired_status="STOPPED")
            for task in self._tasks.all()
            if task.desired is not ContainerStatus.STOPPED and task.arn not in wanted
        )
        if not candidates:
            return (_ack(message),)
        self._verifying = message.message_id
        return (
            _ack(message),
            acs.TaskStopVerificationMessage(message_id=message.message_id, stop_candidates=candidates),
        )

    def _verified(self, message: acs.TaskStopVerificationAck) -> tuple[Struct, ...]:
        if message.message_id != self._verifying:
            log.warning("verification_unexpected", message_id=message.message_id)
            return ()
        self._verifying = None
        for task in message.stop_tasks:
            log.info("task_unwanted", task=task.task_arn)
            self._tasks.stop(task.task_arn)
        self._state.flush()
        return ()


def _ack(message: acs.PayloadMessage | acs.TaskManifestMessage) -> acs.AckRequest:
    return acs.AckRequest(
        cluster=message.cluster_arn,
        container_instance=message.container_instance_arn,
        message_id=message.message_id,
    )


def _credentials_ack(message_id: str, credentials: acs.RoleCredentials) -> acs.IAMRoleCredentialsAckRequest:
    return acs.IAMRoleCredentialsAckRequest(
        message_id=message_id, credentials_id=credentials.credentials_id, expiration=credentials.expiration
    )
