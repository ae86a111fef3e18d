"""What services are reached by: load balancers, target groups and rules, made through the API however often it fails."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from homeport.model.vpc import DefaultVpc
from homeport.shapes import ecs, elbv2
from tests.sim.caller import REGION

Ask = Callable[[str, Any], Awaitable[Any]]
"""One call: operation and request; None for any error."""


class Front(NamedTuple):
    """Two target groups, and the rules for production and test traffic: of an application load balancer's listener, or
    (`is_stream`) two listeners of a network load balancer, which has no rules.
    """

    name: str
    groups: tuple[str, str]
    production: str
    test: str
    is_stream: bool

    def entry(self, *, is_shifting: bool, has_test: bool, role_arn: str) -> ecs.LoadBalancer:
        """The service's entry of `loadBalancers`; without `is_shifting` only the first group is known to it."""
        advanced = ecs.AdvancedConfiguration(
            alternate_target_group_arn=self.groups[1],
            production_listener_rule=self.production,
            test_listener_rule=self.test if has_test else None,
            role_arn=role_arn,
        )
        return ecs.LoadBalancer(
            target_group_arn=self.groups[0],
            container_name="main",
            container_port=80,
            advanced_configuration=advanced if is_shifting else None,
        )


class Fronts:
    """Makes fronts, one after the other; whatever an earlier attempt has made is used."""

    def __init__(self, ask: Ask, pause: Callable[[], Awaitable[None]], account_id: str) -> None:
        self._ask = ask
        self._pause = pause
        self._vpc = DefaultVpc(account_id, REGION)
        self.arns: list[str] = []

    async def make(self, name: str, number: int, *, is_stream: bool) -> Front:
        balancer = await self._balancer("net" if is_stream else "app", "network" if is_stream else "application")
        first, second = [await self._group(f"{name}-{letter}", is_stream=is_stream) for letter in "ab"]
        if is_stream:
            production = await self._listener(balancer, 8000 + number, "TCP", forward(first))
            test = await self._listener(balancer, 9000 + number, "TCP", forward(first))
        else:
            listener = await self._listener(balancer, 80, "HTTP", _not_found())
            production = await self._rule(listener, 100 + number, f"/{name}/*", forward(first))
            test = await self._rule(listener, 200 + number, f"/{name}-test/*", forward(first))
        return Front(name, (first, second), production, test, is_stream)

    async def _sure(self, operation: str, request: Any) -> Any:
        while (answer := await self._ask(operation, request)) is None:
            await self._pause()
        return answer

    def _made(self, arn: str | None) -> str:
        assert arn is not None
        self.arns.append(arn)
        return arn

    async def _balancer(self, name: str, kind: elbv2.LoadBalancerTypeEnum) -> str:
        """One that exists with the same settings is given back by CreateLoadBalancer, and so is a target group."""
        subnets = tuple(subnet.id for subnet in self._vpc.subnets)
        request = elbv2.CreateLoadBalancerInput(name=name, subnets=subnets, type=kind)
        answer = await self._sure("CreateLoadBalancer", request)
        return self._made(answer.load_balancers[0].load_balancer_arn)

    async def _group(self, name: str, *, is_stream: bool) -> str:
        request = elbv2.CreateTargetGroupInput(
            name=name,
            protocol="TCP" if is_stream else "HTTP",
            port=80,
            vpc_id=self._vpc.id,
            target_type="instance",
            health_check_protocol="HTTP",
            health_check_interval_seconds=10,
            health_check_timeout_seconds=3,
            healthy_threshold_count=2,
            unhealthy_threshold_count=2,
        )
        arn = self._made((await self._sure("CreateTargetGroup", request)).target_groups[0].target_group_arn)
        delay = elbv2.TargetGroupAttribute(key="deregistration_delay.timeout_seconds", value="5")
        change = elbv2.ModifyTargetGroupAttributesInput(target_group_arn=arn, attributes=(delay,))
        await self._sure("ModifyTargetGroupAttributes", change)
        return arn

    async def _listener(self, balancer: str, port: int, protocol: elbv2.ProtocolEnum, action: elbv2.Action) -> str:
        look = elbv2.DescribeListenersInput(load_balancer_arn=balancer)
        request = elbv2.CreateListenerInput(
            load_balancer_arn=balancer, port=port, protocol=protocol, default_actions=(action,)
        )
        while True:
            there = (await self._sure("DescribeListeners", look)).listeners or ()
            found = [each.listener_arn for each in there if each.port == port]
            if found:
                return self._made(found[0])
            await self._ask("CreateListener", request)

    async def _rule(self, listener: str, priority: int, path: str, action: elbv2.Action) -> str:
        look = elbv2.DescribeRulesInput(listener_arn=listener)
        condition = elbv2.RuleCondition(field="path-pattern", values=(path,))
        request = elbv2.CreateRuleInput(
            listener_arn=listener, conditions=(condition,), priority=priority, actions=(action,)
        )
        while True:
            there = (await self._sure("DescribeRules", look)).rules or ()
            found = [each.rule_arn for each in there if each.priority == str(priority)]
            if found:
                return self._made(found[0])
            await self._ask("CreateRule", request)


def forward(*groups: str, weights: tuple[int, ...] = ()) -> elbv2.Action:
    tuples = tuple(
        elbv2.TargetGroupTuple(target_group_arn=arn, weight=weight)
        for arn, weight in zip(groups, weights or (1,) * len(groups), strict=True)
    )
    return elbv2.Action(type="forward", forward_config=elbv2.ForwardActionConfig(target_groups=tuples))


def _not_found() -> elbv2.Action:
    return elbv2.Action(type="fixed-response", fixed_response_config=elbv2.FixedResponseActionConfig(status_code="404"))
