"""A world for tests of health checks in virtual time: one target group in use, and targets that answer as told."""

import random

from homeport.base.ids import Ids
from homeport.base.supervise import Supervisor
from homeport.control.health_checks import HealthChecks
from homeport.control.runner import Controller
from homeport.drivers.probe.fake import FakeProber
from homeport.model.container_instance import ContainerInstance
from homeport.model.load_balancer import Listener, Target, TargetGroup, target_key
from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.sim.loop import run_virtually

HOST = "10.0.0.7"
PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
GROUP = f"{PREFIX}targetgroup/web/0123456789abcdef"
KEY = target_key(GROUP, "i-1", 8000)
SETTINGS = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckIntervalSeconds": 10,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 3,
    "UnhealthyThresholdCount": 2,
    "HealthCheckPath": "/ping",
    "Matcher": {"HttpCode": "200,202,300-399"},
}


def a_group(arn=GROUP, protocol="HTTP", **more):
    fields = {"name": "web", "port": 80, "vpc_id": "vpc-1", "target_type": "instance", "settings": SETTINGS}
    return TargetGroup(arn=arn, protocol=protocol, created_at=1.0, **(fields | more))


def a_target(number=0, group=GROUP, **more):
    port = 8000 + number
    fields = {"key": target_key(group, "i-1", port), "target_group_arn": group, "id": "i-1", "port": port}
    return Target(**({"registered_at": 1.0} | fields | more))


def forward_to(*groups):
    return ({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn} for arn in groups]}},)


def a_listener(*groups):
    arn = f"{PREFIX}listener/app/lb/1/2"
    return Listener(
        arn=arn, load_balancer_arn="lb", port=80, protocol="HTTP", default_actions=forward_to(*groups), created_at=1.0
    )


class World:
    """A store, a controller with health checks only, and targets that answer as told."""

    def __init__(self, clock, most=256, **group):
        self.clock = clock
        self.prober = FakeProber()
        self.journal = MemoryJournal()
        self.store = Store(self.journal, clock, Ids(random.Random(1)))
        self.put("target_groups", a_group(**group))
        self.put("listeners", a_listener(GROUP))
        address = shapes.Attribute(name="homeport.address", value=HOST)
        fields = {"cluster_arn": "c", "ec2_instance_id": "i-1", "registered": Resources(), "attributes": (address,)}
        self.put("container_instances", ContainerInstance(arn="instance", **fields))
        self.supervisor = Supervisor(clock)
        self._most = most
        self.start()

    def start(self):
        checks = HealthChecks(self.prober, self.supervisor, random.Random(1), self._most)
        self.controller = Controller(self.store, self.clock, self.supervisor, (checks,))
        self.controller.start()

    def put(self, table, *rows):
        def change(tx):
            for row in rows:
                getattr(tx, table).put(row)

        self.store.update(change)

    def target(self, key=KEY):
        return self.store.read.targets.get(key)

    @property
    def told(self):
        target = self.target()
        return target.state, target.reason, target.description

    async def close(self):
        await self.controller.stop()
        await self.supervisor.close()


def virtually(**options):
    """Runs the test's body with a world in virtual time."""

    def decorate(body):
        def test():
            async def main(clock):
                world = World(clock, **options)
                await body(world)
                assert not world.supervisor.failed.done()
                await world.close()

            run_virtually(main, seed=3)

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return decorate


HEALTHY = ("healthy", None, None)
CHECKING = ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
REFUSED = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
