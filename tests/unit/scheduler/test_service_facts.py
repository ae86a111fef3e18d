"""What follows from the rows of a service: what it lacks, and which task failed last."""

from msgspec.structs import replace

from homeport.model.status import StopCode
from homeport.scheduler.explain_service import waits_of
from homeport.scheduler.service_facts import lacking, last_failure
from tests.unit.scheduler.service_facts_world import BOTH, PRIMARY, a_failed_task, a_task, an_attempt, facts, on


def test_lacking_when_tasks_have_to_go_then_they_do_not_count():
    gone = facts(*BOTH, a_task(3, started_by="ecs-svc/0"), draining={"i/2"}, service={"desired_count": 3})
    assert lacking(gone._replace(tasks=(*gone.tasks[:1], on(2, "i/2"), *gone.tasks[2:]))) == {PRIMARY.id: 2}
    assert lacking(facts(*BOTH)) == {}
    failed = replace(PRIMARY, rollout_state="FAILED")
    assert lacking(facts(BOTH[0], deployments=(failed,))) == {}


def test_lacking_when_a_daemon_is_rolled_out_then_old_tasks_are_in_their_place():
    old = a_task(3, started_by="ecs-svc/0")
    daemon = {"scheduling_strategy": "DAEMON", "desired_count": 3}
    assert lacking(facts(*BOTH, old, service=daemon)) == {}
    assert lacking(facts(BOTH[0], old, service=daemon)) == {PRIMARY.id: 1}


def test_lacking_when_a_deployment_goes_by_stages_then_each_deployment_has_its_own_number():
    green, blue = replace(PRIMARY, desired_count=0), replace(PRIMARY, id="ecs-svc/0", desired_count=2)
    attempt = an_attempt(stage="PRE_SCALE_UP")
    assert lacking(facts(deployments=(green, blue), attempt=attempt)) == {blue.id: 2}
    assert lacking(facts(deployments=(green, blue), attempt=replace(attempt, status="SUCCESSFUL"))) == {green.id: 2}


def test_last_failure_when_tasks_ended_then_the_newest_that_ended_by_a_fault_of_its_own():
    pulled = a_failed_task(1, 20, StopCode.TASK_FAILED_TO_START, "CannotPullContainerError: no")
    sick = a_failed_task(2, 10, StopCode.SERVICE_SCHEDULER_INITIATED, "Task failed container health checks")
    others = (
        a_failed_task(3, 1, StopCode.SERVICE_SCHEDULER_INITIATED, "Scaling activity initiated by (deployment x)"),
        a_failed_task(4, 1, StopCode.USER_INITIATED, "Task stopped by user"),
        a_failed_task(5, 1, StopCode.TASK_FAILED_TO_START, "no", started_by="ecs-svc/long-ago"),
    )
    assert last_failure((*BOTH, pulled, sick, *others), {PRIMARY.id}) == sick
    assert last_failure((*BOTH, pulled, *others), {PRIMARY.id}) == pulled
    assert last_failure((*BOTH, *others), {PRIMARY.id}) is None
    assert waits_of(facts(*BOTH, failure=pulled)) == ()
