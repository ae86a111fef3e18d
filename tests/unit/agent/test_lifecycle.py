"""What a task does next: tables of (known, desired, dependency) → action, and what must hold for every task."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.agent.accept import new_record
from homeport.agent.lifecycle import (
    Create,
    ProvisionCgroup,
    ProvisionVolume,
    Pull,
    Start,
    Stop,
    blocked,
    exited,
    failed,
    next_actions,
    next_deadline,
    observed,
    settle,
    should_restart,
    stopping,
    with_container,
)
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.drivers.engine import ContainerState
from homeport.shapes import acs
from tests.unit.agent.scripted import a_container, a_task

NONE, PULLED, CREATED, RUNNING, STOPPED = (
    ContainerStatus.NONE,
    ContainerStatus.PULLED,
    ContainerStatus.CREATED,
    ContainerStatus.RUNNING,
    ContainerStatus.STOPPED,
)
NOW = 1000.0


def a_record(*containers: acs.Container, **changes) -> TaskRecord:
    return new_record(a_task(1, *containers, **changes), NOW, endpoint_seed="seed", task_limits=False)


def at(task: TaskRecord, name: str, known: ContainerStatus, **changes) -> TaskRecord:
    container = task.container(name)
    assert container is not None
    fields = (
        {"applied": max(container.applied, min(known, RUNNING)), "docker_id": f"id-{name}"} if known >= CREATED else {}
    )
    if known >= RUNNING:
        fields.setdefault("started_at", NOW)
    return with_container(task, replace(container, known=known, **{**fields, **changes}))


def a_state(status: str, **changes) -> ContainerState:
    fields = {
        "id": "id",
        "name": "n",
        "image": "i",
        "image_id": "sha256:i",
        "status": status,
        "labels": {},
        "created_at": NOW,
    }
    return ContainerState(**{**fields, **changes})


@pytest.mark.parametrize(
    ("known", "action"), [(NONE, Pull("main")), (PULLED, Create("main")), (CREATED, Start("main")), (RUNNING, None)]
)
def test_next_action_when_task_shall_run_is_the_one_step_up(known, action) -> None:
    task = at(a_record(), "main", known)
    assert next_actions(task, NOW) == ((action,) if action else ())


@pytest.mark.parametrize(
    ("known", "action"), [(NONE, None), (PULLED, None), (CREATED, None), (RUNNING, Stop("main", 7))]
)
def test_next_action_when_task_shall_stop_stops_only_what_may_run(known, action) -> None:
    task = settle(stopping(at(a_record(a_container(stop_timeout=7)), "main", known)), NOW)
    assert next_actions(task, NOW) == ((action,) if action else ())
    assert (task.known is STOPPED) == (action is None)


def test_stop_timeout_of_zero_is_the_agents_default() -> None:
    task = stopping(at(a_record(a_container(stop_timeout=0)), "main", RUNNING))
    assert next_actions(task, NOW) == (Stop("main", None),)


def test_start_that_was_asked_for_is_stopped_through_the_engine() -> None:
    task = at(a_record(), "main", CREATED, applied=RUNNING)
    assert next_actions(settle(stopping(task), NOW), NOW) == (Stop("main", None),)


@pytest.mark.parametrize(
    ("condition", "known", "extra", "starts"),
    [
        ("START", CREATED, {}, False),
        ("START", RUNNING, {}, True),
        ("START", STOPPED, {"exit_code": 3}, True),
        ("COMPLETE", RUNNING, {}, False),
        ("COMPLETE", STOPPED, {"exit_code": 3}, True),
        ("SUCCESS", RUNNING, {}, False),
        ("SUCCESS", STOPPED, {"exit_code": 0}, True),
        ("HEALTHY", RUNNING, {"health": "starting"}, False),
        ("HEALTHY", RUNNING, {"health": "unhealthy"}, False),
        ("HEALTHY", RUNNING, {"health": "healthy"}, True),
    ],
)
def test_dependent_starts_only_when_the_condition_holds(condition, known, extra, starts) -> None:
    needs = (acs.ContainerDependency(container_name="first", condition=condition),)
    task = a_record(
        a_container("first", essential=False, health_check_type="docker"), a_container("main", depends_on=needs)
    )
    task = settle(at(at(task, "first", known, **extra), "main", CREATED), NOW)
    assert (Start("main") in next_actions(task, NOW)) is starts
    assert ("main" in blocked(task, NOW)) is not starts


@pytest.mark.parametrize(
    ("condition", "known", "extra"),
    [
        ("SUCCESS", STOPPED, {"exit_code": 1}),
        ("HEALTHY", STOPPED, {"exit_code": 0}),
        ("START", STOPPED, {"started_at": None}),
        ("COMPLETE", STOPPED, {"started_at": None}),
    ],
)
def test_dependency_that_can_never_hold_stops_the_task(condition, known, extra) -> None:
    needs = (acs.ContainerDependency(container_name="first", condition=condition),)
    task = a_record(
        a_container("first", essential=False, health_check_type="docker"), a_container("main", depends_on=needs)
    )
    task = settle(at(task, "first", known, **extra), NOW)
    main = task.container("main")
    assert (main.known, main.exit_code) == (STOPPED, 143)
    assert main.reason.startswith("CannotStartContainerError: dependency container first ")
    assert task.desired is STOPPED


def test_dependency_that_can_never_hold_leaves_a_task_alone_whose_essential_containers_do_without() -> None:
    needs = (acs.ContainerDependency(container_name="first", condition="SUCCESS"),)
    task = a_record(
        a_container("first", essential=False),
        a_container("helper", essential=False, depends_on=needs),
        a_container("main"),
    )
    task = settle(at(at(task, "first", STOPPED, exit_code=1), "main", RUNNING), NOW)
    assert (task.container("helper").known, task.container("helper").exit_code) == (STOPPED, 143)
    assert (task.desired, task.container("main").known) == (RUNNING, RUNNING)


def test_dependency_past_its_start_timeout_stops_the_task() -> None:
    needs = (acs.ContainerDependency(container_name="first", condition="SUCCESS"),)
    task = a_record(a_container("first", essential=False, start_timeout=5), a_container("main", depends_on=needs))
    task = settle(at(task, "first", RUNNING), NOW)
    assert next_deadline(task, NOW) == NOW + 5
    assert settle(task, NOW + 4.9).desired is RUNNING
    assert settle(task, NOW + 5).desired is STOPPED


def test_links_and_volumes_from_order_creation() -> None:
    task = a_record(
        a_container("db"),
        a_container("data"),
        a_container("web", links=("db:d",), volumes_from=(acs.VolumeFrom(source_container="data"),)),
    )
    task = at(at(task, "web", PULLED), "db", RUNNING)
    assert Create("web") not in next_actions(task, NOW)
    assert Create("web") in next_actions(at(task, "data", CREATED), NOW)


def test_dependents_stop_before_what_they_depend_on() -> None:
    needs = (acs.ContainerDependency(container_name="db", condition="START"),)
    task = a_record(a_container("db"), a_container("web", depends_on=needs))
    task = settle(stopping(at(at(task, "db", RUNNING), "web", RUNNING)), NOW)
    assert next_actions(task, NOW) == (Stop("web", None),)
    assert next_actions(at(task, "web", STOPPED), NOW) == (Stop("db", None),)


def test_essential_exit_stops_the_rest_and_other_exits_do_not() -> None:
    task = a_record(a_container("main"), a_container("side", essential=False))
    task = at(at(task, "main", RUNNING), "side", RUNNING)
    assert settle(at(task, "side", STOPPED), NOW).desired is RUNNING
    assert settle(at(task, "side", STOPPED), NOW).known is RUNNING
    ended = settle(at(task, "main", STOPPED), NOW)
    assert next_actions(ended, NOW + 9) == (Stop("side", None),)
    assert settle(at(ended, "side", STOPPED), NOW + 9).execution_stopped_at == NOW


def test_circle_is_stopped_at_once_with_the_reason() -> None:
    needs = lambda name: (acs.ContainerDependency(container_name=name, condition="START"),)
    task = settle(a_record(a_container("a", depends_on=needs("b")), a_container("b", depends_on=needs("a"))), NOW)
    assert task.known is STOPPED
    assert task.reason == f"Task dependencies cannot be resolved, taskArn: {task.arn}"


def test_resources_come_before_creation_and_beside_the_pull() -> None:
    mounts = (acs.MountPoint(source_volume="v", container_path="/v"),)
    spec = a_task(1, a_container(mount_points=mounts), volumes=(acs.Volume(name="v", host=acs.HostVolume()),))
    task = new_record(spec, NOW, endpoint_seed="s", task_limits=True)
    assert next_actions(task, NOW) == (ProvisionCgroup(), ProvisionVolume("v"), Pull("main"))
    assert Create("main") not in next_actions(at(task, "main", PULLED), NOW)
    ready = replace(at(task, "main", PULLED), cgroup_parent="/ecs/x", volumes_provisioned=("v",))
    assert next_actions(ready, NOW) == (Create("main"),)


@pytest.mark.parametrize(
    ("policy", "code", "ran_for", "restarts"),
    [
        (None, 1, 999, False),
        (acs.RestartPolicy(enabled=False), 1, 999, False),
        (acs.RestartPolicy(enabled=True), 1, 299, False),
        (acs.RestartPolicy(enabled=True), 1, 300, True),
        (acs.RestartPolicy(enabled=True), 0, 300, True),
        (acs.RestartPolicy(enabled=True, restart_attempt_period=60), 1, 60, True),
        (acs.RestartPolicy(enabled=True, ignored_exit_codes=(0,)), 0, 300, False),
    ],
)
def test_restart_policy_needs_a_full_period_and_a_code_not_ignored(policy, code, ran_for, restarts) -> None:
    task = at(a_record(a_container(restart_policy=policy)), "main", RUNNING)
    assert should_restart(task, task.container("main"), code, NOW + ran_for) is restarts
    after = with_container(task, exited(task, task.container("main"), a_state("exited", exit_code=code), NOW + ran_for))
    assert next_actions(settle(after, NOW), NOW) == ((Start("main"),) if restarts else ())
    assert should_restart(stopping(task), task.container("main"), code, NOW + ran_for) is False


def test_health_when_a_later_probe_agrees_is_still_since_its_change() -> None:
    task = at(a_record(), "main", RUNNING)
    bad = a_state("running", health="unhealthy", health_since=NOW, health_output="refused", health_exit_code=1)
    once = observed(task, task.container("main"), bad, NOW)
    again = observed(task, once, a_state("running", health="unhealthy", health_since=NOW + 30), NOW + 30)
    assert (again.health_since, again.health_output, again.health_exit_code) == (NOW, "refused", 1)
    well = observed(task, again, a_state("running", health="healthy", health_since=NOW + 60), NOW + 60)
    assert (well.health, well.health_since, well.health_exit_code) == ("healthy", NOW + 60, 0)


def test_restart_counts_from_the_last_restart() -> None:
    policy = acs.RestartPolicy(enabled=True, restart_attempt_period=60)
    task = at(a_record(a_container(restart_policy=policy)), "main", RUNNING, restarted_at=NOW + 100, restart_count=1)
    assert not should_restart(task, task.container("main"), 1, NOW + 130)


def test_memory_kill_has_ecs_reason() -> None:
    task = at(a_record(), "main", RUNNING)
    after = observed(task, task.container("main"), a_state("exited", exit_code=137, oom_killed=True), NOW)
    assert (after.exit_code, after.reason) == (137, "OutOfMemoryError: Container killed due to memory usage")


def test_failure_before_the_start_stops_an_essential_container_with_its_reason() -> None:
    task = a_record()
    task = settle(with_container(task, failed(task.container("main"), "CannotPullContainerError: no")), NOW)
    assert (task.known, task.container("main").reason) == (STOPPED, "CannotPullContainerError: no")


# ---- for every task -------------------------------------------------------------------------------------------------

CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


@st.composite
def tasks(draw) -> TaskRecord:
    """Tasks without circles: each container depends on earlier ones only."""
    names = [f"c{index}" for index in range(draw(st.integers(1, 5)))]
    containers = []
    for index, name in enumerate(names):
        needs = tuple(
            acs.ContainerDependency(container_name=other, condition=draw(st.sampled_from(CONDITIONS)))
            for other in names[:index]
            if draw(st.booleans())
        )
        containers.append(
            a_container(
                name,
                essential=draw(st.booleans()) or index == len(names) - 1,
                depends_on=needs,
                start_timeout=draw(st.sampled_from((None, 5))),
                health_check_type="docker",
                restart_policy=draw(
                    st.sampled_from((None, acs.RestartPolicy(enabled=True, restart_attempt_period=60)))
                ),
            )
        )
    return a_record(*containers)


def outcomes(draw, task: TaskRecord, action, now: float) -> ContainerRecord:
    container = task.container(action.container)
    if not isinstance(action, Stop) and draw(st.integers(0, 9)) == 0:
        return failed(container, "CannotStartContainerError: chance")
    match action:
        case Pull():
            return replace(container, known=PULLED)
        case Create():
            return replace(container, known=CREATED, applied=CREATED, docker_id="id")
        case Start():
            return replace(
                container,
                known=RUNNING,
                applied=RUNNING,
                started_at=now,
                health=draw(st.sampled_from(("healthy", "unhealthy"))),
            )
    return exited(task, container, a_state("exited", exit_code=137), now)


def risen(before: TaskRecord, after: TaskRecord) -> bool:
    pairs = zip(before.containers, after.containers, strict=True)
    return after.known >= before.known and after.desired >= before.desired and all(b.known >= a.known for a, b in pairs)


@settings(max_examples=150)
@given(st.data(), tasks())
def test_statuses_only_rise_and_a_stopped_task_converges(data, task) -> None:
    now = NOW
    for step in range(200):
        now += 1
        if step == 40:
            task = stopping(task)
        before, task = task, settle(task, now)
        assert risen(before, task)
        assert settle(task, now) == task
        if task.known is STOPPED:
            break
        actions = next_actions(task, now)
        assert len({str(action) for action in actions}) == len(actions)
        running = [each for each in task.containers if each.known is RUNNING and each.applied is RUNNING]
        if actions:
            action = data.draw(st.sampled_from(actions))
            if isinstance(action, Start):
                task = with_container(task, replace(task.container(action.container), applied=RUNNING))
            task = with_container(task, outcomes(data.draw, task, action, now))
        elif running:
            ending = data.draw(st.sampled_from(running))
            code = data.draw(st.sampled_from((0, 1)))
            task = with_container(task, exited(task, ending, a_state("exited", exit_code=code), now))
        else:
            assert next_deadline(task, now) is not None or blocked(task, now)
        assert risen(before, task)
    assert task.known is STOPPED
    assert all(container.known is STOPPED for container in task.containers)
    assert next_actions(task, now) == ()
