"""What a service waits for, in sentences: one test for each thing it can wait for."""

import pytest
from msgspec.structs import replace

from homeport.model.deployment import HookState
from homeport.model.service import TaskSet
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.scheduler.explain import Explanation
from homeport.scheduler.explain_service import steady_sentence, waits_of
from homeport.shapes import ecs as shapes
from tests.unit.scheduler.service_facts_world import (
    ARN,
    BOTH,
    CLUSTER,
    CONFIGURATION,
    GROUP,
    NOW,
    PRIMARY,
    a_failed_task,
    a_target,
    a_task,
    an_attempt,
    facts,
    on,
)


def test_service_when_all_is_well_then_it_waits_for_nothing():
    given = facts(*BOTH)
    assert waits_of(given) == ()
    assert steady_sentence(given) == "The service is steady: its 2 tasks run and pass their checks."
    assert steady_sentence(facts(BOTH[0])) == "The service is steady: its task runs and passes its checks."
    assert steady_sentence(facts()) == "The service is steady: it is to run no tasks."
    assert steady_sentence(facts(BOTH[0], on(2, "i/2"), away={"i/2"})) == (
        "The service is steady: its 2 tasks run and pass their checks, as far as is known:"
        " 1 is on a container instance whose agent is not connected."
    )


LOAD_BALANCED = {"load_balancers": (shapes.LoadBalancer(target_group_arn=GROUP),)}
PLACEMENT = Explanation(1, 0, (), "No Container Instances were found in your cluster.")
HOOK = HookState(
    id="h", index=0, stage="POST_SCALE_UP", step=0, status="AWAITING_ACTION", started_at=1.0, expires_at=NOW + 60
)
CASES = {
    "inactive": (facts(service={"status": "INACTIVE"}), "The service has been deleted."),
    "draining": (
        facts(a_task(), service={"status": "DRAINING"}),
        "The service is being deleted: 1 task is not STOPPED yet.",
    ),
    "room": (
        facts(a_task(), placements={PRIMARY.id: PLACEMENT}),
        "1 of 2 tasks is missing. No Container Instances were found in your cluster.",
    ),
    "room for all": (facts(), "2 of 2 tasks are missing."),
    "room before images are known": (
        facts(a_task(1, status=TaskStatus.PENDING), placements={PRIMARY.id: PLACEMENT}, resolving={PRIMARY.id}),
        "1 of 2 tasks is missing. The others start when the first has found out what the tags of its images stand for.",
    ),
    "room while starts are held back": (
        facts(deployments=(replace(PRIMARY, start_after=NOW + 1),), placements={PRIMARY.id: PLACEMENT}),
        "2 of 2 tasks are missing.",
    ),
    "room for replacements": (
        facts(*BOTH[:1], on(2, "i/2"), draining={"i/2"}, placements={PRIMARY.id: PLACEMENT}),
        "1 of 2 tasks has no replacement yet. No Container Instances were found in your cluster.",
    ),
    "room for tasks and replacements": (
        facts(*BOTH[:1], on(2, "i/2"), on(3, "i/2"), draining={"i/2"}, service={"desired_count": 4}),
        "1 of 4 tasks is missing, and 2 of 4 tasks have no replacement yet.",
    ),
    "room for a new revision": (
        facts(*(replace(each, started_by="ecs-svc/0") for each in BOTH), placements={PRIMARY.id: PLACEMENT}),
        "2 of 2 tasks have no replacement yet. No Container Instances were found in your cluster.",
    ),
    "daemon's instances where the old task has not stopped": (
        facts(
            a_task(),
            a_task(2, desired_status=DesiredStatus.STOPPED, started_by="ecs-svc/0"),
            service={"scheduling_strategy": "DAEMON"},
            placements={PRIMARY.id: PLACEMENT},
        ),
        "1 of 2 tasks is missing; an instance gets its task when the one before it has stopped.",
    ),
    "room for green": (
        facts(a_task(), deployments=(replace(PRIMARY, desired_count=2),), attempt=an_attempt(stage="SCALE_UP")),
        f"Deployment {PRIMARY.id} wants 2 tasks and lacks 1.",
    ),
    "draining instance": (
        facts(*BOTH, on(3, "i/2"), draining={"i/2"}),
        "1 task is on the draining container instance 2 and stays until a replacement is healthy.",
    ),
    "draining instances": (
        facts(on(1, "i/1"), on(2, "i/2", protection_enabled=True), draining={"i/1", "i/2"}),
        "2 tasks are on the draining container instances 1, 2 (1 protected from scale-in) and stay until replacements are healthy.",
    ),
    "protected on a draining instance": (
        facts(*BOTH, on(3, "i/2", protection_enabled=True), draining={"i/2"}),
        "1 task is on the draining container instance 2 (1 protected from scale-in) and stays until its protection ends.",
    ),
    "daemon on a draining instance": (
        facts(*BOTH, on(3, "i/2"), draining={"i/2"}, service={"scheduling_strategy": "DAEMON"}),
        "1 task is on the draining container instance 2 and stays until the tasks of other services there have left.",
    ),
    "ceiling": (
        facts(
            a_task(),
            a_task(2, desired_status=DesiredStatus.STOPPED),
            service={"deployment_configuration": replace(CONFIGURATION, maximum_percent=100)},
        ),
        "1 of 2 tasks is missing; maximumPercent 100 allows 2 at a time, and 2 have not stopped.",
    ),
    "starting": (
        facts(a_task(), a_task(2, status=TaskStatus.PENDING)),
        "1 task is PENDING, the oldest for 30 s.",
    ),
    "settling": (
        facts(a_task(), a_task(2, started_at=NOW - 10)),
        "1 task is to run for 40 s before counting as healthy; 30 s are left.",
    ),
    "container check": (
        facts(a_task(checked="UNHEALTHY"), a_task(2, checked="HEALTHY")),
        "1 task is UNHEALTHY by the containers' own checks.",
    ),
    "target": (
        facts(
            *BOTH, service=LOAD_BALANCED, targets={BOTH[0].arn: [a_target()], BOTH[1].arn: [a_target(state="healthy")]}
        ),
        "1 of 2 targets in blue is initial (Elb.RegistrationInProgress).",
    ),
    "target that fails in its grace period": (
        facts(
            *BOTH,
            service=LOAD_BALANCED | {"health_check_grace_period_seconds": 130},
            targets={BOTH[0].arn: [a_target(state="unhealthy")], BOTH[1].arn: [a_target(state="healthy")]},
        ),
        "For another 30 s at most failed checks do not count: healthCheckGracePeriodSeconds is 130.",
    ),
    "no target": (
        facts(*BOTH, service=LOAD_BALANCED, targets={BOTH[0].arn: [a_target(state="healthy")]}),
        "1 target is not registered yet.",
    ),
    "no target of a task set": (
        facts(
            *(replace(each, started_by="ecs-svc/7", started_at=NOW) for each in BOTH),
            service={"deployment_controller": "EXTERNAL", "primary_deployment_id": None},
            expected_targets={"ecs-svc/7": 1},
        ),
        "2 targets are not registered yet.",
    ),
    "older": (
        facts(*BOTH, a_task(3, started_by="ecs-svc/0", protection_enabled=True)),
        "1 task is of older deployments (1 protected from scale-in); it stays until its protection ends.",
    ),
    "older, one of them protected": (
        facts(*BOTH, a_task(3, started_by="ecs-svc/0", protection_enabled=True), a_task(4, started_by="ecs-svc/0")),
        "2 tasks are of older deployments (1 protected from scale-in); minimumHealthyPercent 100 keeps 2 healthy.",
    ),
    "stopping": (
        facts(*BOTH, a_task(3, desired_status=DesiredStatus.STOPPED), targets={}),
        "1 task is stopping.",
    ),
    "draining target": (
        facts(
            *BOTH,
            a_task(3, desired_status=DesiredStatus.STOPPED),
            targets={f"{CLUSTER}/3": [a_target(state="draining", drain_until=NOW + 4.5)]},
        ),
        "1 target is draining; the last is done in 5 s.",
    ),
    "protected above the desired count": (
        facts(*BOTH[:1], replace(BOTH[1], protection_enabled=True), service={"desired_count": 1}),
        "1 task is above the desired count (1 protected from scale-in).",
    ),
    "replacement of an unhealthy task": (
        facts(a_task(checked="UNHEALTHY"), a_task(2, checked="UNKNOWN"), service={"desired_count": 1}),
        "1 task is above the desired count until replacements of those that fail their checks are healthy.",
    ),
    "rebalancing": (
        facts(*BOTH, service={"desired_count": 1, "rebalancing_since": NOW - 5}),
        "1 task is above the desired count while Availability Zones are rebalanced.",
    ),
    "throttle": (
        facts(*BOTH, deployments=(replace(PRIMARY, start_after=NOW + 20, start_failures=3),)),
        f"Deployment {PRIMARY.id} starts no tasks for another 20 s: the last 3 times its tasks stopped before they ran.",
    ),
    "throttle once": (
        facts(*BOTH, deployments=(replace(PRIMARY, start_after=NOW + 20, start_failures=1),)),
        f"Deployment {PRIMARY.id} starts no tasks for another 20 s: the last time its tasks stopped before they ran.",
    ),
    "pause after tasks that exited at once": (
        facts(*BOTH, deployments=(replace(PRIMARY, start_after=NOW + 20, short_lives=4),)),
        f"Deployment {PRIMARY.id} starts no tasks for another 20 s: its tasks exit as soon as they run.",
    ),
    "failure": (
        facts(
            a_task(),
            a_task(2, status=TaskStatus.PENDING),
            failure=a_failed_task(3, 5, StopCode.ESSENTIAL_CONTAINER_EXITED, "Essential container in task exited", 7),
        ),
        "The task that failed last, 5 s ago, is 3: Essential container in task exited; main exited with 7.",
    ),
    "failed": (
        facts(*BOTH, deployments=(replace(PRIMARY, rollout_state="FAILED", rollout_state_reason="why"),)),
        f"Deployment {PRIMARY.id} has failed and launches no more tasks: why",
    ),
    "rollback": (
        facts(
            *BOTH,
            attempt=an_attempt(rollback_started_at=1.0, rollback_deployment_id="ecs-svc/1", rollback_reason="why"),
        ),
        "The deployment is rolling back to ecs-svc/1: why",
    ),
    "stage": (
        facts(
            *BOTH,
            attempt=an_attempt(
                stage="BAKE_TIME",
                stage_started_at=NOW - 7,
                traffic_percent=100.0,
                configuration=replace(CONFIGURATION, strategy="BLUE_GREEN"),
            ),
        ),
        "The BLUE_GREEN deployment has been at BAKE_TIME for 7 s with 100 % of the traffic; it bakes for another 53 s.",
    ),
    "stage that bakes no more": (
        facts(
            *BOTH,
            attempt=an_attempt(
                stage="BAKE_TIME",
                stage_started_at=NOW - 61,
                traffic_percent=100.0,
                configuration=replace(CONFIGURATION, strategy="BLUE_GREEN"),
            ),
        ),
        "The BLUE_GREEN deployment has been at BAKE_TIME for 61 s with 100 % of the traffic.",
    ),
    "step": (
        facts(
            *BOTH,
            attempt=an_attempt(
                stage="PRODUCTION_TRAFFIC_SHIFT",
                stage_started_at=NOW - 60,
                traffic_percent=5.0,
                configuration=replace(CONFIGURATION, strategy="CANARY"),
            ),
        ),
        "The CANARY deployment has been at PRODUCTION_TRAFFIC_SHIFT for 60 s with 5 % of the traffic; it bakes for another 9 min.",
    ),
    "hook": (
        facts(*BOTH, attempt=an_attempt(hooks=(HOOK,))),
        "Lifecycle hook h waits for ContinueServiceDeployment; its time is up in 60 s.",
    ),
    "hook that waits for long": (
        facts(*BOTH, attempt=an_attempt(hooks=(replace(HOOK, expires_at=NOW + 24 * 3600),))),
        "Lifecycle hook h waits for ContinueServiceDeployment; its time is up in 24 h.",
    ),
    "older tasks of a deployment in stages": (
        facts(
            *BOTH,
            a_task(3, started_by="ecs-svc/1"),
            attempt=an_attempt(stage="BAKE_TIME", configuration=replace(CONFIGURATION, strategy="BLUE_GREEN")),
        ),
        "1 task is of older deployments; old tasks stay until the BLUE_GREEN deployment is over.",
    ),
    "no task set": (
        facts(service={"deployment_controller": "EXTERNAL"}, deployments=()),
        "The service has no task set that says what to run.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_service_when_it_waits_then_the_sentence_has_the_numbers(case):
    given, sentence = CASES[case]
    assert sentence in waits_of(given)


def test_service_when_its_deployment_has_failed_then_starts_are_not_said_to_be_held_back():
    failed = replace(PRIMARY, rollout_state="FAILED", rollout_state_reason="why", start_after=NOW + 20)
    assert waits_of(facts(deployments=(failed,))) == (
        f"Deployment {PRIMARY.id} has failed and launches no more tasks: why",
        "2 of 2 tasks are missing.",
    )


def test_service_when_it_is_steady_then_starts_that_are_held_back_are_nothing_to_wait_for():
    held = replace(PRIMARY, start_after=NOW + 20, start_failures=1)
    assert waits_of(facts(*BOTH, deployments=(held,), service={"steady_since": NOW - 1})) == ()


def test_service_when_the_grace_period_is_over_then_it_is_not_spoken_of():
    service = LOAD_BALANCED | {"health_check_grace_period_seconds": 100}
    targets = {task.arn: [a_target(state="unhealthy")] for task in BOTH}
    assert not [text for text in waits_of(facts(*BOTH, service=service, targets=targets)) if "Grace" in text]


def test_service_when_tasks_are_in_target_groups_then_only_the_others_have_to_run_for_a_while():
    fresh = [replace(task, started_at=NOW - 10) for task in BOTH]
    targets = {task.arn: [a_target(state="healthy")] for task in fresh}
    assert waits_of(facts(*fresh, targets=targets, expected_targets={PRIMARY.id: 1})) == ()


def test_service_when_its_attempt_is_over_then_it_is_not_spoken_of():
    given = facts(*BOTH, attempt=an_attempt(status="ROLLBACK_SUCCESSFUL", rollback_started_at=1.0))
    assert waits_of(given) == ()


def test_service_when_external_with_task_sets_then_their_counts_count():
    task_set = TaskSet(
        arn="a", id="ecs-svc/7", service_arn=ARN, cluster_arn=CLUSTER, task_definition_arn="web:1",
        created_at=1.0, updated_at=1.0, scale_percent=100.0,
    )  # fmt: skip
    service = {"deployment_controller": "EXTERNAL", "primary_deployment_id": None}
    tasks = [replace(task, started_by="ecs-svc/7") for task in BOTH]
    assert waits_of(facts(*tasks, service=service, deployments=(), task_sets=(task_set,))) == ()
    given = facts(tasks[0], service=service, deployments=(), task_sets=(task_set,))
    assert waits_of(given) == ("Task set ecs-svc/7 wants 2 tasks and lacks 1.",)
    (sentence,) = waits_of(given._replace(placements={"ecs-svc/7": PLACEMENT}))
    assert (
        sentence == "Task set ecs-svc/7 wants 2 tasks and lacks 1. No Container Instances were found in your cluster."
    )
    half = replace(task_set, scale_percent=50.0)
    assert waits_of(facts(*tasks, service=service, deployments=(), task_sets=(half,))) == (
        "Task set ecs-svc/7 wants 1 task and has 2.",
    )
    held = replace(task_set, start_after=NOW + 20, start_failures=2)
    assert waits_of(facts(*tasks, service=service, deployments=(), task_sets=(held,))) == (
        "Task set ecs-svc/7 starts no tasks for another 20 s: the last 2 times its tasks stopped before they ran.",
    )
