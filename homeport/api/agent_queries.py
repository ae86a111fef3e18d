"""Who is at the other end of an agent's connection: the query of its URL, and whether the connection is refused.

A refusal is a status and a JSON body that agents understand: the error's code as the only key. Source: agent
protocol, A3 and A6 (the telemetry connection has other parameter names).
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from homeport.base.arn import Arns, last_part, parse_arn
from homeport.model.container_instance import ContainerInstance
from homeport.store.schema import Tables

Refusal = tuple[int, bytes]


class AgentQuery(Struct, frozen=True, kw_only=True):
    """What an agent says about itself. Versions are None where they are not given."""

    container_instance_arn: str
    cluster: str
    agent_version: str | None = None
    agent_hash: str | None = None
    docker_version: str | None = None
    wants_credentials: bool = False


def acs_query(query: Mapping[str, str]) -> AgentQuery:
    """`dockerVersion` carries the words `DockerVersion: ` before the number."""
    docker_version = query.get("dockerVersion")
    return AgentQuery(
        container_instance_arn=query.get("containerInstanceArn", ""),
        cluster=query.get("clusterArn", ""),
        agent_version=query.get("agentVersion") or None,
        agent_hash=query.get("agentHash") or None,
        docker_version=docker_version.removeprefix("DockerVersion: ") if docker_version else None,
        wants_credentials=query.get("sendCredentials", "").lower() == "true",
    )


def tcs_query(query: Mapping[str, str]) -> AgentQuery:
    return AgentQuery(
        container_instance_arn=query.get("containerInstance", ""),
        cluster=query.get("cluster", ""),
        agent_version=query.get("agentVersion") or None,
        agent_hash=query.get("agentHash") or None,
        docker_version=query.get("dockerVersion") or None,
    )


def refusal(read: Tables, arns: Arns, query: AgentQuery) -> Refusal | None:
    """Why this agent may not connect; None if it may.

    An instance that was deregistered, or whose row is gone since, gets InactiveInstanceException: an agent takes that
    (and nothing else) as the end of its registration. One that was only given up as lost may come back.
    """
    parsed = parse_arn(query.container_instance_arn)
    if parsed is None or parsed.kind != "container-instance" or not arns.owns(parsed):
        return _refuse("InvalidInstanceException", "The container instance ARN is not valid here.")
    cluster_arn = query.cluster if parse_arn(query.cluster) else arns.cluster(query.cluster or "default")
    cluster = read.clusters.get(cluster_arn)
    if cluster is None or cluster.status == "INACTIVE":
        return _refuse("InvalidClusterException", f"Cluster {last_part(cluster_arn)} not found.")
    return _refuse_instance(read.container_instances.get(query.container_instance_arn), cluster_arn)


def _refuse_instance(instance: ContainerInstance | None, cluster_arn: str) -> Refusal | None:
    if instance is None or (instance.status == "INACTIVE" and not instance.is_lost):
        return _refuse("InactiveInstanceException", "The container instance is not registered.")
    if instance.cluster_arn != cluster_arn:
        return _refuse("InvalidInstanceException", "The container instance belongs to another cluster.")
    return None


def _refuse(code: str, text: str) -> Refusal:
    return 400, msgspec.json.encode({code: text})
