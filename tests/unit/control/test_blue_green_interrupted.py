"""What an interrupted shift of traffic leaves behind: it goes once nobody sends it requests, and nothing is missed."""

import pytest
from msgspec.structs import replace

from homeport.control.served import Served
from homeport.control.service import ServiceReconciler
from homeport.control.stages import LONGEST_SETTLE, SETTLE
from homeport.model.load_balancer import default_rule_arn
from homeport.model.traffic import shifted
from homeport.shapes import ecs as shapes
from tests.unit.control.blue_green_world import (
    BLUE,
    GREEN,
    LISTENER,
    PRODUCTION,
    TEST,
    BlueGreenWorld,
    configuration,
    entry,
    forward,
    pause,
)
from tests.unit.control.service_world import SERVICE


def rolling(**more):
    percents = {"minimum_healthy_percent": 100, "maximum_percent": 200, **more}
    return shapes.DeploymentConfiguration(strategy="ROLLING", **percents)


def baking(**more):
    """A world in which revision 2 has all traffic and bakes, and a data plane that has followed up to now."""
    world = BlueGreenWorld()
    world.serve(2, configuration(bake=60), **more)
    world.deploy(2)
    world.run(60)
    assert (world.attempt.stage, world.share(GREEN)) == ("BAKE_TIME", 100.0)
    served = Served()
    served.through(world.store.version)
    world.reconciler = ServiceReconciler(world.store.read, world.fleet, served=served)
    return world, served


def healthy_in(world, group):
    """Tasks that are to run and healthy in the target group."""
    targets = {
        target.owner for target in world.store.read.targets.by(target_group_arn=group) if target.state == "healthy"
    }
    return [task for task in world.tasks if task.arn in targets]


def test_new_deployment_when_the_data_plane_is_behind_then_what_was_interrupted_stays():
    world, served = baking()
    world.deploy(3)
    world.run(60)
    assert (world.attempt.stage, world.share(BLUE)) == ("RECONCILE_SERVICE", 100.0)
    assert len(world.revision_tasks(2)) == 2
    served.through(world.store.version)
    world.run(SETTLE)
    assert not world.revision_tasks(2)


def test_new_deployment_when_a_rollback_has_just_begun_then_it_waits_for_the_data_plane_all_the_same():
    world, served = baking(entries=(entry(test=False),))
    world.request("ROLLBACK_REQUESTED")
    world.settle()
    assert world.share(BLUE) == 100.0
    world.deploy(3)
    world.run(60)
    assert world.attempt.stage == "RECONCILE_SERVICE"
    assert len(world.revision_tasks(2)) == 2
    served.through(world.store.version)
    world.run(SETTLE)
    assert not world.revision_tasks(2)


def test_rollback_when_it_is_requested_while_reconciling_then_nothing_stops_before_the_data_plane_has_followed():
    world, served = baking()
    world.deploy(3)
    world.settle()
    world.request("ROLLBACK_REQUESTED")
    world.run(60)
    assert (world.attempt.status, world.attempt.stage) == ("ROLLBACK_IN_PROGRESS", "CLEAN_UP")
    assert len(world.revision_tasks(2)) == 2
    served.through(world.store.version)
    world.run(5)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    world.assert_serves(1, BLUE, 2)


def test_rollback_when_the_data_plane_never_follows_then_it_ends_all_the_same():
    world, _ = baking()
    world.deploy(3)
    world.settle()
    world.request("ROLLBACK_REQUESTED")
    world.run(LONGEST_SETTLE + 10, tick=10)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"


def test_rule_when_it_was_changed_by_hand_then_it_is_brought_back_and_served_before_anything_stops():
    world, served = baking()
    by_hand = {**forward(BLUE)}
    world.update(lambda tx: tx.rules.put(replace(tx.rules[PRODUCTION], actions=(by_hand,))))
    served.through(world.store.version)
    world.run(3600, tick=60)
    assert (world.attempt.stage, world.share(GREEN)) == ("CLEAN_UP", 100.0)
    assert len(world.revision_tasks(1)) == 2
    served.through(world.store.version)
    world.run(5)
    world.assert_serves(2, GREEN, 2)


def test_rule_when_it_was_put_right_by_hand_and_the_data_plane_is_behind_then_nothing_stops_before_it_has_followed():
    world = BlueGreenWorld()
    world.serve(2, configuration(hooks=[pause("POST_SCALE_UP")]), entries=(entry(test=False),))
    served = Served()
    served.through(world.store.version)
    world.reconciler = ServiceReconciler(world.store.read, world.fleet, served=served)
    right = shifted((forward(BLUE),), GREEN, BLUE, 0.0)
    world.update(
        lambda tx: tx.rules.put(
            replace(tx.rules[PRODUCTION], actions=right, written_version=tx.version, written_at=tx.now)
        )
    )
    world.deploy(2)
    world.run(60)
    world.deploy(3)
    world.run(60)
    assert len(world.revision_tasks(2)) == 2
    served.through(world.store.version)
    world.run(5)
    assert not world.revision_tasks(2)


