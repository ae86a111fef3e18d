"""A service behind a load balancer whose deployments shift traffic, in the scheduler's world of virtual time.

Targets are healthy as soon as their tasks run, unless `sick` says otherwise of a task definition's revision.
"""

from msgspec.structs import replace

from homeport.model.load_balancer import Listener, Rule, Target, TargetGroup
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.traffic import groups_of
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import SERVICE, World

BLUE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/one/1"
GREEN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/two/2"
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/lb/1/1"
PRODUCTION = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/lb/1/1/1"
TEST = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/lb/1/1/2"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:check"
ROLE = "arn:aws:iam::123456789012:role/ecs"


def forward(arn):
    return {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }


def entry(test=True):
    return shapes.LoadBalancer(
        target_group_arn=BLUE,
        container_name="main",
        container_port=80,
        advanced_configuration=shapes.AdvancedConfiguration(
            alternate_target_group_arn=GREEN,
            production_listener_rule=PRODUCTION,
            test_listener_rule=TEST if test else None,
            role_arn=ROLE,
        ),
    )


def pause(*stages, minutes=None, action=None):
    timeout = shapes.DeploymentLifecycleHookTimeoutConfiguration(timeout_in_minutes=minutes, action=action)
    return shapes.DeploymentLifecycleHook(target_type="PAUSE", lifecycle_stages=stages, timeout_configuration=timeout)


def lambda_hook(*stages, details=None):
    return shapes.DeploymentLifecycleHook(
        target_type="AWS_LAMBDA", hook_target_arn=LAMBDA, role_arn=ROLE, lifecycle_stages=stages, hook_details=details
    )


def configuration(strategy="BLUE_GREEN", *, bake=5, hooks=(), step=None, step_bake=None, breaker=None):
    linear = shapes.LinearConfiguration(step_percent=step or 10.0, step_bake_time_in_minutes=step_bake or 0)
    canary = shapes.CanaryConfiguration(canary_percent=step or 5.0, canary_bake_time_in_minutes=step_bake or 0)
    return shapes.DeploymentConfiguration(
        strategy=strategy,
        minimum_healthy_percent=100,
        maximum_percent=200,
        bake_time_in_minutes=bake,
        lifecycle_hooks=tuple(hooks),
        linear_configuration=linear if strategy == "LINEAR" else None,
        canary_configuration=canary if strategy == "CANARY" else None,
        deployment_circuit_breaker=breaker,
    )


class BlueGreenWorld(World):
    """`seen` records, at each look, (status, stage, step, production percent, test percent) as it changes."""

    def __init__(self, **more):
        super().__init__(**more)
        self.sick = set()
        self.seen = []
        self.define(2)
        self.define(3)
        self.update(self._put_balancer)

    def _put_balancer(self, tx):
        for arn in (BLUE, GREEN):
            tx.target_groups.put(
                TargetGroup(
                    arn=arn,
                    name=arn[-1],
                    protocol="HTTP",
                    port=80,
                    vpc_id="vpc",
                    target_type="instance",
                    created_at=0.0,
                )
            )
        tx.listeners.put(
            Listener(
                arn=LISTENER,
                load_balancer_arn="lb",
                port=80,
                protocol="HTTP",
                default_actions=(forward(BLUE),),
                created_at=0.0,
            )
        )
        for number, arn in enumerate((PRODUCTION, TEST)):
            tx.rules.put(
                Rule(
                    arn=arn,
                    listener_arn=LISTENER,
                    priority=number,
                    conditions=(),
                    actions=(forward(BLUE),),
                    created_at=0.0,
                )
            )

    def serve(self, desired=2, config=None, *, entries=None):
        """A service of revision 1 that is steady, whose next deployment is as configured."""
        self.create(desired, load_balancers=(entry(),) if entries is None else entries)
        config = config or configuration()
        self.change(deployment_configuration=replace(config, lifecycle_hooks=()))
        self.begin(self.service)
        self.run(30)
        assert self.attempt.status == "SUCCESSFUL", self.attempt
        self.change(deployment_configuration=config)
        self.seen.clear()

    def share(self, group, rule=PRODUCTION):
        """Percent of the rule's traffic that goes to the group."""
        groups = self.store.read.rules[rule].actions[-1]["ForwardConfig"]["TargetGroups"]
        total = sum(each["Weight"] for each in groups)
        return 100.0 * sum(each["Weight"] for each in groups if each["TargetGroupArn"] == group) / total

    def play_agent(self):
        super().play_agent()
        for task in self.store.read.tasks.by(service_arn=SERVICE):
            self._play_targets(task)

    def _play_targets(self, task):
        owned = self.store.read.targets.by(owner=task.arn)
        if task.is_stopped:
            for target in list(owned):
                self.update(lambda tx, key=target.key: tx.targets.delete(key))
        elif task.last_status is TaskStatus.RUNNING and task.desired_status is DesiredStatus.RUNNING and not owned:
            is_sick = task.task_definition_arn.rsplit(":", 1)[1] in self.sick
            for group in self._groups(task):
                row = Target(
                    key=f"{group} {task.arn}",
                    target_group_arn=group,
                    id="i-1",
                    port=80,
                    registered_at=self.now,
                    state="unhealthy" if is_sick else "healthy",
                    owner=task.arn,
                )
                self.update(lambda tx, row=row: tx.targets.put(row))

    def _groups(self, task):
        deployment = self.store.read.deployments[task.started_by]
        revision = self.store.read.service_revisions[deployment.revision_arn]
        return groups_of(deployment, revision.load_balancers)

    def step(self):
        wake = super().step()
        if not self.store.read.service_deployments.count(service_arn=SERVICE):
            return wake
        attempt = self.attempt
        look = (attempt.status, attempt.stage, attempt.step, attempt.traffic_percent, attempt.test_traffic_percent)
        if not self.seen or self.seen[-1] != look:
            self.seen.append(look)
        return wake

    def stages(self):
        """Stages in the order in which they were entered, each look's once."""
        entered = [stage for _, stage, _, _, _ in self.seen]
        return [stage for number, stage in enumerate(entered) if not number or entered[number - 1] != stage]

    def hook(self, **members):
        """The first hook of the stage, answered."""
        attempt = self.attempt
        hooks = (replace(attempt.hooks[0], **members), *attempt.hooks[1:])
        self.update(lambda tx: tx.service_deployments.put(replace(attempt, hooks=hooks)))

    def request(self, status, reason=None):
        self.update(lambda tx: tx.service_deployments.put(replace(self.attempt, status=status, status_reason=reason)))

    def assert_serves(self, revision, group, count):
        """The service is exactly `count` tasks of the revision, with all traffic on the group."""
        assert {task.task_definition_arn.rsplit(":", 1)[1] for task in self.tasks} <= {str(revision)}
        assert len(self.tasks) == count
        assert self.share(group) == 100.0
        owners = {
            target.target_group_arn for task in self.tasks for target in self.store.read.targets.by(owner=task.arn)
        }
        assert owners == ({group} if count else set())
        assert self.service.task_definition_arn.endswith(f":{revision}")
        assert [row.status for row in self.deployments] == ["PRIMARY"]
        assert self.primary.rollout_state == "COMPLETED"
