"""A cluster: a name under which tasks, services and container instances are grouped."""

from msgspec import Struct

from homeport.shapes import ecs as shapes


class Cluster(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`status` is ACTIVE or INACTIVE (deleted, kept discoverable for a while)."""

    arn: str
    name: str
    status: str = "ACTIVE"
    settings: tuple[shapes.ClusterSetting, ...] = ()
    configuration: shapes.ClusterConfiguration | None = None
    service_connect_defaults: shapes.ClusterServiceConnectDefaults | None = None
    capacity_providers: tuple[str, ...] = ()
    default_capacity_provider_strategy: tuple[shapes.CapacityProviderStrategyItem, ...] = ()
    tags: tuple[shapes.Tag, ...] = ()
    created_at: float = 0.0
    deleted_at: float | None = None
