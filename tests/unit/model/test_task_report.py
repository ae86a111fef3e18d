"""What agents report, folded into a task's row."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.model.resources import Resources
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.task import Container, Task
from homeport.model.task_report import apply_report, ended_task, report_of_container, with_attachment_status
from homeport.shapes import ecs as shapes

CANNOT_PULL = "CannotPullContainerError: pull access denied for nothing"


def a_task(*containers: Container, **changes) -> Task:
    task = Task(
        arn="arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef",
        cluster_arn="arn:aws:ecs:us-east-1:123456789012:cluster/default",
        task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/web:1",
        family="web",
        group="family:web",
        created_at=100.0,
        resources=Resources(),
        containers=containers or (Container(name="main", image="busybox"),),
        last_status=TaskStatus.PENDING,
        tags=(shapes.Tag(key="a", value="b"),),
    )
    return replace(task, **changes)


def report(status=None, *changes, **members) -> shapes.SubmitTaskStateChangeRequest:
    return shapes.SubmitTaskStateChangeRequest(status=status, containers=changes or None, **members)


def change(name, status, **members) -> shapes.ContainerStateChange:
    return shapes.ContainerStateChange(container_name=name, status=status, **members)


BINDING = shapes.NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=32768, protocol="tcp")


def test_report_when_running_then_started_and_connected():
    task = apply_report(
        a_task(), report("RUNNING", change("main", "RUNNING", runtime_id="abc", network_bindings=(BINDING,))), 110.0
    )
    assert (task.last_status, task.started_at, task.version) == (TaskStatus.RUNNING, 110.0, 2)
    assert (task.connectivity, task.connectivity_at) == ("CONNECTED", 110.0)
    assert task.containers[0].runtime_id == "abc"
    assert task.containers[0].network_bindings == (BINDING,)


def test_report_when_repeated_then_very_same_row():
    running = report("RUNNING", change("main", "RUNNING", runtime_id="abc"))
    task = apply_report(a_task(), running, 110.0)
    assert apply_report(task, running, 120.0) is task


def test_report_when_pending_with_digest_then_digest_kept_and_status_not_lowered():
    pending = report("PENDING", change("main", "PENDING", image_digest="sha256:1"), pull_started_at=101.0)
    task = apply_report(a_task(last_status=TaskStatus.PROVISIONING), pending, 102.0)
    assert task.last_status is TaskStatus.PENDING
    assert (task.containers[0].image_digest, task.pull_started_at) == ("sha256:1", 101.0)
    running = apply_report(task, report("RUNNING", change("main", "RUNNING")), 103.0)
    assert apply_report(running, pending, 104.0) is running


def test_report_when_essential_exits_then_stop_code_and_exit_code():
    running = apply_report(a_task(), report("RUNNING", change("main", "RUNNING")), 110.0)
    stopped = apply_report(
        running, report("STOPPED", change("main", "STOPPED", exit_code=7), execution_stopped_at=119.5), 120.0
    )
    assert stopped.last_status is TaskStatus.STOPPED
    assert stopped.desired_status is DesiredStatus.STOPPED
    assert stopped.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert stopped.stopped_reason == "Essential container in task exited"
    assert (stopped.stopping_at, stopped.stopped_at, stopped.execution_stopped_at) == (120.0, 120.0, 119.5)
    assert stopped.containers[0].exit_code == 7
    assert (stopped.version, stopped.tags) == (3, ())


def test_report_when_one_essential_has_exited_then_desired_stopped_at_once():
    task = a_task(Container(name="main", image="i"), Container(name="side", image="i", essential=False))
    task = apply_report(task, report("RUNNING", change("main", "RUNNING"), change("side", "RUNNING")), 110.0)
    side_gone = apply_report(task, report("RUNNING", change("side", "STOPPED", exit_code=0)), 111.0)
    assert side_gone.desired_status is DesiredStatus.RUNNING
    main_gone = apply_report(side_gone, report("RUNNING", change("main", "STOPPED", exit_code=1)), 112.0)
    assert main_gone.desired_status is DesiredStatus.STOPPED
    assert main_gone.last_status is TaskStatus.RUNNING
    assert (main_gone.stop_code, main_gone.version) == (StopCode.ESSENTIAL_CONTAINER_EXITED, side_gone.version + 1)


def test_report_when_an_essential_process_is_over_then_stopping_until_the_engine_has_told_how():
    running = apply_report(a_task(), report("RUNNING", change("main", "RUNNING")), 110.0)
    stopping = apply_report(running, report("STOPPING"), 120.0)
    assert (stopping.last_status, stopping.desired_status) == (TaskStatus.STOPPING, DesiredStatus.STOPPED)
    assert (stopping.stop_code, stopping.stopping_at) == (StopCode.ESSENTIAL_CONTAINER_EXITED, 120.0)
    stopped = apply_report(stopping, report("STOPPED", change("main", "STOPPED", exit_code=7)), 120.2)
    assert (stopped.last_status, stopped.containers[0].exit_code) == (TaskStatus.STOPPED, 7)
    assert stopped.stopped_reason == "Essential container in task exited"


def test_report_when_container_entries_repeat_then_last_wins():
    task = apply_report(
        a_task(),
        report("STOPPED", change("main", "RUNNING", exit_code=3), change("main", "STOPPED", exit_code=3)),
        110.0,
    )
    assert task.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert (task.containers[0].last_status, task.containers[0].exit_code) == ("STOPPED", 3)
    assert task.execution_stopped_at == 110.0


def test_report_when_pull_failed_then_task_failed_to_start():
    task = apply_report(a_task(), report("STOPPED", change("main", "STOPPED", reason=CANNOT_PULL)), 110.0)
    assert (task.stop_code, task.stopped_reason) == (StopCode.TASK_FAILED_TO_START, CANNOT_PULL)
    assert task.containers[0].reason == CANNOT_PULL
    assert task.started_at is None
    assert task.execution_stopped_at is None


def test_report_when_pull_failed_but_cached_image_ran_then_reason_is_dropped():
    running = apply_report(a_task(), report("RUNNING", change("main", "RUNNING", reason=CANNOT_PULL)), 110.0)
    assert running.containers[0].reason is None
    stopped = apply_report(
        running, report("STOPPED", change("main", "STOPPED", exit_code=0, reason=CANNOT_PULL)), 111.0
    )
    assert stopped.containers[0].reason is None
    assert stopped.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED


def test_report_when_dependency_failed_then_first_start_failure_is_the_reason():
    never = "CannotStartContainerError: dependency graph: container dependency will never be satisfied"
    task = a_task(Container(name="init", image="i", essential=False), Container(name="main", image="i"))
    task = apply_report(
        task,
        report(
            "STOPPED", change("init", "STOPPED", exit_code=1), change("main", "STOPPED", exit_code=143, reason=never)
        ),
        110.0,
    )
    assert (task.stop_code, task.stopped_reason) == (StopCode.TASK_FAILED_TO_START, never)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("", "Task failed to start"), ("CgroupError: Agent could not create", "CgroupError: Agent could not create")],
)
def test_report_when_stopped_without_containers_then_reason_of_task(reason, expected):
    task = apply_report(a_task(), report("STOPPED", reason=reason), 110.0)
    assert (task.stop_code, task.stopped_reason) == (StopCode.TASK_FAILED_TO_START, expected)
    assert task.containers[0].last_status == "STOPPED"


def test_report_when_user_stopped_then_first_reason_stays():
    running = apply_report(a_task(), report("RUNNING", change("main", "RUNNING")), 110.0)
    stopping = running.stopping(StopCode.USER_INITIATED, "enough", 115.0)
    stopped = apply_report(stopping, report("STOPPED", change("main", "STOPPED", exit_code=137)), 120.0)
    assert (stopped.stop_code, stopped.stopped_reason) == (StopCode.USER_INITIATED, "enough")
    assert (stopped.stopping_at, stopped.stopped_at) == (115.0, 120.0)


def test_report_when_out_of_memory_then_reason_of_container():
    oom = "OutOfMemoryError: Container killed due to memory usage"
    running = apply_report(a_task(), report("RUNNING", change("main", "RUNNING")), 110.0)
    stopped = apply_report(running, report("STOPPED", change("main", "STOPPED", exit_code=137, reason=oom)), 111.0)
    assert (stopped.containers[0].reason, stopped.containers[0].exit_code) == (oom, 137)


def test_report_when_task_is_stopped_then_nothing_changes():
    stopped = apply_report(a_task(), report("STOPPED"), 110.0)
    assert apply_report(stopped, report("RUNNING", change("main", "RUNNING")), 111.0) is stopped


def test_report_when_texts_are_long_then_cut():
    task = apply_report(
        a_task(), report("STOPPED", change("main", "STOPPED", reason="x" * 2000, runtime_id="y" * 300)), 110.0
    )
    assert len(task.containers[0].reason) == 1024
    assert len(task.containers[0].runtime_id) == 255


def test_report_when_managed_agent_then_on_its_container():
    change_ = shapes.ManagedAgentStateChange(
        container_name="main", managed_agent_name="ExecuteCommandAgent", status="RUNNING"
    )
    task = apply_report(a_task(), report("RUNNING", managed_agents=(change_,)), 110.0)
    (agent,) = task.containers[0].managed_agents
    assert (agent.name, agent.last_status, agent.last_started_at) == ("ExecuteCommandAgent", "RUNNING", 110.0)


def test_report_when_unknown_container_then_ignored():
    task = a_task()
    assert apply_report(task, report(None, change("ghost", "STOPPED", exit_code=1)), 110.0) is task


def test_report_of_container_when_applied_then_only_container_changes():
    request = shapes.SubmitContainerStateChangeRequest(
        task="t", container_name="main", status="RUNNING", runtime_id="abc"
    )
    task = apply_report(a_task(), report_of_container(request), 110.0)
    assert task.last_status is TaskStatus.PENDING
    assert task.containers[0].last_status == "RUNNING"


def test_attachment_status_when_reported_then_set_once():
    task = a_task(attachments=(shapes.Attachment(id="e1", type="eni", status="ATTACHING"),))
    arn = "arn:aws:ecs:us-east-1:123456789012:attachment/e1"
    change_ = shapes.AttachmentStateChange(attachment_arn=arn, status="ATTACHED")
    attached = with_attachment_status(task, change_)
    assert (attached.attachments[0].status, attached.version) == ("ATTACHED", 2)
    assert with_attachment_status(attached, change_) is attached


def test_ended_task_when_being_stopped_then_keeps_reason_and_one_version():
    task = a_task().stopping(StopCode.USER_INITIATED, "enough", 110.0)
    ended = ended_task(task, StopCode.INFRASTRUCTURE_HEALTH, "gone", 120.0)
    assert (ended.stopped_reason, ended.version, ended.stopped_at) == ("enough", task.version + 1, 120.0)
    assert ended_task(ended, StopCode.INFRASTRUCTURE_HEALTH, "gone", 130.0) is ended


LIFE = (
    report("PENDING", change("main", "PENDING", image_digest="sha256:1")),
    report("RUNNING", change("main", "RUNNING", runtime_id="abc", network_bindings=(BINDING,))),
    report("STOPPED", change("main", "STOPPED", runtime_id="abc", exit_code=5)),
)


@pytest.mark.parametrize("order", list(permutations(LIFE)))
def test_reports_when_reordered_then_task_ends_stopped(order):
    task = a_task()
    for each in order:
        task = apply_report(task, each, 110.0)
    assert task.last_status is TaskStatus.STOPPED
    assert task.containers[0].exit_code == 5


CHANGES = st.builds(
    change,
    st.sampled_from(["main", "side", "ghost"]),
    st.sampled_from(["PENDING", "RUNNING", "STOPPED", "NONSENSE", None]),
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    reason=st.one_of(st.none(), st.sampled_from(["", CANNOT_PULL, "OutOfMemoryError: x"])),
    runtime_id=st.one_of(st.none(), st.just("abc")),
)
REPORTS = st.builds(
    lambda status, changes, reason: report(status, *changes, reason=reason),
    st.sampled_from(["PENDING", "RUNNING", "STOPPING", "STOPPED", None]),
    st.lists(CHANGES, max_size=4),
    st.sampled_from(["", "CgroupError: x"]),
)
RANK = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}


@given(st.lists(REPORTS, max_size=6))
@settings(max_examples=60)
def test_reports_when_arbitrary_then_statuses_rise_versions_count_and_repeats_are_silent(reports):
    task = a_task(Container(name="main", image="i"), Container(name="side", image="i", essential=False))
    for number, each in enumerate(reports):
        after = apply_report(task, each, 110.0 + number)
        assert after.last_status.rank >= task.last_status.rank
        assert after.version == task.version + (0 if after is task else 1)
        for before_container, container in zip(task.containers, after.containers, strict=True):
            assert RANK[container.last_status] >= RANK[before_container.last_status]
        assert (after.desired_status is DesiredStatus.STOPPED) == (after.stop_code is not None)
        assert apply_report(after, each, 200.0) is after
        task = after
