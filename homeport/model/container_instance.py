"""A container instance: a host with an agent, registered into a cluster."""

from msgspec import Struct

from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes


class ContainerInstance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`registered.ports` are the host ports the agent reserves for itself (22, 2375, 2376, 51678, 51679).

    What is left of the registered resources is not stored: it follows from the tasks (`scheduler.fleet`).
    `disconnected_at` is when the agent's session ended (None while connected, or before the first session).
    """

    arn: str
    cluster_arn: str
    ec2_instance_id: str
    registered: Resources
    status: str = "ACTIVE"
    status_reason: str | None = None
    agent_connected: bool = False
    disconnected_at: float | None = None
    attributes: tuple[shapes.Attribute, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    agent_version: str | None = None
    agent_hash: str | None = None
    docker_version: str | None = None
    capacity_provider_name: str | None = None
    runtime_health: shapes.InstanceHealthCheckResult | None = None
    tags: tuple[shapes.Tag, ...] = ()
    registered_at: float = 0.0
    version: int = 1

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[1]

    def attribute(self, name: str) -> str | None:
        """The attribute's value ("" for an attribute without one), or None if the instance does not have it."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    @property
    def availability_zone(self) -> str | None:
        return self.attribute("ecs.availability-zone")

    @property
    def address(self) -> str:
        """The IPv4 address at which this host's published ports are reached from the control plane's host."""
        return self.attribute("homeport.address") or "127.0.0.1"

    @property
    def lost_reason(self) -> str:
        """The `status_reason` of an instance whose agent stayed away, and the `stoppedReason` of its tasks."""
        return f"Host EC2 (instance {self.ec2_instance_id}) terminated."

    @property
    def is_lost(self) -> bool:
        """Given up because its agent stayed away. Unlike a deregistered one it is ACTIVE again if the agent returns."""
        return self.status == "INACTIVE" and self.status_reason == self.lost_reason

    @property
    def is_placeable(self) -> bool:
        """ACTIVE and with a connected agent; anything else is refused with the reason AGENT or not considered."""
        return self.status == "ACTIVE" and self.agent_connected
