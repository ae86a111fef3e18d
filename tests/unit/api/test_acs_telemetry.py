"""The telemetry connection against frames as the Amazon ECS agent sends them, in virtual time."""

import pytest

from homeport.api.telemetry import Telemetry, sample_of
from homeport.model.status import TaskStatus
from homeport.model.task import Container
from homeport.shapes import tcs
from tests.control_plane import CLUSTER, INSTANCE, Plane, Telemeter, a_task
from tests.sim.loop import run_virtually

METADATA = tcs.Metadata(cluster=CLUSTER, container_instance=INSTANCE, message_id="m1", fin=True)


def virtually(scenario, **config):
    async def main(clock):
        plane = Plane(clock, **config)
        telemeter = Telemeter(plane)
        try:
            await telemeter.connect()
            await scenario(plane, telemeter)
        finally:
            await plane.close()

    run_virtually(main, 1)


def metrics(task_arn, cpu=50.0, container="main"):
    return tcs.PublishMetricsRequest(
        metadata=METADATA,
        timestamp=1.0,
        task_metrics=(
            tcs.TaskMetric(
                task_arn=task_arn,
                task_definition_family="web",
                task_definition_version="1",
                container_metrics=(
                    tcs.ContainerMetric(
                        container_name=container,
                        cpu_stats_set=tcs.StatsSet(min=0, max=cpu * 2, sum=cpu * 20, sample_count=20),
                    ),
                ),
            ),
        ),
    )


def health(task_arn, status):
    return tcs.PublishHealthRequest(
        metadata=METADATA,
        timestamp=1.0,
        tasks=(
            tcs.TaskHealth(
                task_arn=task_arn,
                task_definition_family="web",
                task_definition_version="1",
                containers=(tcs.HealthContainer(container_name="main", health_status=status),),
            ),
        ),
    )


def status(text, at=100.0, reason=None):
    return tcs.PublishInstanceStatusRequest(
        metadata=tcs.Metadata(cluster=CLUSTER, container_instance=INSTANCE, request_id="r1"),
        timestamp=at,
        statuses=(tcs.InstanceStatus(type="ContainerRuntime", status=text, last_updated=at, status_reason=reason),),
    )


def test_metrics_when_published_then_kept_and_acknowledged():
    async def scenario(plane, telemeter):
        await telemeter.publish(metrics(a_task().arn))
        assert telemeter.received[-1] == tcs.AckPublishMetric(message="m1")
        assert plane.tcs.telemetry.latest(a_task().arn, "main").cpu_percent == 50.0

    virtually(scenario)


def test_metrics_when_idle_then_acknowledged():
    async def scenario(plane, telemeter):
        idle = b'{"type":"PublishMetricsRequest","message":{"metadata":{"cluster":"default","containerInstance":"%s",'
        idle += b'"fin":true,"idle":true,"messageId":"m9"},"timestamp":1.795377225E9}}'
        await telemeter.publish_raw(b"Host: a\r\nX-Amz-Date: b\r\n\r\n" + idle % INSTANCE.encode())
        assert telemeter.received[-1] == tcs.AckPublishMetric(message="m9")

    virtually(scenario)


def test_health_when_published_then_on_the_task_once_and_acknowledged_after_it_is_durable():
    async def scenario(plane, telemeter):
        container = Container(name="main", image="busybox", has_health_check=True)
        plane.put(a_task(containers=(container,), last_status=TaskStatus.RUNNING))
        await telemeter.publish(health(a_task().arn, "HEALTHY"))
        assert plane.task().health_status() == "HEALTHY"
        version = plane.task().version
        await telemeter.publish(health(a_task().arn, "HEALTHY"))
        assert plane.task().version == version
        await telemeter.publish(health(a_task().arn, "UNHEALTHY"))
        assert plane.task().health_status() == "UNHEALTHY"
        assert plane.task().version == version + 1
        assert telemeter.received[-1] == tcs.AckPublishHealth(message="m1")

    virtually(scenario)


def test_health_when_task_is_unknown_stopped_or_elsewhere_then_ignored_and_acknowledged():
    async def scenario(plane, telemeter):
        plane.put(a_task(1).stopped(1.0), a_task(2, container_instance_arn=INSTANCE[:-1] + "b"))
        before = plane.task(1), plane.task(2)
        for number in (1, 2, 3):
            await telemeter.publish(health(a_task(number).arn, "HEALTHY"))
            assert telemeter.received.pop() == tcs.AckPublishHealth(message="m1")
        assert (plane.task(1), plane.task(2)) == before

    virtually(scenario)


def test_instance_status_when_it_changes_then_written_and_when_not_then_every_five_minutes():
    async def scenario(plane, telemeter):
        await telemeter.publish(status("OK", 100))
        assert plane.instance().runtime_health.status == "OK"
        assert telemeter.received[-1] == tcs.AckPublishInstanceStatus(message="r1")
        version = plane.store.version
        await telemeter.publish(status("OK", 130))
        assert plane.store.version == version
        await telemeter.publish(status("OK", 400))
        assert plane.instance().runtime_health.last_updated == 400
        await telemeter.publish(status("IMPAIRED", 401, "docker is gone"))
        assert plane.instance().runtime_health.status_reason == "docker is gone"

    virtually(scenario)


@pytest.mark.parametrize(
    "frame", [b"", b"Host: a\r\n\r\n", b"{", b'{"type":"PublishMetricsRequest","message":{"metadata":1}}', b"\xff"]
)
def test_frame_when_malformed_then_connection_is_closed(frame):
    async def scenario(plane, telemeter):
        await telemeter.publish_raw(frame)
        assert telemeter.socket.closed_with == 1007

    virtually(scenario)


def test_status_when_it_is_none_of_the_apis_then_connection_is_closed():
    async def scenario(plane, telemeter):
        await telemeter.publish(status("WONDERFUL"))
        assert telemeter.socket.closed_with == 1007
        assert plane.instance().runtime_health is None

    virtually(scenario)


def test_heartbeats_when_nothing_is_published_then_each_10_seconds():
    async def scenario(plane, telemeter):
        await plane.clock.sleep(120)
        assert len([each for each in telemeter.received if isinstance(each, tcs.HeartbeatMessage)]) == 13

    virtually(scenario)


def test_telemetry_when_full_then_oldest_samples_and_longest_silent_containers_go():
    telemetry = Telemetry(samples=2, containers=2)
    for cpu in (1.0, 2.0, 3.0):
        telemetry.record(metrics("a", cpu))
    assert [sample.cpu_percent for sample in telemetry.samples("a", "main")] == [2.0, 3.0]
    telemetry.record(metrics("b"))
    telemetry.record(metrics("a"))
    telemetry.record(metrics("c"))
    assert telemetry.latest("b", "main") is None
    assert telemetry.latest("a", "main") is not None


def test_sample_when_sets_are_missing_or_empty_then_none_instead_of_zero():
    sample = sample_of(tcs.ContainerMetric(container_name="main", cpu_stats_set=tcs.StatsSet()), 1.0)
    assert (sample.cpu_percent, sample.memory_mib, sample.received_bytes, sample.restart_count) == (None,) * 4


def test_sample_when_a_counter_overflows_then_both_parts_count():
    counter = tcs.ULongStatsSet(max=2**63 - 1, overflow_max=5)
    metric = tcs.ContainerMetric(container_name="main", network_stats_set=tcs.NetworkStatsSet(rx_bytes=counter))
    assert sample_of(metric, 1.0).received_bytes == 2**63 + 4
