"""What CreateService and UpdateService refuse, and with which sentence."""

import pytest
from botocore.exceptions import ClientError

from homeport.model.load_balancer import Listener, Rule, TargetGroup, default_rule_arn
from tests.fleet import a_task_definition, ecs_of

INVALID, UNSUPPORTED, CLIENT = "InvalidParameterException", "UnsupportedFeatureException", "ClientException"
PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
BLUE, GREEN, LONE, BY_ADDRESS = (f"{PREFIX}targetgroup/{name}/1" for name in ("blue", "green", "lone", "ip"))
LISTENER = f"{PREFIX}listener/app/alb/1/2"
RULE = f"{PREFIX}listener-rule/app/alb/1/2/3"
ROLE = "arn:aws:iam::123456789012:role/ecs"
PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}


@pytest.fixture
def ecs(region):
    ports = [{"containerPort": 80}, {"containerPortRange": "100-110"}]
    ports += [{"containerPort": 53, "protocol": protocol} for protocol in ("tcp", "udp")]
    main = {"name": "main", "image": "busybox", "memory": 64, "portMappings": ports}
    a_task_definition(region, "web", containerDefinitions=[main])
    a_task_definition(region, "net", networkMode="awsvpc", containerDefinitions=[main])
    there = [{"type": "memberOf", "expression": "attribute:a == b"}]
    a_task_definition(region, "placed", containerDefinitions=[main], placementConstraints=there)
    region.world.store.update(put_listeners)
    return ecs_of(region)


def put_listeners(tx):
    for arn in (BLUE, GREEN, LONE, BY_ADDRESS):
        kind = "ip" if arn == BY_ADDRESS else "instance"
        tx.target_groups.put(
            TargetGroup(arn=arn, name="x", protocol="HTTP", port=80, vpc_id="vpc-1", target_type=kind, created_at=1.0)
        )
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    tx.listeners.put(
        Listener(
            arn=LISTENER, load_balancer_arn="lb", port=80, protocol="HTTP", default_actions=(fixed,), created_at=1.0
        )
    )
    groups = [{"TargetGroupArn": arn, "Weight": 1} for arn in (BLUE, BY_ADDRESS)]
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    tx.rules.put(Rule(arn=RULE, listener_arn=LISTENER, priority=1, conditions=(), actions=(forward,), created_at=1.0))


def entry(arn=BLUE, **more):
    return {"targetGroupArn": arn, "containerName": "main", "containerPort": 80} | more


def advanced(**more):
    given = {"alternateTargetGroupArn": GREEN, "productionListenerRule": RULE, "roleArn": ROLE} | more
    return entry(advancedConfiguration={name: value for name, value in given.items() if value is not None})


def strategy(name, **more):
    return {"deploymentConfiguration": {"strategy": name} | more}


def blue_green(**more):
    return {"loadBalancers": [advanced()], **strategy("BLUE_GREEN", **({"bakeTimeInMinutes": 1} | more))}


