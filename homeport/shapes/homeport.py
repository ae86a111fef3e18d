"""Homeport's own operations, which AWS does not have, by hand; JSON 1.1, signed like any other (name `homeport`)."""

from msgspec import Struct

from homeport.shapes import ecs, spec


class Reason(Struct, frozen=True, kw_only=True):
    """`reason` as RunTask's `failures` name it (or the instance's status); `detail` in words and numbers."""

    reason: str
    detail: str


class ExplainedContainerInstance(Struct, frozen=True, kw_only=True, rename="camel"):
    """`reasons` is empty if the instance can take the task. Free CPU in units, memory in MiB."""

    container_instance_arn: str
    ec2_instance_id: str
    status: str
    agent_connected: bool
    free_cpu: int
    free_memory: int
    free_gpu: int
    reasons: tuple[Reason, ...]


class ExplainTaskResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`placeable` if all tasks asked for fit now; otherwise the reasons are those of the first that does not."""

    placeable: bool
    placeable_count: int
    summary: str
    container_instances: tuple[ExplainedContainerInstance, ...]


class ExplainServiceRequest(Struct, frozen=True, kw_only=True):
    """`service` by name or ARN."""

    service: str
    cluster: str | None = None


class ExplainServiceResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`waits_for`: a sentence for each thing that the service waits for; none if it is steady."""

    service_arn: str
    steady: bool
    summary: str
    waits_for: tuple[str, ...]


OPERATIONS: dict[str, spec.Operation] = {
    "ExplainService": spec.Operation(
        name="ExplainService",
        input=ExplainServiceRequest,
        output=ExplainServiceResponse,
        errors=ecs.OPERATIONS["UpdateService"].errors,
        paginator=None,
        token=None,
        read_only=True,
    ),
    "ExplainTask": spec.Operation(
        name="ExplainTask",
        input=ecs.RunTaskRequest,
        output=ExplainTaskResponse,
        errors=ecs.OPERATIONS["RunTask"].errors,
        paginator=None,
        token=None,
        read_only=True,
    ),
}

SERVICE = spec.Service(
    name="homeport",
    signing_name="homeport",
    api_version="2026-11-01",
    protocols=("json",),
    target_prefix="Homeport_20261101",
    xml_namespace="",
    operations=OPERATIONS,
    unserved=frozenset(),
)
