"""Services behind load balancers, most of which shift traffic as they deploy: who asks for them."""

import random
from typing import Any

from msgspec.structs import replace

from homeport.base.clock import Clock
from homeport.drivers.engine.fake_parts import Behaviour
from homeport.shapes import ecs, elbv2
from tests.sim.caller import Caller
from tests.sim.clients import Doing, Promises, container
from tests.sim.fronts import Front, Fronts, forward
from tests.sim.services import NO_BREAKER, ServiceOperator

#: What containers of these images do; what they answer is `data_plane.WEBS`.
BEHAVIOURS = {
    "web": Behaviour(teardown_takes=0.1),
    "late-web": Behaviour(stop_takes=2.0),
    "sick-web": Behaviour(),
    "fading-web": Behaviour(),
    "dying-web": Behaviour(exit_after=30.0, exit_code=3),
    "broken-web": Behaviour(start_error="OCI runtime create failed: exec: no such file or directory"),
}
GOOD = ("web", "late-web")
_REVISIONS = (*GOOD, *GOOD, *GOOD, *BEHAVIOURS)
_SHIFTING = ("BLUE_GREEN", "LINEAR", "CANARY")
#: Stages at which a PAUSE hook may wait.
_PAUSES = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
)


class BalancedOperator(ServiceOperator):
    """Creates, deploys, interrupts and deletes services behind load balancers. `finish` leaves them with a good revision."""

    def __init__(
        self, name: str, caller: Caller, elbv2_caller: Caller, clock: Clock, rng: random.Random, promises: Promises
    ) -> None:
        super().__init__(name, caller, clock, rng, promises)
        self._elbv2 = elbv2_caller
        self._fronts: dict[str, Front] = {}
        self._role_arn = ""
        self._meddled: set[str] = set()

    async def prepare(self) -> None:
        account_id = ""
        for image in BEHAVIOURS:
            port = ecs.PortMapping(container_port=80, host_port=0)
            main = container("main", image, memory=64, cpu=32, port_mappings=(port,))
            request = ecs.RegisterTaskDefinitionRequest(family=image, container_definitions=(main,))
            while (answer := await self._try("RegisterTaskDefinition", request)) is None:
                await self._clock.sleep(1)
            account_id = answer.task_definition.task_definition_arn.split(":")[4]
        self._role_arn = f"arn:aws:iam::{account_id}:role/ecs"
        fronts = Fronts(self._ask, lambda: self._clock.sleep(1), account_id)
        for number, name in enumerate(self.names):
            self._fronts[name] = await fronts.make(name, number, is_stream=number % 2 == 1)
        self._promises.balancing.update(fronts.arns)

    async def _ask(self, operation: str, request: Any) -> Any:
        return await self._try(operation, request, self._elbv2)

    async def work(self, pause: float) -> None:
        """Slower than others, so that deployments come as far as their last stages, too."""
        await self.prepare()
        await super().work(2 * pause)

    def doings(self) -> list[Doing]:
        doings = [self._create] * 4 + [self._deploy] * 5 + [self._scale] * 2 + [self._continue] * 3
        doings += [self._interrupt, self._reshape, self._delete, self._look, self._stop_one]
        return [*doings, self._deregister, self._meddle]

    # ---- services ----------------------------------------------------------------------------------------------

    async def _create(self) -> None:
        front = self._fronts[self._rng.choice(self.names)]
        is_shifting = self._rng.random() < 0.85
        has_test = self._rng.random() < 0.5
        entry = front.entry(is_shifting=is_shifting, has_test=has_test, role_arn=self._role_arn)
        request = ecs.CreateServiceRequest(
            service_name=front.name,
            task_definition=self._revision(),
            desired_count=self._rng.randint(1, 3),
            load_balancers=(entry,),
            deployment_configuration=self._configuration(self._strategy() if is_shifting else "ROLLING"),
            health_check_grace_period_seconds=self._rng.choice([None, 0, 30]),
        )
        answer = await self._try("CreateService", request)
        if answer is not None:
            self._promises.services.add(answer.service.service_arn)

    def _revision(self) -> str:
        return self._rng.choice(_REVISIONS)

    def _strategy(self) -> Any:
        return self._rng.choice(["ROLLING", *_SHIFTING, *_SHIFTING])

    def _configuration(self, strategy: Any) -> ecs.DeploymentConfiguration:
        rng = self._rng
        minimum, maximum = rng.choice([(100, 200), (50, 100), (50, 200)])
        shifts = strategy != "ROLLING"
        minutes = lambda: rng.choice([0, 0, 1])
        linear = ecs.LinearConfiguration(step_percent=rng.choice([50.0, 33.3]), step_bake_time_in_minutes=minutes())
        canary = ecs.CanaryConfiguration(canary_percent=rng.choice([50.0, 2.5]), canary_bake_time_in_minutes=minutes())
        return ecs.DeploymentConfiguration(
            strategy=strategy,
            minimum_healthy_percent=minimum,
            maximum_percent=maximum,
            bake_time_in_minutes=minutes() if shifts else None,
            lifecycle_hooks=self._hooks() if shifts else None,
            linear_configuration=linear if strategy == "LINEAR" else None,
            canary_configuration=canary if strategy == "CANARY" else None,
            deployment_circuit_breaker=ecs.DeploymentCircuitBreaker(
                enable=rng.random() < 0.7, rollback=rng.random() < 0.7
            ),
        )

    def _hooks(self) -> tuple[ecs.DeploymentLifecycleHook, ...]:
        """Pauses of a minute at a few stages, after which the deployment goes on or is rolled back."""
        rng = self._rng
        return tuple(
            ecs.DeploymentLifecycleHook(
                target_type="PAUSE",
                lifecycle_stages=tuple(rng.sample(_PAUSES, rng.randint(1, 2))),
                timeout_configuration=ecs.DeploymentLifecycleHookTimeoutConfiguration(
                    timeout_in_minutes=1, action=rng.choice(["CONTINUE", "ROLLBACK"])
                ),
            )
            for _ in range(rng.choice([0, 0, 1, 2]))
        )

    async def _deploy(self) -> None:
        if self._rng.random() < 0.3:
            await self._update(force_new_deployment=True)
        else:
            await self._update(task_definition=self._revision())

    async def _reshape(self) -> None:
        """Another way to deploy, at once or from the next deployment on."""
        await self._update(
            deployment_configuration=self._configuration(self._strategy()),
            force_new_deployment=self._rng.random() < 0.5,
        )

    # ---- deployments under way ---------------------------------------------------------------------------------

    async def _under_way(self) -> ecs.ServiceDeployment | None:
        request = ecs.ListServiceDeploymentsRequest(
            service=self._rng.choice(self.names), status=("PENDING", "IN_PROGRESS")
        )
        listed = await self._try("ListServiceDeployments", request)
        arns = tuple(each.service_deployment_arn for each in (listed and listed.service_deployments) or ())
        if not arns:
            return None
        described = await self._try(
            "DescribeServiceDeployments", ecs.DescribeServiceDeploymentsRequest(service_deployment_arns=arns[:1])
        )
        return next(iter((described and described.service_deployments) or ()), None)

    async def _continue(self) -> None:
        attempt = await self._under_way()
        waiting = [
            each for each in (attempt and attempt.lifecycle_hook_details) or () if each.status == "AWAITING_ACTION"
        ]
        if attempt is not None and waiting:
            request = ecs.ContinueServiceDeploymentRequest(
                service_deployment_arn=attempt.service_deployment_arn or "",
                hook_id=self._rng.choice(waiting).hook_id or "",
                action=self._rng.choice(["CONTINUE", "CONTINUE", None, "ROLLBACK"]),
            )
            await self._try("ContinueServiceDeployment", request)

    async def _interrupt(self) -> None:
        attempt = await self._under_way()
        if attempt is not None:
            request = ecs.StopServiceDeploymentRequest(
                service_deployment_arn=attempt.service_deployment_arn or "",
                stop_type=self._rng.choice([None, "ROLLBACK", "ABORT"]),
            )
            await self._try("StopServiceDeployment", request)

    # ---- what is not theirs to do ------------------------------------------------------------------------------

    async def _deregister(self) -> None:
        """A user takes a target away, which ECS registers again."""
        group = self._rng.choice(self._fronts[self._rng.choice(self.names)].groups)
        health = await self._ask("DescribeTargetHealth", elbv2.DescribeTargetHealthInput(target_group_arn=group))
        targets = [each.target for each in (health and health.target_health_descriptions) or ()]
        if targets:
            request = elbv2.DeregisterTargetsInput(target_group_arn=group, targets=(self._rng.choice(targets),))
            await self._ask("DeregisterTargets", request)

    async def _meddle(self) -> None:
        """A user shifts traffic by hand."""
        front = self._fronts[self._rng.choice(self.names)]
        self._meddled.add(front.name)
        share = self._rng.choice([0, 30, 100])
        actions = (forward(*front.groups, weights=(share, 100 - share)),)
        if front.is_stream:
            request = elbv2.ModifyListenerInput(listener_arn=front.production, default_actions=actions)
            await self._ask("ModifyListener", request)
        else:
            await self._ask("ModifyRule", elbv2.ModifyRuleInput(rule_arn=front.production, actions=actions))

    def _last_update(self, service: ecs.Service) -> ecs.UpdateServiceRequest:
        """Only a deployment that shifts puts right what was meddled with; it has no pause that nobody answers, which would
        roll it back, nor has it a circuit breaker.
        """
        entry = next(iter(service.load_balancers or ()))
        strategy = self._rng.choice(_SHIFTING) if service.service_name in self._meddled else self._strategy()
        configuration = self._configuration("ROLLING" if entry.advanced_configuration is None else strategy)
        return ecs.UpdateServiceRequest(
            service=service.service_name or "",
            task_definition=self._rng.choice(GOOD),
            desired_count=2,
            deployment_configuration=replace(
                configuration,
                lifecycle_hooks=configuration.lifecycle_hooks and (),
                deployment_circuit_breaker=NO_BREAKER,
            ),
            force_new_deployment=True,
        )
