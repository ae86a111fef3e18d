"""A service: how many copies of a task shall run, and what has been said about it.

`definition` holds what CreateService and UpdateService gave, with ECS's defaults filled in; what the scheduler finds
out stands beside it. Statuses: ACTIVE, DRAINING (deleted, tasks still stopping), INACTIVE.
"""

from msgspec import Struct

from homeport.shapes import ecs as shapes


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`primary_deployment_id` names the deployment that wants to be the service (ECS's PRIMARY).

    `steady_since` is when the service last reached a steady state (None: not steady now), `announced_at` when it last
    said so. `told` remembers which troubles an event has told of, and when, until they are over. `rebalancing_since`:
    tasks are being moved between Availability Zones.
    """

    arn: str
    name: str
    cluster_arn: str
    task_definition_arn: str | None
    desired_count: int
    scheduling_strategy: shapes.SchedulingStrategy = "REPLICA"
    deployment_controller: shapes.DeploymentControllerType = "ECS"
    deployment_configuration: shapes.DeploymentConfiguration
    launch_type: str | None = "EC2"
    platform_version: str | None = None
    load_balancers: tuple[shapes.LoadBalancer, ...] = ()
    network_configuration: shapes.NetworkConfiguration | None = None
    health_check_grace_period_seconds: int | None = None
    placement_constraints: tuple[shapes.PlacementConstraint, ...] = ()
    placement_strategy: tuple[shapes.PlacementStrategy, ...] = ()
    availability_zone_rebalancing: shapes.AvailabilityZoneRebalancing = "DISABLED"
    role_arn: str | None = None
    enable_ecs_managed_tags: bool = False
    propagate_tags: shapes.PropagateTags = "NONE"
    enable_execute_command: bool = False
    tags: tuple[shapes.Tag, ...] = ()
    created_at: float
    created_by: str | None = None
    status: str = "ACTIVE"
    deleted_at: float | None = None
    primary_deployment_id: str | None = None
    primary_task_set_id: str | None = None
    steady_since: float | None = None
    announced_at: float | None = None
    told: dict[str, float] = {}
    rebalancing_since: float | None = None

    @property
    def cluster_name(self) -> str:
        return self.cluster_arn.rsplit("/", 1)[1]

    @property
    def group(self) -> str:
        """The task group of the service's tasks."""
        return f"service:{self.name}"


class ServiceEvent(Struct, frozen=True, kw_only=True):
    """One sentence about a service, as DescribeServices shows it (the 100 newest are kept). `key` sorts by age."""

    key: str
    id: str
    service_arn: str
    created_at: float
    message: str


class TaskSet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task set of a service with the EXTERNAL controller. `id` is `ecs-svc/N`; `scale_percent` of the service's count.

    `computed_count`: how many tasks that was when the scheduler last looked (None: it has not yet).
    `start_failures` to `running_seen` hold starts back as they do for a deployment (`model.deployment`).
    """

    arn: str
    id: str
    service_arn: str
    cluster_arn: str
    task_definition_arn: str
    created_at: float
    updated_at: float
    status: str = "ACTIVE"
    external_id: str | None = None
    launch_type: str | None = "EC2"
    platform_version: str | None = None
    network_configuration: shapes.NetworkConfiguration | None = None
    load_balancers: tuple[shapes.LoadBalancer, ...] = ()
    scale_percent: float = 0.0
    stability_status: shapes.StabilityStatus = "STABILIZING"
    stability_status_at: float = 0.0
    computed_count: int | None = None
    start_failures: int = 0
    start_after: float | None = None
    short_lives: int = 0
    short_life_at: float = 0.0
    running_seen: int = 0
    tags: tuple[shapes.Tag, ...] = ()
