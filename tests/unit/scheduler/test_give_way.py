"""Who has to go so that others fit."""

import pytest
from fleets import DISTINCT, a_fleet, a_rng, a_task, an_instance, member_of, wanted

from homeport.scheduler.give_way import Candidate, giving_way
from homeport.scheduler.place import place


def candidates(*tasks, counted=True):
    return [Candidate(task, counted) for task in tasks]


def names(tasks):
    return [task.arn[-2:] for task in tasks]


def full(*hosts):
    """Two tasks fill each host."""
    tasks = [a_task(f"{host[-1]}{number}", on=host, cpu=50) for host in hosts for number in range(2)]
    _, fleet = a_fleet([an_instance(host, cpu=100) for host in hosts], tasks)
    return fleet, tasks


@pytest.mark.parametrize(
    ("cpu", "count", "spare", "going"),
    [
        (50, 1, 4, ["00"]),
        (50, 3, 4, ["00", "01", "10"]),
        (50, 3, 2, ["00", "01"]),
        (100, 1, 4, ["00", "01"]),
        (100, 1, 1, []),
        (25, 2, 4, ["00"]),
        (101, 1, 4, []),
    ],
)
def test_giving_way_when_instances_are_full_then_as_few_go_as_help(cpu, count, spare, going):
    fleet, tasks = full("i0", "i1")
    before = [fleet.free(an_instance(host).arn) for host in ("i0", "i1")]
    assert names(giving_way(fleet, wanted(count, cpu=cpu), candidates(*tasks), spare)) == going
    assert [fleet.free(an_instance(host).arn) for host in ("i0", "i1")] == before
    assert place(fleet, wanted(cpu=50), a_rng()).instances == ()


def test_giving_way_when_tasks_do_not_count_then_any_number_may_go():
    fleet, tasks = full("i0")
    assert names(giving_way(fleet, wanted(2, cpu=50), candidates(*tasks, counted=False), 0)) == ["00", "01"]


@pytest.mark.parametrize(
    "members", [{"agent_connected": False}, {"status": "DRAINING"}, {"attributes": {"disk": "slow"}}]
)
def test_giving_way_when_the_instance_could_not_take_it_anyway_then_nobody_goes(members):
    task = a_task("00", on="i0", cpu=100)
    _, fleet = a_fleet([an_instance("i0", cpu=100, **members)], [task])
    want = wanted(cpu=100, constraints=(member_of("attribute:disk != slow"),))
    assert giving_way(fleet, want, candidates(task), 1) == []


def test_giving_way_when_tasks_must_be_apart_then_the_one_that_is_there_goes():
    task = a_task("00", on="i0")
    _, fleet = a_fleet([an_instance("i0")], [task])
    assert names(giving_way(fleet, wanted(2, constraints=(DISTINCT,)), candidates(task), 1)) == ["00"]
    assert fleet.subject(an_instance("i0").arn).groups == {"family:web": 1}


def test_giving_way_when_an_instance_is_unknown_then_its_task_stays():
    _, fleet = a_fleet([])
    assert giving_way(fleet, wanted(), candidates(a_task("00", on="i0"), a_task("01")), 2) == []