def refusal(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


NOT_ATTACHED = f"The target group with targetGroupArn {LONE} does not have an associated load balancer."
NO_NETWORK = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
LINKED_ROLE = "You cannot specify an IAM role for services that require a service linked role."
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
DAEMON = {"schedulingStrategy": "DAEMON", "desiredCount": None}
EXTERNAL = {"deploymentController": {"type": "EXTERNAL"}, "taskDefinition": None}
REFUSED = {
    "blank name": ({"serviceName": " "}, INVALID, "Service name can not be blank."),
    "name": ({"serviceName": "a/b"}, INVALID, "Service name must match"),
    "token": ({"clientToken": "x" * 37}, INVALID, "clientToken must be 1 to 36"),
    "no cluster": ({"cluster": "nobody"}, "ClusterNotFoundException", "Cluster not found."),
    "no count": ({"desiredCount": None}, INVALID, "desiredCount must be specified for REPLICA services."),
    "negative count": ({"desiredCount": -1}, INVALID, "desiredCount can not be negative."),
    "too many": ({"desiredCount": 5001}, INVALID, "Desired count exceeds limit."),
    "no definition": ({"taskDefinition": None}, INVALID, "taskDefinition must be specified"),
    "unknown definition": ({"taskDefinition": "nobody"}, CLIENT, "TaskDefinition not found."),
    "awsvpc without network": ({"taskDefinition": "net"}, INVALID, NO_NETWORK),
    "awsvpc": ({"taskDefinition": "net", "networkConfiguration": NETWORK}, UNSUPPORTED, "the network mode awsvpc"),
    "network": ({"networkConfiguration": NETWORK}, INVALID, "Network Configuration is not valid"),
    "fargate": ({"launchType": "FARGATE"}, INVALID, "Task definition does not support launch_type FARGATE."),
    "platform": ({"platformVersion": "LATEST"}, INVALID, "The platform version must be null"),
    "registries": ({"serviceRegistries": [{"registryArn": "arn"}]}, UNSUPPORTED, "Service discovery is"),
    "connect": ({"serviceConnectConfiguration": {"enabled": True}}, UNSUPPORTED, "Service Connect is not supported."),
    "volumes": ({"volumeConfigurations": [{"name": "v"}]}, UNSUPPORTED, "configured at launch are not supported."),
    "exec": ({"enableExecuteCommand": True}, UNSUPPORTED, "ECS Exec is not supported."),
    "providers": (
        {"capacityProviderStrategy": [{"capacityProvider": "p"}]}, UNSUPPORTED, "Capacity provider strategies are not",
    ),
    "codedeploy": ({"deploymentController": {"type": "CODE_DEPLOY"}}, UNSUPPORTED, "controller CODE_DEPLOY"),
    "alarms": (
        {"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True, "rollback": True}}},
        UNSUPPORTED, "CloudWatch alarms",
    ),
    "early success": (
        {"deploymentConfiguration": {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100}}},
        UNSUPPORTED, "Early success criteria",
    ),
    "no room": (
        {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}, INVALID,
        "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
    ),
    "daemon without room": (
        DAEMON | {"deploymentConfiguration": {"minimumHealthyPercent": 100}}, INVALID, "cannot be 100 as this will",
    ),
    "constraints": (
        {"taskDefinition": "placed", "placementConstraints": [{"type": "distinctInstance"}] * 10}, INVALID,
        "A task can have at most 10 placement constraints, those of its task definition included.",
    ),
    "low maximum": ({"deploymentConfiguration": {"maximumPercent": 99}}, INVALID, "maximumPercent must be at least"),
    "minimum": ({"deploymentConfiguration": {"minimumHealthyPercent": 101}}, INVALID, "minimumHealthyPercent must be"),
    "threshold": (
        {"deploymentConfiguration": {"deploymentCircuitBreaker": {
            "enable": True, "rollback": True, "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 101}}}},
        INVALID, "The threshold of a deployment circuit breaker",
    ),
    "grace": (
        {"healthCheckGracePeriodSeconds": 5}, INVALID,
        "Health check grace period is only valid for services configured to use load balancers.",
    ),
    "long grace": ({"healthCheckGracePeriodSeconds": -1}, INVALID, "healthCheckGracePeriodSeconds must be between"),
    "constraint": ({"placementConstraints": [{"type": "memberOf", "expression": "("}]}, INVALID, "Invalid expression"),
    "strategy": ({"placementStrategy": [{"type": "binpack", "field": "gpu"}]}, INVALID, "binpack field 'gpu' is invalid."),
    "role": ({"role": "ecs"}, INVALID, "A role can only be specified for services with load balancers."),
    "daemon count": (DAEMON | {"desiredCount": 1}, INVALID, "does not support a desired count"),
    "daemon percent": (DAEMON | {"deploymentConfiguration": {"maximumPercent": 200}}, INVALID, "values above 100 for max"),
    "daemon strategy": (DAEMON | strategy("BLUE_GREEN", bakeTimeInMinutes=1), INVALID, "strategy BLUE_GREEN"),
    "daemon rebalancing": (
        DAEMON | {"availabilityZoneRebalancing": "ENABLED"}, INVALID,
        "Availability Zone Rebalancing does not support DAEMON services.",
    ),
    "daemon placement": (DAEMON | {"placementStrategy": [{"type": "random"}]}, INVALID, "placement strategies"),
    "daemon external": (DAEMON | EXTERNAL, INVALID, "not supported with the EXTERNAL deployment controller"),
    "external definition": (EXTERNAL | {"taskDefinition": "web"}, INVALID, "TaskDefinition must be blank"),
    "external balancer": (EXTERNAL | {"loadBalancers": [entry()]}, INVALID, "LoadBalancers must be empty or null"),
    "external network": (EXTERNAL | {"networkConfiguration": NETWORK}, INVALID, "networkConfiguration can not be"),
    "external role": (EXTERNAL | {"role": "ecs"}, INVALID, LINKED_ROLE),
    "external breaker": (
        EXTERNAL | {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}},
        INVALID, "The deployment circuit breaker can only be used with the ECS deployment controller.",
    ),
    "role of two groups": (
        {"role": "ecs", "loadBalancers": [entry(), entry(LONE, containerPort=105)]}, INVALID, LINKED_ROLE,
    ),
    "external strategy": (EXTERNAL | strategy("CANARY"), INVALID, "Deployment strategies can not be specified"),
    "classic": ({"loadBalancers": [{"loadBalancerName": "elb"}]}, UNSUPPORTED, "Classic Load Balancers"),
    "no group": ({"loadBalancers": [entry(None)]}, INVALID, "targetGroupArn must be specified"),
    "no port": ({"loadBalancers": [entry(containerPort=None)]}, INVALID, "containerName and containerPort must be"),
    "container": (
        {"loadBalancers": [entry(containerName="x")]}, INVALID,
        "The container x does not exist in the task definition.",
    ),
    "container port": (
        {"loadBalancers": [entry(containerPort=81)]}, INVALID,
        "The container main did not have a container port 81 defined.",
    ),
    "container port of two": (
        {"loadBalancers": [entry(containerPort=53)]}, INVALID,
        "Container port 53 is used in more than one port mapping for container main",
    ),
    "unknown group": ({"loadBalancers": [entry(f"{BLUE}0")]}, INVALID, f"targetGroupArn {BLUE}0 does not exist."),
    "not attached": ({"loadBalancers": [entry(LONE)]}, INVALID, NOT_ATTACHED),
    "target type": (
        {"loadBalancers": [entry(BY_ADDRESS)]}, INVALID,
        f"The provided target group {BY_ADDRESS} has target type ip, which is incompatible with the bridge network mode",
    ),
    "group twice": ({"loadBalancers": [entry(), entry(containerPort=105)]}, INVALID, "specified only once"),
    "six groups": ({"loadBalancers": [entry(f"{BLUE}{n}") for n in range(6)]}, INVALID, "at most 5 target groups"),
    "no bake time": (blue_green(bakeTimeInMinutes=None), INVALID, "bakeTimeInMinutes must be specified"),
    "long bake time": (blue_green(bakeTimeInMinutes=1441), INVALID, "bakeTimeInMinutes must be between 0 and 1440."),
    "rolling bake time": (strategy("ROLLING", bakeTimeInMinutes=1), UNSUPPORTED, "bakes only with alarms"),
    "not advanced": (blue_green() | {"loadBalancers": [entry()]}, INVALID, "advancedConfiguration must be specified"),
    "half advanced": (
        blue_green() | {"loadBalancers": [advanced(roleArn=None)]}, INVALID, "advancedConfiguration must have",
    ),
    "same group": (
        blue_green() | {"loadBalancers": [advanced(alternateTargetGroupArn=BLUE)]}, INVALID, "must be another than",
    ),
    "no rule": (
        blue_green() | {"loadBalancers": [advanced(testListenerRule=f"{RULE}/4/5")]}, INVALID, "does not exist.",
    ),
    "canary without balancer": (strategy("CANARY"), INVALID, "CANARY requires a load balancer."),
    "step": (
        blue_green() | strategy("LINEAR", linearConfiguration={"stepPercent": 2.9}), INVALID,
        "stepPercent must be between 3.0 and 100.0.",
    ),
    "fine step": (
        blue_green() | strategy("LINEAR", linearConfiguration={"stepPercent": 10.05}), INVALID, "a multiple of 0.1.",
    ),
    "step bake": (
        blue_green() | strategy("LINEAR", linearConfiguration={"stepBakeTimeInMinutes": 1441}), INVALID,
        "stepBakeTimeInMinutes must be between 0 and 1440.",
    ),
    "canary": (
        blue_green() | strategy("CANARY", canaryConfiguration={"canaryPercent": 0.0}), INVALID,
        "canaryPercent must be between 0.1 and 100.0.",
    ),
    "another's configuration": (
        blue_green(canaryConfiguration={}), INVALID, "only be specified with the deployment strategy CANARY.",
    ),
    "rolling hooks": (strategy("ROLLING", lifecycleHooks=[PAUSE]), INVALID, "lifecycleHooks can only be specified"),
    "hook without stage": (
        blue_green(lifecycleHooks=[PAUSE | {"lifecycleStages": []}]), INVALID, "at least one lifecycle stage",
    ),
    "pause at shift": (
        blue_green(lifecycleHooks=[PAUSE | {"lifecycleStages": ["TEST_TRAFFIC_SHIFT"]}]), INVALID,
        "A PAUSE hook can not be used at the lifecycle stage TEST_TRAFFIC_SHIFT.",
    ),
    "pause with target": (
        blue_green(lifecycleHooks=[PAUSE | {"hookTargetArn": "arn:aws:lambda:x"}]), INVALID, "hook target type PAUSE.",
    ),
    "hook without target": (
        blue_green(lifecycleHooks=[{"lifecycleStages": ["POST_SCALE_UP"]}]), INVALID, "a hookTargetArn and a roleArn",
    ),
    "lambda": (
        blue_green(lifecycleHooks=[
            {"lifecycleStages": ["POST_SCALE_UP"], "hookTargetArn": "arn:aws:lambda:x", "roleArn": ROLE}]),
        UNSUPPORTED, "no Lambda endpoint is configured",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_create_service_when_it_cannot_be_then_refused_and_nothing_made(region, ecs, case):
    members, code, message = REFUSED[case]
    given = {"serviceName": "s", "taskDefinition": "web", "desiredCount": 1} | members
    version = region.world.store.version
    found = refusal(ecs.create_service, **{name: value for name, value in given.items() if value is not None})
    assert found[0] == code
    assert message in found[1]
    assert region.world.store.version == version


def a_service(ecs, **members):
    return ecs.create_service(**{"serviceName": "s", "taskDefinition": "web", "desiredCount": 1} | members)["service"]


def test_create_service_when_behind_a_load_balancer_then_given_back_with_role_and_grace_period(ecs):
    service = a_service(ecs, loadBalancers=[entry(containerPort=105)])
    assert service["loadBalancers"] == [entry(containerPort=105)]
    assert service["healthCheckGracePeriodSeconds"] == 0
    assert service["roleArn"].endswith("/AWSServiceRoleForECS")
    named = a_service(ecs, serviceName="t", loadBalancers=[entry()], role="mine", healthCheckGracePeriodSeconds=9)
    assert named["roleArn"] == "arn:aws:iam::123456789012:role/mine"
    assert named["healthCheckGracePeriodSeconds"] == 9
    pathed = a_service(ecs, serviceName="u", loadBalancers=[entry()], role="/foo/bar")
    assert pathed["roleArn"] == "arn:aws:iam::123456789012:role/foo/bar"


def test_update_service_when_it_has_a_role_and_other_load_balancers_then_the_linked_role_takes_over(ecs):
    a_service(ecs, loadBalancers=[entry()], role="mine")
    kept = ecs.update_service(service="s", desiredCount=2)["service"]
    assert kept["roleArn"].endswith(":role/mine")
    changed = ecs.update_service(service="s", loadBalancers=[entry(containerPort=105)])["service"]
    assert changed["roleArn"].endswith("/AWSServiceRoleForECS")
    ecs.delete_service(service="s", force=True)
    a_service(ecs, serviceName="t", loadBalancers=[entry()], role="mine")
    assert "roleArn" not in ecs.update_service(service="t", loadBalancers=[])["service"]


def test_create_service_when_a_container_is_checked_then_a_grace_period_is_of_use(region, ecs):
    check = {"healthCheck": {"command": ["CMD", "true"]}}
    main = {"name": "main", "image": "busybox", "memory": 64} | check
    a_task_definition(region, "checked", containerDefinitions=[main])
    service = a_service(ecs, taskDefinition="checked", healthCheckGracePeriodSeconds=5)
    assert service["healthCheckGracePeriodSeconds"] == 5


@pytest.mark.parametrize(
    ("name", "member", "filled"),
    [
        ("LINEAR", "linearConfiguration", {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}),
        ("CANARY", "canaryConfiguration", {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}),
    ],
)
def test_create_service_when_steps_are_left_out_then_defaults(ecs, name, member, filled):
    service = a_service(ecs, loadBalancers=[advanced()], **strategy(name))
    assert service["deploymentConfiguration"][member] == filled
    changed = ecs.update_service(service="s", **strategy("ROLLING"))["service"]["deploymentConfiguration"]
    assert changed["strategy"] == "ROLLING"
    assert member not in changed


def test_update_service_when_strategy_goes_back_to_rolling_then_hooks_and_bake_time_go(ecs):
    a_service(ecs, **blue_green(lifecycleHooks=[PAUSE]))
    kept = ecs.update_service(service="s", deploymentConfiguration={"maximumPercent": 150})["service"]
    assert kept["deploymentConfiguration"]["lifecycleHooks"] == [PAUSE]
    changed = ecs.update_service(service="s", **strategy("ROLLING"))["service"]["deploymentConfiguration"]
    assert ("lifecycleHooks" in changed, "bakeTimeInMinutes" in changed) == (False, False)


@pytest.mark.parametrize("rule", [RULE, LISTENER, default_rule_arn(LISTENER)])
def test_create_service_when_blue_green_then_any_kind_of_rule_will_do(ecs, rule):
    service = a_service(ecs, **blue_green() | {"loadBalancers": [advanced(productionListenerRule=rule)]})
    assert service["loadBalancers"][0]["advancedConfiguration"]["productionListenerRule"] == rule


def test_update_service_when_load_balancers_change_then_checked_and_deployed(ecs):
    a_service(ecs)
    assert refusal(ecs.update_service, service="s", loadBalancers=[entry(LONE)]) == (INVALID, NOT_ATTACHED)
    assert len(ecs.update_service(service="s", loadBalancers=[entry()])["service"]["deployments"]) == 2
    assert len(ecs.update_service(service="s", loadBalancers=[entry()])["service"]["deployments"]) == 2
    service = ecs.update_service(service="s", loadBalancers=[])["service"]
    assert (service["loadBalancers"], len(service["deployments"])) == ([], 3)


def test_update_service_when_it_cannot_be_then_refused(ecs):
    a_service(ecs)
    ecs.create_service(serviceName="d", taskDefinition="web", schedulingStrategy="DAEMON")
    assert "desired count" in refusal(ecs.update_service, service="d", desiredCount=1)[1]
    code, message = refusal(ecs.update_service, service="s", deploymentController={"type": "EXTERNAL"})
    assert (code, message) == (UNSUPPORTED, "Changing the deployment controller of a service is not supported.")
    assert ecs.update_service(service="s", deploymentController={"type": "ECS"})["service"]["status"] == "ACTIVE"
    ecs.create_service(serviceName="e", desiredCount=1, deploymentController={"type": "EXTERNAL"})
    for members, refused in (
        ({"taskDefinition": "web"}, "Unable to update task definition"),
        ({"networkConfiguration": NETWORK}, "Unable to update network parameters"),
        ({"forceNewDeployment": True}, "Cannot force a new deployment"),
    ):
        message = f"{refused} on services with an EXTERNAL deployment controller."
        assert refusal(ecs.update_service, service="e", **members) == (INVALID, message)
    assert ecs.update_service(service="e", desiredCount=3)["service"]["desiredCount"] == 3
    percents = {"maximumPercent": 100}
    message = "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
    assert refusal(ecs.update_service, service="s", deploymentConfiguration=percents) == (INVALID, message)
    percents["minimumHealthyPercent"] = 0
    code, message = refusal(ecs.update_service, service="s", deploymentConfiguration=percents)
    assert (code, message) == (INVALID, "Availability Zone Rebalancing does not support a maximumPercent of 100.")


def test_describe_service_revisions_when_traffic_can_shift_then_the_group_in_use(ecs):
    service = a_service(ecs, **blue_green())
    arn = service["currentServiceRevisions"][0]["arn"]
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
    resolved = [{"targetGroupArn": BLUE, "productionListenerRule": RULE}]
    assert revision["resolvedConfiguration"] == {"loadBalancers": resolved}
    assert revision["loadBalancers"] == [advanced()]
