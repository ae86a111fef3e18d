"""Explanations: all reasons, and the sentence."""

from fleets import DISTINCT, a_fleet, a_rng, a_task, an_instance, member_of, wanted

from homeport.scheduler.explain import explain
from homeport.shapes import ecs as shapes


def test_explain_when_several_things_are_missing_then_all_are_told_in_order():
    instance = an_instance("i0", cpu=100, memory=512, ports=(80,), agent_connected=False)
    _, fleet = a_fleet([instance])
    want = wanted(
        cpu=200,
        memory=2048,
        ports=(80,),
        gpus=2,
        required_attributes=(shapes.Attribute(name="x"),),
        constraints=(member_of("attribute:a == b"),),
    )
    (explained,) = explain(fleet, want, a_rng()).instances
    assert explained.obstacles == (
        ("AGENT", "the container agent is not connected"),
        ("RESOURCE:CPU", "needs 200 CPU units, 100 free"),
        ("RESOURCE:GPU", "needs 2 GPUs, 0 free"),
        ("RESOURCE:MEMORY", "needs 2048 MiB memory, 512 MiB free"),
        ("RESOURCE:PORTS", "host port 80/tcp is taken"),
        ("ATTRIBUTE", "lacks the required attribute x"),
        ("MemberOf placement constraint unsatisfied.", "is not a member of 'attribute:a == b'"),
    )


def test_explain_when_some_of_several_fit_then_reasons_are_for_the_next_one():
    _, fleet = a_fleet([an_instance("i0"), an_instance("i1")])
    found = explain(fleet, wanted(3, constraints=(DISTINCT,)), a_rng())
    assert (found.placeable_count, found.wanted_count) == (2, 3)
    assert all(each.obstacles for each in found.instances)
    assert found.summary.startswith(
        "Only 2 of 3 tasks can be placed: of 2 container instances, 2 with a task of the group already."
    )
    assert fleet.subject(an_instance("i0").arn).groups == {}


def test_explain_when_all_fit_then_reasons_are_for_the_fleet_as_it_is():
    _, fleet = a_fleet([an_instance("i0", memory=512), an_instance("i1", status="DRAINING")])
    found = explain(fleet, wanted(), a_rng())
    assert [each.obstacles for each in found.instances] == [
        (),
        (("DRAINING", "is DRAINING and takes no new tasks"),),
    ]
    assert found.summary == "The task can be placed now; 1 of 2 container instances can take one."


def test_explain_when_instances_fail_alike_then_counted_and_the_closest_named():
    instances = [an_instance("i0", cpu=0, memory=0), an_instance("i1", memory=100), an_instance("i2", memory=0, cpu=0)]
    _, fleet = a_fleet(instances)
    assert explain(fleet, wanted(), a_rng()).summary == (
        "No task can be placed: of 3 container instances, 3 with too little free memory, 2 with too few free CPU "
        "units. The closest is i1: needs 512 MiB memory, 100 MiB free."
    )


def test_explain_when_only_drained_instances_are_there_then_said():
    _, fleet = a_fleet([an_instance("i0", status="DRAINING")])
    assert explain(fleet, wanted(), a_rng()).summary == (
        "No task can be placed: of 1 container instance, 1 with the status DRAINING."
    )


def test_explain_when_instances_have_a_task_already_then_the_closest_is_one_that_has_none():
    instances = [an_instance("i0"), an_instance("i1", memory=0, cpu=0)]
    _, fleet = a_fleet(instances, [a_task(on="i0")])
    assert explain(fleet, wanted(constraints=(DISTINCT,)), a_rng()).summary.endswith(
        "The closest is i1: needs 256 CPU units, 0 free; needs 512 MiB memory, 0 MiB free."
    )
