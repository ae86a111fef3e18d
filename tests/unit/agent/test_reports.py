"""What the control plane is told, and when nothing is left to tell."""

from msgspec.structs import replace

from homeport.agent.accept import new_record
from homeport.agent.lifecycle import settle, stopping, with_container
from homeport.agent.record import ContainerStatus, TaskRecord
from homeport.agent.reports import acknowledged, network_bindings, pending_report
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs
from tests.unit.agent.scripted import a_container, a_task


def a_record(**known: tuple[ContainerStatus, dict]) -> TaskRecord:
    specs = [a_container(name, essential=name == "main") for name in known]
    task = new_record(a_task(1, *specs), 0.0, endpoint_seed="s", task_limits=False)
    return changed(task, **known)


def changed(task: TaskRecord, **known: tuple[ContainerStatus, dict]) -> TaskRecord:
    for name, (status, fields) in known.items():
        container = task.container(name)
        applied = min(status, ContainerStatus.RUNNING)
        task = with_container(task, replace(container, known=status, applied=applied, **fields))
    return settle(task, 1.0)


def test_new_task_has_nothing_to_tell() -> None:
    assert pending_report(a_record(main=(ContainerStatus.NONE, {})), "default") is None


def test_pulled_image_with_a_digest_is_told_without_hurry() -> None:
    report = pending_report(a_record(main=(ContainerStatus.PULLED, {"image_digest": "sha256:1"})), "default")
    assert (report.request.status, report.is_urgent) == ("PENDING", False)
    assert [(each.status, each.image_digest) for each in report.request.containers] == [("PENDING", "sha256:1")]
    assert pending_report(a_record(main=(ContainerStatus.PULLED, {})), "default") is None


def test_running_is_told_at_once_and_only_once() -> None:
    task = a_record(main=(ContainerStatus.RUNNING, {"docker_id": "d"}))
    report = pending_report(task, "default")
    assert (report.request.status, report.request.reason, report.is_urgent) == ("RUNNING", "", True)
    assert pending_report(acknowledged(task, report), "default") is None


def test_newest_facts_win() -> None:
    task = a_record(main=(ContainerStatus.RUNNING, {}))
    report = pending_report(task, "default")
    task = changed(task, main=(ContainerStatus.STOPPED, {"exit_code": 3}))
    task = acknowledged(task, report)
    again = pending_report(task, "default")
    assert again.request.status == "STOPPED"
    assert [(each.status, each.exit_code) for each in again.request.containers] == [("STOPPED", 3)]
    assert again.request.execution_stopped_at is not None
    assert pending_report(acknowledged(task, again), "default") is None


def test_side_container_that_exits_is_urgent_while_the_task_runs() -> None:
    task = a_record(main=(ContainerStatus.RUNNING, {}), side=(ContainerStatus.RUNNING, {}))
    task = acknowledged(task, pending_report(task, "default"))
    report = pending_report(changed(task, side=(ContainerStatus.STOPPED, {"exit_code": 0})), "default")
    assert (report.request.status, report.is_urgent) == ("RUNNING", True)
    assert [each.container_name for each in report.request.containers] == ["side"]


def test_ended_process_of_an_essential_container_is_told_once_before_how_it_ended() -> None:
    task = a_record(main=(ContainerStatus.RUNNING, {}), side=(ContainerStatus.RUNNING, {}))
    ending = changed(task, main=(ContainerStatus.RUNNING, {"ended_at": 5.0}))
    assert pending_report(ending, "default").request.status == "RUNNING"  # that it runs comes first
    task = acknowledged(task, pending_report(task, "default"))
    assert pending_report(changed(task, side=(ContainerStatus.RUNNING, {"ended_at": 5.0})), "default") is None
    ending = changed(task, main=(ContainerStatus.RUNNING, {"ended_at": 5.0}))
    report = pending_report(ending, "default")
    assert (report.request.status, report.is_urgent, report.request.containers) == ("STOPPING", True, ())
    assert report.request.execution_stopped_at is None  # the other container goes on until it is stopped
    ending = acknowledged(ending, report)
    assert pending_report(ending, "default") is None
    ended = changed(ending, main=(ContainerStatus.STOPPED, {"exit_code": 0}), side=(ContainerStatus.STOPPED, {}))
    assert pending_report(ended, "default").request.status == "STOPPED"


def test_task_that_was_told_to_stop_is_told_to_be_over_when_no_process_is_left() -> None:
    task = a_record(main=(ContainerStatus.RUNNING, {}), side=(ContainerStatus.RUNNING, {}))
    task = stopping(acknowledged(task, pending_report(task, "default")))
    one = changed(task, main=(ContainerStatus.RUNNING, {"ended_at": 5.0}))
    assert pending_report(one, "default") is None
    report = pending_report(changed(one, side=(ContainerStatus.RUNNING, {"ended_at": 6.0})), "default")
    assert (report.request.status, report.request.execution_stopped_at) == ("STOPPING", 6.0)


def test_started_container_of_a_pending_task_can_wait() -> None:
    report = pending_report(a_record(main=(ContainerStatus.NONE, {}), side=(ContainerStatus.RUNNING, {})), "default")
    assert (report.request.status, report.is_urgent) == ("PENDING", False)


def test_reasons_keep_to_ecs_length() -> None:
    report = pending_report(a_record(main=(ContainerStatus.STOPPED, {"reason": "x" * 2000})), "default")
    assert len(report.request.containers[0].reason) == 1024


def test_ranges_are_told_as_ranges() -> None:
    spec = a_container(
        port_mappings=(
            acs.PortMapping(container_port_range="7000-7002"),
            acs.PortMapping(container_port=80, host_port=0),
        )
    )
    ports = tuple(
        PortBinding(host_ip="0.0.0.0", host_port=32768 + index, container_port=port, protocol="tcp")
        for index, port in enumerate((7000, 7001, 7002, 80))
    )
    first, second = network_bindings(spec, ports)
    assert (first.container_port_range, first.host_port_range) == ("7000-7002", "32768-32770")
    assert (second.container_port, second.host_port, second.bind_ip) == (80, 32771, "0.0.0.0")
