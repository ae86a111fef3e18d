"""An attempt that goes by stages, with tasks that do at once what it wants, on a clock of its own."""

import itertools

from msgspec.structs import replace

from homeport.control.stages import Facts, plan_blue_green, wanted
from homeport.model import lifecycle_hooks as hooks
from homeport.model.deployment import ENDED, ServiceDeployment

HOOK_STAGES = (
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
)
PAUSABLE = tuple(stage for stage in HOOK_STAGES if stage not in ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"))
SERVICE = "arn:aws:ecs:us-east-1:123456789012:service/default/web"


def attempt_with(config, **more):
    return ServiceDeployment(
        arn="a",
        service_arn=SERVICE,
        cluster_arn="c",
        target_revision_arn="green",
        target_deployment_id="ecs-svc/2",
        source_deployment_id="ecs-svc/1",
        created_at=0.0,
        updated_at=0.0,
        configuration=config,
        **more,
    )


class Machine:
    """An attempt whose tasks do at once what it wants, unless `stuck`."""

    def __init__(self, config, *, has_blue=True, others=0):
        self.attempt = attempt_with(config)
        self.has_blue = has_blue
        self.others = others
        self.green, self.blue = 0, 2 if has_blue else 0
        self.now = 1000.0
        self.at = None
        self.stuck = self.is_busy = False
        self.entered = []
        self.numbers = itertools.count()

    def facts(self, fault=""):
        return Facts(
            desired_count=2,
            has_blue=self.has_blue,
            green_live=self.green,
            green_healthy=self.green,
            blue_live=self.blue,
            blue_healthy=self.blue,
            others_live=self.others,
            fault=fault,
        )

    def look(self, fault=""):
        outcome = plan_blue_green(self.attempt, self.facts(fault), lambda: str(next(self.numbers)), self.now)
        self.attempt, self.at = outcome
        look = (self.attempt.stage, self.attempt.step)
        if not self.entered or self.entered[-1] != look:
            self.entered.append(look)
        if not self.stuck and self.attempt.status not in ENDED:
            counts = wanted(self.attempt, 2)
            before = (self.green, self.blue, self.others)
            self.green, self.blue, self.others = counts.green, counts.blue if self.has_blue else 0, 0
            self.is_busy = before != (self.green, self.blue, self.others)

    def wait(self):
        """Let time pass until it changes something."""
        if self.at is not None:
            self.now = max(self.now, self.at)

    def go_on(self, until, most=300):
        """Look and wait until a stage or status is reached."""
        for _ in range(most):
            self.look()
            if until in (self.attempt.stage, self.attempt.status):
                return
            if self.attempt.hooks and hooks.open_until(self.attempt) is not None:
                self.answer("SUCCEEDED")
            elif not self.is_busy:
                self.wait()
        raise AssertionError(self.attempt)

    def answer(self, status):
        for state in self.attempt.hooks:
            if state.status in ("AWAITING_ACTION", "IN_PROGRESS"):
                self.attempt = hooks.with_hook(self.attempt, replace(state, status=status), self.now)
