"""A control plane without its front door, in virtual time, and an agent by the book to talk with it."""

import asyncio
import random

import msgspec
from msgspec.structs import replace

from homeport.api.acs import AcsServer
from homeport.api.tcs import TcsServer
from homeport.base.arn import Arns
from homeport.base.config import ServerConfig
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.base.supervise import Supervisor
from homeport.control.reconcilers import standard_reconcilers
from homeport.control.runner import Controller
from homeport.control.startup import close_former_sessions
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.model.status import StopCode, TaskStatus
from homeport.model.task import Container, Task
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import acs, tcs
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.sim.socket import socket_pair

ARNS = Arns("us-east-1", "123456789012")
CLUSTER = ARNS.cluster("default")
INSTANCE = ARNS.container_instance("default", "a" * 32)
DEFINITION = ARNS.task_definition("web", 1)


def a_container(name="main", **more):
    return shapes.ContainerDefinition(name=name, image="busybox", **more)


def a_definition(*containers, **more):
    return shapes.TaskDefinition(
        task_definition_arn=DEFINITION,
        family="web",
        revision=1,
        container_definitions=containers or (a_container(memory=64),),
        **more,
    )


def a_task(number=1, **more):
    fields = {
        "arn": ARNS.task("default", f"{number:032x}"),
        "cluster_arn": CLUSTER,
        "task_definition_arn": DEFINITION,
        "family": "web",
        "group": "family:web",
        "created_at": 1.0,
        "resources": Resources(),
        "containers": (Container(name="main", image="busybox"),),
        "container_instance_arn": INSTANCE,
        "last_status": TaskStatus.PENDING,
    }
    return Task(**(fields | more))


def an_instance(**more):
    fields = {"arn": INSTANCE, "cluster_arn": CLUSTER, "ec2_instance_id": "i-1", "registered": Resources()}
    return ContainerInstance(**(fields | more))


class Plane:
    """A store, both agent servers and all reconcilers. `restart` is a crash and a new process on the same journal."""

    def __init__(self, clock, seed=1, **config):
        self.clock = clock
        self.journal = MemoryJournal()
        self.config = ServerConfig(data_dir="/nonexistent", **config)
        self.ids = Ids(random.Random(seed))
        self._boot()
        self.put(Cluster(arn=CLUSTER, name="default"))
        self.put(an_instance(registered_at=clock.now()))
        self.put(TaskDefinition(arn=DEFINITION, family="web", revision=1, definition=a_definition()))

    def _boot(self):
        self.store = Store(self.journal, self.clock, self.ids)
        self.store.load()
        close_former_sessions(self.store)
        common = (self.store, ARNS, self.clock, self.ids)
        self.acs = AcsServer(*common, heartbeat_interval=self.config.heartbeat_interval)
        self.tcs = TcsServer(*common, heartbeat_interval=self.config.heartbeat_interval)
        self.supervisor = Supervisor(self.clock)
        reconcilers = standard_reconcilers(
            store=self.store,
            clock=self.clock,
            arns=ARNS,
            sealer=Sealer(b"0" * 32),
            ids=self.ids,
            sessions=self.acs,
            config=self.config,
            logs=None,
            endpoint="http://127.0.0.1:4566",
        )
        self.controller = Controller(self.store, self.clock, self.supervisor, reconcilers)
        self.controller.start()

    async def restart(self):
        await self.acs.close()
        await self.tcs.close()
        await self.supervisor.close()
        self._boot()

    async def close(self):
        await self.acs.close()
        await self.tcs.close()
        await self.supervisor.close()

    def put(self, *rows):
        tables = {
            Cluster: "clusters",
            ContainerInstance: "container_instances",
            TaskDefinition: "task_definitions",
            Task: "tasks",
        }

        def change(tx):
            for row in rows:
                getattr(tx, tables[type(row)]).put(row)

        self.store.update(change)

    def task(self, number=1):
        return self.store.read.tasks.get(a_task(number).arn)

    def instance(self):
        return self.store.read.container_instances.get(INSTANCE)

    def stop(self, number=1):
        task = self.task(number)
        self.put(task.stopping(StopCode.USER_INITIATED, "enough", self.clock.now()))

    def report(self, number, status):
        self.put(replace(self.task(number), last_status=status))


