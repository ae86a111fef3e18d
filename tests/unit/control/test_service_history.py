"""What DescribeServiceDeployments tells of attempts, under way and long over, in virtual time."""

from homeport.api.ecs.service_views import service_deployment_view
from homeport.shapes import ecs as shapes
from tests.unit.control.blue_green_world import BlueGreenWorld, configuration
from tests.unit.control.service_world import World


def view(world, attempt):
    read = world.store.read
    return service_deployment_view(read, read.service_deployments[attempt.arn])


def counts(summary):
    return summary.requested_task_count, summary.running_task_count, summary.pending_task_count


def test_history_when_the_service_changes_later_then_a_deployment_tells_of_its_end():
    world = World()
    world.define(2)
    world.create(3)
    world.steady()
    first = world.attempt
    world.deploy(2)
    world.steady()
    second = world.attempt
    world.change(desired_count=1)
    world.steady()
    told = view(world, first)
    assert (told.status, counts(told.target_service_revision)) == ("SUCCESSFUL", (3, 3, 0))
    told = view(world, second)
    assert counts(told.target_service_revision) == (3, 3, 0)
    assert [counts(each) for each in told.source_service_revisions] == [(0, 0, 0)]


def test_history_when_under_way_then_the_tasks_are_those_of_now():
    world = World()
    world.define(2)
    world.create(3)
    world.steady()
    world.deploy(2)
    world.settle()
    told = view(world, world.attempt)
    assert counts(told.target_service_revision) == (3, 0, 3)
    assert [counts(each) for each in told.source_service_revisions] == [(3, 3, 0)]


def test_history_when_rolled_back_then_the_failures_of_a_forgotten_deployment_are_still_told():
    world = World()
    world.define(2)
    world.create(4, breaker=shapes.DeploymentCircuitBreaker(enable=True, rollback=True))
    world.steady()
    world.on_start = lambda task: "STOPPED" if task.task_definition_arn.endswith(":2") else "RUNNING"
    world.deploy(2)
    attempt = world.attempt
    world.run(200)
    world.change(desired_count=40)
    world.run(60)
    assert attempt.target_deployment_id not in {each.id for each in world.deployments}
    told = view(world, attempt)
    assert (told.status, counts(told.target_service_revision)) == ("ROLLBACK_SUCCESSFUL", (0, 0, 0))
    assert (told.deployment_circuit_breaker.failure_count, told.deployment_circuit_breaker.threshold) == (4, 3)


def weights(summary):
    return summary.requested_production_traffic_weight, summary.requested_test_traffic_weight


def test_history_when_traffic_was_shifted_then_its_weights_are_told_for_ever():
    world = BlueGreenWorld()
    world.serve(2, configuration("CANARY", step=20.0, step_bake=5, bake=0))
    world.deploy(2)
    world.run(120)
    attempt = world.attempt
    told = view(world, attempt)
    assert weights(told.target_service_revision) == (20.0, 100.0)
    assert [weights(each) for each in told.source_service_revisions] == [(80.0, 0.0)]
    world.run(600)
    world.deploy(3)
    world.run(900)
    told = view(world, attempt)
    assert (told.status, weights(told.target_service_revision)) == ("SUCCESSFUL", (100.0, 100.0))
    assert [weights(each) for each in told.source_service_revisions] == [(0.0, 0.0)]
    assert counts(told.target_service_revision) == (2, 2, 0)
