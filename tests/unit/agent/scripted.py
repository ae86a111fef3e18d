"""A control plane in memory for tests of the agent: it answers calls, sends payloads, and remembers what it was told."""

import asyncio
from typing import Any

import msgspec

from homeport.base.errors import Transient
from homeport.shapes import acs, ecs

CLUSTER_ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
INSTANCE_ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "1" * 32


def task_arn(number: int) -> str:
    return f"arn:aws:ecs:us-east-1:123456789012:task/default/{number:032x}"


class ScriptedSocket:
    """One end of a websocket; the test holds the other."""

    def __init__(self) -> None:
        self.to_agent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.from_agent: list[msgspec.Struct] = []
        self.closed = False

    async def send(self, frame: bytes) -> None:
        if self.closed:
            raise Transient("closed")
        message = acs.decode_frame(frame, acs.TO_SERVER)
        assert message is not None, frame
        self.from_agent.append(message)

    async def receive(self) -> bytes | None:
        return None if self.closed else await self.to_agent.get()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = True
        self.to_agent.put_nowait(None)


class ScriptedBackend:
    """`Backend`. `down`: no call is answered; `refusals` by operation are raised once each."""

    def __init__(self) -> None:
        self.down = False
        self.refusals: dict[str, list[Exception]] = {}
        self.calls: list[tuple[str, Any]] = []
        self.sockets: list[ScriptedSocket] = []
        self.queries: list[dict[str, str]] = []
        self.instance_arn = INSTANCE_ARN
        self._sequence = 0

    async def call(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        await asyncio.sleep(0)
        if self.down:
            raise Transient("no answer")
        self.calls.append((operation, request))
        if self.refusals.get(operation):
            raise self.refusals[operation].pop(0)
        match operation:
            case "RegisterContainerInstance":
                return ecs.RegisterContainerInstanceResponse(
                    container_instance=ecs.ContainerInstance(
                        container_instance_arn=request.container_instance_arn or self.instance_arn,
                        attributes=(
                            *(request.attributes or ()),
                            ecs.Attribute(name="ecs.availability-zone", value="us-east-1a"),
                        ),
                    )
                )
            case "DiscoverPollEndpoint":
                return ecs.DiscoverPollEndpointResponse(endpoint="http://acs", telemetry_endpoint="http://tcs")
        return ecs.SERVICE.operations[operation].output()

    async def connect(self, url: str, query: dict[str, str]) -> ScriptedSocket:
        await asyncio.sleep(0)
        if self.down:
            raise Transient("no answer")
        if self.refusals.get("connect"):
            raise self.refusals["connect"].pop(0)
        self.queries.append(query)
        self.sockets.append(ScriptedSocket())
        return self.sockets[-1]

    # ---- what tests do

    @property
    def socket(self) -> ScriptedSocket:
        return self.sockets[-1]

    def send(self, message: msgspec.Struct) -> None:
        self.socket.to_agent.put_nowait(acs.encode_frame(message))

    def payload(self, *tasks: acs.Task) -> acs.PayloadMessage:
        self._sequence += 1
        message = acs.PayloadMessage(
            message_id=f"payload-{self._sequence}",
            cluster_arn=CLUSTER_ARN,
            container_instance_arn=self.instance_arn,
            tasks=tasks,
            generated_at=0,
            seq_num=self._sequence,
        )
        self.send(message)
        return message

    def manifest(self, *running: str) -> acs.TaskManifestMessage:
        self._sequence += 1
        message = acs.TaskManifestMessage(
            message_id=f"manifest-{self._sequence}",
            cluster_arn=CLUSTER_ARN,
            container_instance_arn=self.instance_arn,
            generated_at=0,
            timeline=self._sequence,
            tasks=tuple(
                acs.ManifestTask(task_arn=arn, task_cluster_arn=CLUSTER_ARN, desired_status="RUNNING")
                for arn in running
            ),
        )
        self.send(message)
        return message

    def reports(self, arn: str) -> list[ecs.SubmitTaskStateChangeRequest]:
        return [
            request for operation, request in self.calls if operation == "SubmitTaskStateChange" and request.task == arn
        ]

    def statuses(self, arn: str) -> list[str | None]:
        return [request.status for request in self.reports(arn)]

    def container(self, arn: str, name: str) -> ecs.ContainerStateChange | None:
        """The last change reported of a container."""
        changes = [
            each for report in self.reports(arn) for each in report.containers or () if each.container_name == name
        ]
        return changes[-1] if changes else None


def a_container(name: str = "main", **changes: Any) -> acs.Container:
    return acs.Container(**{"name": name, "image": f"{name}:latest", "essential": True, **changes})


def a_task(number: int = 1, *containers: acs.Container, **changes: Any) -> acs.Task:
    fields: dict[str, Any] = {
        "arn": task_arn(number),
        "desired_status": "RUNNING",
        "family": "web",
        "version": "3",
        "containers": containers or (a_container(),),
        "network_mode": "bridge",
    }
    return acs.Task(**{**fields, **changes})


def a_stop(number: int = 1) -> acs.Task:
    return acs.Task(arn=task_arn(number), desired_status="STOPPED")
