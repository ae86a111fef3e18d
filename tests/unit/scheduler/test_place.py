"""Placement against the documented rules, and against a naive reading of them on random small fleets."""

import pytest
from fleets import (
    DISTINCT,
    Naive,
    a_fleet,
    a_rng,
    a_task,
    an_instance,
    member_of,
    put_placed,
    strategy,
    wanted,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.model.expression import ExpressionError
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.scheduler.place import MAX_FAILURES, place
from homeport.scheduler.pool import most_pools
from homeport.shapes import ecs as shapes

ZONES = [{"zone": zone} for zone in "aaabbbccc"]


def names(placed):
    return [arn.rsplit("/", 1)[1] for arn in placed.instances]


def zoned(count=9, **members):
    return [an_instance(f"i{each}", attributes=ZONES[each], **members) for each in range(count)]


def test_place_when_nothing_is_there_then_nothing_is_placed_and_nothing_failed():
    _, fleet = a_fleet()
    placed = place(fleet, wanted(3), a_rng())
    assert placed.instances == ()
    assert placed.failures == ()


def test_place_when_all_fit_then_no_failures_and_the_fleet_is_unchanged():
    _, fleet = a_fleet([an_instance("i0")])
    before = fleet.free(an_instance("i0").arn)
    placed = place(fleet, wanted(4), a_rng())
    assert names(placed) == ["i0"] * 4
    assert placed.failures == ()
    assert fleet.free(an_instance("i0").arn) == before


def test_place_when_some_do_not_fit_then_the_rest_is_placed_and_each_instance_has_its_reason():
    _, fleet = a_fleet([an_instance("i0", memory=1024), an_instance("i1", memory=512, cpu=100)])
    placed = place(fleet, wanted(5), a_rng())
    assert names(placed) == ["i0", "i0"]
    assert [(failure.arn[-2:], failure.reason) for failure in placed.failures] == [
        ("i0", "RESOURCE:MEMORY"),
        ("i1", "RESOURCE:CPU"),
    ]


@pytest.mark.parametrize(
    ("instance", "want", "reason", "detail"),
    [
        (an_instance(cpu=255), wanted(), "RESOURCE:CPU", "needs 256 CPU units, 255 free"),
        (an_instance(memory=500), wanted(), "RESOURCE:MEMORY", "needs 512 MiB memory, 500 MiB free"),
        (an_instance(), wanted(gpus=1), "RESOURCE:GPU", "needs 1 GPU, 0 free"),
        (an_instance(ports=(22, 80)), wanted(ports=(80,)), "RESOURCE:PORTS", "host port 80/tcp is taken"),
        (an_instance(agent_connected=False), wanted(cpu=10**6), "AGENT", "the container agent is not connected"),
        (
            an_instance(),
            wanted(required_attributes=(shapes.Attribute(name="ecs.capability.x"),)),
            "ATTRIBUTE",
            "lacks the required attribute ecs.capability.x",
        ),
        (
            an_instance(attributes={"os": "linux"}),
            wanted(required_attributes=(shapes.Attribute(name="os", value="windows"),)),
            "ATTRIBUTE",
            "lacks the required attribute os=windows",
        ),
        (
            an_instance(),
            wanted(constraints=(member_of("attribute:a == b"),)),
            "MemberOf placement constraint unsatisfied.",
            "is not a member of 'attribute:a == b'",
        ),
    ],
)
def test_place_when_one_thing_is_missing_then_the_failure_names_it(instance, want, reason, detail):
    _, fleet = a_fleet([instance])
    placed = place(fleet, want, a_rng())
    assert placed.instances == ()
    assert placed.failures == (shapes.Failure(arn=instance.arn, reason=reason, detail=detail),)


@pytest.mark.parametrize("status", ["DRAINING", "INACTIVE", "REGISTERING", "DEREGISTERING"])
def test_place_when_an_instance_is_not_active_then_it_is_not_considered(status):
    _, fleet = a_fleet([an_instance("i0", status=status)])
    placed = place(fleet, wanted(), a_rng())
    assert (placed.instances, placed.failures) == ((), ())


def test_place_when_many_instances_cannot_then_only_so_many_failures_are_given():
    _, fleet = a_fleet([an_instance(f"i{each}", cpu=0) for each in range(MAX_FAILURES + 20)])
    assert len(place(fleet, wanted(), a_rng()).failures) == MAX_FAILURES


def test_place_when_the_same_udp_and_tcp_port_are_wanted_then_they_do_not_collide():
    _, fleet = a_fleet([an_instance("i0")], [a_task(on="i0", ports=(53,))])
    assert place(fleet, wanted(ports=(53,)), a_rng()).instances == ()
    assert names(place(fleet, wanted(ports_udp=(53,)), a_rng())) == ["i0"]


def test_place_when_ports_are_fixed_then_one_task_per_instance():
    _, fleet = a_fleet([an_instance("i0"), an_instance("i1")])
    placed = place(fleet, wanted(3, ports=(80,)), a_rng())
    assert sorted(names(placed)) == ["i0", "i1"]
    assert {failure.reason for failure in placed.failures} == {"RESOURCE:PORTS"}


def test_distinct_instance_when_a_task_of_the_group_is_active_then_not_there():
    tasks = [
        a_task("t0", on="i0"),
        a_task("t1", on="i1", group="family:other"),
        a_task("t2", on="i2", desired_status=DesiredStatus.STOPPED),
    ]
    _, fleet = a_fleet([an_instance(f"i{each}") for each in range(3)], tasks)
    placed = place(fleet, wanted(3, constraints=(DISTINCT,)), a_rng())
    assert sorted(names(placed)) == ["i1", "i2"]
    assert {failure.reason for failure in placed.failures} == {"DistinctInstance placement constraint unsatisfied."}


def test_affinity_when_the_group_arrives_later_then_the_kept_pool_notices():
    tables, fleet = a_fleet([an_instance("i0"), an_instance("i1")])
    want = wanted(constraints=(member_of("task:group == databases"),))
    assert place(fleet, want, a_rng()).instances == ()
    task = a_task("t0", on="i1", group="databases")
    tables.tasks.apply(task.arn, task)
    assert names(place(fleet, want, a_rng())) == ["i1"]
    tables.tasks.apply(task.arn, replace(task, desired_status=DesiredStatus.STOPPED))
    assert place(fleet, want, a_rng()).instances == ()


def test_anti_affinity_when_several_tasks_are_wanted_then_each_sees_the_ones_before():
    _, fleet = a_fleet([an_instance("i0"), an_instance("i1")])
    placed = place(fleet, wanted(3, group="db", constraints=(member_of("not(task:group == db)"),)), a_rng())
    assert sorted(names(placed)) == ["i0", "i1"]


def test_running_tasks_count_when_a_task_starts_then_the_kept_pool_notices():
    tables, fleet = a_fleet([an_instance("i0")])
    want = wanted(constraints=(member_of("runningTasksCount == 0"),))
    assert names(place(fleet, want, a_rng())) == ["i0"]
    task = a_task("t0", on="i0", last_status=TaskStatus.RUNNING)
    tables.tasks.apply(task.arn, task)
    assert place(fleet, want, a_rng()).instances == ()


def test_an_instance_when_its_row_changes_then_the_kept_pool_notices():
    tables, fleet = a_fleet([an_instance("i0")])
    want = wanted(constraints=(member_of("attribute:stack == prod"),))
    assert place(fleet, want, a_rng()).instances == ()
    tables.container_instances.apply(an_instance("i0").arn, an_instance("i0", attributes={"stack": "prod"}))
    assert names(place(fleet, want, a_rng())) == ["i0"]
    tables.container_instances.apply(
        an_instance("i0").arn, an_instance("i0", attributes={"stack": "prod"}, agent_connected=False)
    )
    assert place(fleet, want, a_rng()).failures[0].reason == "AGENT"
    tables.container_instances.apply(an_instance("i0").arn, None)
    assert place(fleet, want, a_rng()).failures == ()


def test_spread_when_an_instance_changes_zone_then_its_tasks_count_in_the_new_one():
    tables, fleet = a_fleet(
        [an_instance("i0", attributes={"zone": "a"}), an_instance("i1", attributes={"zone": "b"})],
        [a_task("t0", on="i0"), a_task("t1", on="i0")],
    )
    want = wanted(strategies=strategy("spread(attribute:zone)"))
    assert names(place(fleet, want, a_rng())) == ["i1"]
    moved = an_instance("i0", attributes={"zone": "b"})
    tables.container_instances.apply(moved.arn, moved)
    third = an_instance("i2", attributes={"zone": "a"})
    tables.container_instances.apply(third.arn, third)
    assert names(place(fleet, replace(want, count=2), a_rng())) == ["i2", "i2"]


def test_spread_when_zones_differ_in_size_then_tasks_are_even_over_zones():
    _, fleet = a_fleet(zoned(7))
    placed = place(fleet, wanted(9, strategies=strategy("spread(attribute:zone)")), a_rng())
    zones = [ZONES[int(name[1])]["zone"] for name in names(placed)]
    assert sorted(zones) == list("aaabbbccc")


def test_spread_when_over_zones_then_instances_then_even_over_both():
    _, fleet = a_fleet(zoned(9))
    placed = place(fleet, wanted(9, strategies=strategy("spread(attribute:zone) spread(instanceId)")), a_rng())
    assert sorted(names(placed)) == sorted(f"i{each}" for each in range(9))


@pytest.mark.parametrize("field", ["instanceId", "host"])
def test_spread_when_over_instances_then_other_groups_do_not_count(field):
    tasks = [a_task("t0", on="i0"), a_task("t1", on="i1", group="family:other"), a_task("t2", on="i1", group="x")]
    _, fleet = a_fleet([an_instance("i0"), an_instance("i1")], tasks)
    placed = place(fleet, wanted(1, strategies=strategy(f"spread({field})")), a_rng())
    assert names(placed) == ["i1"]


@pytest.mark.parametrize(("field", "chosen"), [("cpu", "i1"), ("memory", "i2")])
def test_binpack_when_several_fit_then_the_fullest_that_fits(field, chosen):
    instances = [
        an_instance("i0", cpu=4096, memory=4096),
        an_instance("i1", cpu=512, memory=4096),
        an_instance("i2", cpu=4096, memory=1024),
        an_instance("i3", cpu=255, memory=511),
    ]
    _, fleet = a_fleet(instances)
    placed = place(fleet, wanted(2, strategies=strategy(f"binpack({field})")), a_rng())
    assert names(placed) == [chosen, chosen]


def test_random_when_asked_often_then_every_candidate_gets_its_share():
    _, fleet = a_fleet([an_instance(f"i{each}", cpu=10**7, memory=10**7) for each in range(5)])
    for text in ("random", ""):
        chosen = names(place(fleet, wanted(5000, strategies=strategy(text)), a_rng()))
        assert all(850 < chosen.count(f"i{each}") < 1150 for each in range(5))


def test_place_when_the_rng_is_the_same_then_a_new_fleet_chooses_the_same():
    chosen = {place(a_fleet(zoned())[1], wanted(20), a_rng(5)).instances for _ in range(3)}
    assert len(chosen) == 1


def test_place_when_an_expression_cannot_be_parsed_then_it_says_so_and_nothing_is_kept():
    _, fleet = a_fleet([an_instance()])
    want = wanted(constraints=(member_of("nonsense"),))
    for _ in range(2):
        with pytest.raises(ExpressionError):
            place(fleet, want, a_rng())


def test_pools_when_there_are_too_many_kinds_of_tasks_then_the_oldest_is_dropped():
    _, fleet = a_fleet([an_instance()])
    pools = fleet.cluster(an_instance().cluster_arn).readers
    place(fleet, wanted(memory=1), a_rng())
    place(fleet, wanted(memory=2), a_rng())
    pools.update(dict.fromkeys(range(most_pools(1) - 2)))
    place(fleet, wanted(memory=1), a_rng())
    place(fleet, wanted(memory=3), a_rng())
    assert [key[0].memory_mib for key in pools if isinstance(key, tuple)] == [1, 3]
    assert len(pools) == most_pools(1)


@pytest.mark.parametrize(("instances", "pools"), [(0, 100_000), (10, 10_000), (5_000, 20), (1_000_000, 16)])
def test_most_pools_when_clusters_grow_then_their_memory_stays_bounded(instances, pools):
    assert most_pools(instances) == pools


an_attribute_set = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from("abc"), "rack": st.sampled_from("xy"), "type": st.sampled_from(["m5", "t2"])}
)
some_instances = st.lists(
    st.builds(
        an_instance,
        cpu=st.sampled_from([512, 1024, 2048]),
        memory=st.sampled_from([1024, 2048, 4096]),
        ports=st.sampled_from([(), (80,)]),
        gpus=st.integers(0, 2),
        attributes=an_attribute_set,
        agent_connected=st.sampled_from([True, True, True, False]),
        status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"]),
    ),
    max_size=7,
).map(lambda rows: [replace(row, arn=f"{row.arn[:-1]}{each}") for each, row in enumerate(rows)])
some_strategies = st.lists(
    st.sampled_from(
        [
            "spread(attribute:zone)",
            "spread(attribute:rack)",
            "spread(instanceId)",
            "binpack(cpu)",
            "binpack(memory)",
            "random",
        ]
    ),
    max_size=4,
).map(lambda words: strategy(" ".join(words)))
some_constraints = st.lists(
    st.sampled_from(
        [
            DISTINCT,
            member_of("attribute:type != t2"),
            member_of("runningTasksCount < 2"),
            member_of("not(task:group == g2)"),
            member_of("task:group == g1 or attribute:zone in [a, b]"),
        ]
    ),
    max_size=2,
).map(tuple)
some_wanted = st.builds(
    wanted,
    st.integers(1, 6),
    cpu=st.sampled_from([0, 128, 512]),
    memory=st.sampled_from([128, 512, 1024]),
    ports=st.sampled_from([(), (), (80,), (8080,)]),
    gpus=st.sampled_from([0, 0, 1]),
    group=st.sampled_from(["g1", "g2"]),
    strategies=some_strategies,
    constraints=some_constraints,
    required_attributes=st.sampled_from([(), (), (shapes.Attribute(name="zone"),)]),
)
some_tasks = st.lists(
    st.builds(
        a_task,
        on=st.integers(0, 6).map(lambda each: f"i{each}"),
        group=st.sampled_from(["g1", "g2", "g3"]),
        desired_status=st.sampled_from(DesiredStatus),
        last_status=st.sampled_from([TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.STOPPED]),
        ports=st.sampled_from([(), (80,), (8080,)]),
    ),
    max_size=6,
).map(lambda rows: [replace(row, arn=f"{row.arn}-{each}") for each, row in enumerate(rows)])