class ByTheBook:
    """The server's view of an unmodified Amazon ECS agent: acknowledges and answers exactly as that one does.

    `running` are the tasks it knows, by ARN, with their desired status; `latest` the highest sequence number it saw.
    """

    def __init__(self, plane, *, version="1.105.1"):
        self.plane = plane
        self.version = version
        self.running = {}
        self.credentials = {}
        self.received = []
        self.latest = -1
        self.stopped_by_manifest = []
        self.acknowledges = True
        self.answers_heartbeats = True
        self.has_connected = False
        self.socket = None
        self._manifest_id = None
        self._tasks = []

    def query(self):
        return {
            "agentHash": "a8b3e7d3",
            "agentVersion": self.version,
            "clusterArn": "default",
            "containerInstanceArn": INSTANCE,
            "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
            "protocolVersion": "2",
            "sendCredentials": "false" if self.has_connected else "true",
            "seqNum": "1",
        }

    async def connect(self):
        """Open the ACS connection; returns once the first messages were exchanged."""
        query = self.query()
        assert self.plane.acs.refuse(query) is None
        self.socket, far = socket_pair()
        self.has_connected = True
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self.plane.acs.accept(query, far)))
        self._tasks.append(loop.create_task(self._read(self.socket)))
        await self.plane.clock.sleep(0.5)

    async def _read(self, socket):
        while (frame := await socket.receive()) is not None:
            message = acs.decode_frame(frame, acs.TO_AGENT)
            self.received.append(message)
            for answer in self._answers(message):
                if socket.closed_with is None:
                    await socket.send(acs.encode_frame(answer))

    def _answers(self, message):
        handler = getattr(self, f"_on_{type(message).__name__}", None)
        return list(handler(message) or ()) if handler else []

    def _ack(self, message):
        return acs.AckRequest(cluster=CLUSTER, container_instance=INSTANCE, message_id=message.message_id)

    def _on_HeartbeatMessage(self, message):
        if self.answers_heartbeats:
            yield acs.HeartbeatAckRequest(message_id=message.message_id)

    def _on_PayloadMessage(self, message):
        self.latest = max(self.latest, message.seq_num)
        for task in message.tasks:
            if self.running.get(task.arn) != "STOPPED":
                self.running[task.arn] = task.desired_status
            for credentials in (task.role_credentials, task.execution_role_credentials):
                if credentials is not None:
                    self.credentials[credentials.credentials_id] = credentials
                    yield acs.IAMRoleCredentialsAckRequest(
                        message_id=message.message_id,
                        credentials_id=credentials.credentials_id,
                        expiration=credentials.expiration,
                    )
        if self.acknowledges:
            yield self._ack(message)

    def _on_IAMRoleCredentialsMessage(self, message):
        credentials = message.role_credentials
        self.credentials[credentials.credentials_id] = credentials
        if message.task_arn in self.running:
            yield acs.IAMRoleCredentialsAckRequest(
                message_id=message.message_id,
                credentials_id=credentials.credentials_id,
                expiration=credentials.expiration,
            )

    def _on_TaskManifestMessage(self, message):
        if message.timeline <= self.latest:
            return
        self.latest = message.timeline
        self._manifest_id = message.message_id
        listed = {task.task_arn for task in message.tasks if task.desired_status == "RUNNING"}
        extra = [arn for arn, desired in self.running.items() if desired == "RUNNING" and arn not in listed]
        yield self._ack(message)
        if extra:
            yield acs.TaskStopVerificationMessage(
                message_id=message.message_id,
                stop_candidates=tuple(
                    acs.ManifestTask(task_arn=arn, task_cluster_arn=CLUSTER, desired_status="STOPPED") for arn in extra
                ),
            )

    def _on_TaskStopVerificationAck(self, message):
        if message.message_id == self._manifest_id:
            self._manifest_id = None
            for task in message.stop_tasks:
                self.running[task.task_arn] = "STOPPED"
                self.stopped_by_manifest.append(task.task_arn)

    def of(self, kind):
        """The messages of this kind received so far."""
        return [message for message in self.received if isinstance(message, kind)]

    def tasks_received(self):
        return [task for payload in self.of(acs.PayloadMessage) for task in payload.tasks]

    async def lose_connection(self):
        await self.socket.close(1006)
        await self.plane.clock.sleep(0.01)

    def crash(self):
        """A new process of the same agent: it remembers its tasks, not its credentials."""
        self.has_connected = False
        self.credentials.clear()
        self.received.clear()


class Telemeter:
    """The telemetry end of the same agent: frames with header lines before the envelope."""

    def __init__(self, plane):
        self.plane = plane
        self.received = []

    async def connect(self):
        self.socket, far = socket_pair()
        query = {"cluster": "default", "containerInstance": INSTANCE, "agentVersion": "1.105.1"}
        assert self.plane.tcs.refuse(query) is None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.plane.tcs.accept(query, far)), loop.create_task(self._read())]
        await self.plane.clock.sleep(0.1)

    async def _read(self):
        while (frame := await self.socket.receive()) is not None:
            self.received.append(acs.decode_frame(frame, tcs.TO_AGENT))

    async def publish(self, message):
        headers = {"Authorization": "AWS4-HMAC-SHA256 x", "Host": "127.0.0.1", "X-Amz-Date": "20261123T000000Z"}
        await self.socket.send(tcs.with_headers(headers, acs.encode_frame(message)))
        await self.plane.clock.sleep(0.1)

    async def publish_raw(self, frame):
        await self.socket.send(frame)
        await self.plane.clock.sleep(0.1)


def decoded(text):
    return msgspec.json.decode(text)