@pytest.mark.parametrize("arn", [PRODUCTION, TEST])
def test_rule_when_it_changes_during_a_deployment_then_the_service_is_looked_at(arn):
    world, served = baking()
    rule = world.store.read.rules[arn]
    assert list(world.reconciler.wakes["rule"](rule)) == [SERVICE]
    assert list(world.reconciler.wakes["listener"](world.store.read.listeners[LISTENER])) == []
    for _ in range(3):
        served.through(world.store.version)
        world.run(3600, tick=60)
    assert world.attempt.status == "SUCCESSFUL"
    assert list(world.reconciler.wakes["rule"](rule)) == []


def test_listener_when_its_default_rule_is_shifted_then_the_service_is_looked_at():
    advanced = replace(entry().advanced_configuration, production_listener_rule=default_rule_arn(LISTENER))
    world = BlueGreenWorld()
    world.serve(2, configuration(bake=60), entries=(replace(entry(), advanced_configuration=advanced),))
    world.deploy(2)
    world.run(60)
    assert list(world.reconciler.wakes["listener"](world.store.read.listeners[LISTENER])) == [SERVICE]


def uncompleted():
    """A world whose only deployment was stopped by a user when it had all traffic; its tasks are well."""
    world = BlueGreenWorld()
    world.create(2, load_balancers=(entry(),))
    world.change(deployment_configuration=configuration(hooks=[pause("POST_PRODUCTION_TRAFFIC_SHIFT")]))
    world.begin(world.service)
    world.run(30)
    world.request("ROLLBACK_REQUESTED")
    world.run(5)
    assert (world.attempt.status, world.share(BLUE)) == ("ROLLBACK_FAILED", 100.0)
    return world


def test_new_deployment_when_nothing_ever_completed_then_it_goes_on_from_what_was_well():
    world = uncompleted()
    first = [task.arn for task in world.tasks]
    world.sick = {"2"}
    world.deploy(2, deployment_configuration=rolling(), health_check_grace_period_seconds=60)
    world.run(5)
    assert len(world.revision_tasks(2)) == 2
    world.deploy(3, deployment_configuration=configuration(bake=60))
    world.run(20)
    assert (world.attempt.stage, world.share(GREEN)) == ("BAKE_TIME", 100.0)
    assert [task.arn for task in world.revision_tasks(1)] == first


def test_new_deployment_when_all_tasks_have_just_died_then_it_goes_on_from_what_had_been_well():
    world = uncompleted()
    for task in world.tasks:
        world.end_task(task)
    world.settle()
    world.deploy(2, deployment_configuration=configuration(bake=60))
    world.run(30)
    assert (world.attempt.stage, world.share(GREEN)) == ("BAKE_TIME", 100.0)
    assert len(world.revision_tasks(1)) == 2


def test_new_deployment_when_nothing_is_well_yet_then_it_goes_on_from_what_becomes_so():
    world = BlueGreenWorld(start_time=10.0)
    world.create(2, load_balancers=(entry(),))
    world.change(deployment_configuration=configuration(bake=60))
    world.begin(world.service)
    world.run(9.5)
    served = Served()
    world.reconciler = ServiceReconciler(world.store.read, world.fleet, served=served)
    world.deploy(2)
    world.run(20)
    assert world.attempt.stage == "RECONCILE_SERVICE"
    served.through(world.store.version)
    world.run(20)
    assert (world.share(BLUE), len(world.revision_tasks(1))) == (100.0, 2)


def test_new_deployment_when_a_rolling_one_is_half_way_then_production_never_has_too_few_tasks():
    world = BlueGreenWorld()
    world.serve(4)
    world.deploy(2, deployment_configuration=rolling(maximum_percent=125))
    world.run(3)
    assert world.revision_tasks(1)
    assert len(world.revision_tasks(2)) >= 2
    world.start_time = 10.0
    world.deploy(3, deployment_configuration=configuration(bake=0))
    for _ in range(90):
        world.run(1)
        assert len(healthy_in(world, BLUE if world.share(BLUE) else GREEN)) >= 4
    world.assert_serves(3, GREEN, 4)


def test_rolling_deployment_when_a_shift_was_interrupted_then_what_is_without_traffic_is_no_help():
    world, served = baking()
    world.deploy(3, deployment_configuration=rolling())
    for _ in range(30):
        world.run(1)
        assert len(healthy_in(world, BLUE)) >= 2
        assert len(world.revision_tasks(2)) == 2, "the data plane may still send it requests"
    served.through(world.store.version)
    world.run(5)
    assert world.attempt.status == "SUCCESSFUL"
    world.assert_serves(3, BLUE, 2)


def test_rolling_deployment_when_a_task_without_traffic_dies_then_it_is_not_replaced():
    world, _ = baking()
    world.deploy(3, deployment_configuration=rolling())
    world.settle()
    world.end_task(world.revision_tasks(2)[0])
    world.run(10)
    assert len(world.revision_tasks(2)) == 1