roomy_instances = st.lists(
    st.builds(an_instance, cpu=st.sampled_from([6000, 6128]), memory=st.just(9000), attributes=an_attribute_set),
    min_size=3,
    max_size=8,
).map(lambda rows: [replace(row, arn=f"{row.arn[:-1]}{each}") for each, row in enumerate(rows)])
roomy_wanted = st.builds(
    wanted, st.integers(1, 8), cpu=st.sampled_from([0, 128]), memory=st.just(128), strategies=some_strategies
)


@settings(max_examples=150)
@given(
    st.one_of(
        st.tuples(some_instances, st.lists(some_wanted, min_size=1, max_size=4)),
        st.tuples(roomy_instances, st.lists(roomy_wanted, min_size=1, max_size=3)),
    ),
    some_tasks,
    st.data(),
)
def test_place_when_compared_with_a_naive_reading_then_every_choice_is_one_of_its_best(world, tasks, data):
    """Requests follow each other on one fleet, with tasks stopping in between, so the kept pools are tested too."""
    instances, requests = world
    tables, fleet = a_fleet(instances, tasks)
    for want in requests * 2:
        naive = Naive(tables, want)
        placed = place(fleet, want, a_rng())
        for arn in placed.instances:
            assert arn in naive.best()
            naive.take(arn)
        if len(placed.instances) < want.count:
            assert naive.best() == set()
            assert {failure.arn for failure in placed.failures} == {
                row.arn for row in naive.rows if row.status == "ACTIVE"
            }
        if data.draw(st.booleans()):
            put_placed(tables, want, placed)
        if len(tables.tasks) and data.draw(st.booleans()):
            stopped = data.draw(st.sampled_from([task.arn for task in tables.tasks]))
            tables.tasks.apply(stopped, replace(tables.tasks[stopped], last_status=TaskStatus.STOPPED))
