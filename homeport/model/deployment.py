"""How a service gets from one revision to the next.

Three rows tell one story. A *service revision* is the immutable snapshot that tasks are made from. A *deployment*
(`ecs-svc/N`, an entry of `deployments[]`) is a revision that has or wants tasks; tasks name it in `startedBy`. A
*service deployment* is the history of one attempt to make a revision the service's own, with its strategy and outcome.
"""

from typing import Any

from msgspec import Struct

from homeport.shapes import ecs as shapes

#: Service deployments in these states are over.
ENDED = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})


class ServiceRevision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`image_digests` (container name -> `sha256:…`) is filled in once by the first task of the first deployment.

    `is_forced`: a caller asked for a new deployment, so what earlier revisions know of images does not count.
    """

    arn: str
    service_arn: str
    cluster_arn: str
    task_definition_arn: str
    created_at: float
    launch_type: str | None = "EC2"
    platform_version: str | None = None
    load_balancers: tuple[shapes.LoadBalancer, ...] = ()
    network_configuration: shapes.NetworkConfiguration | None = None
    image_digests: dict[str, str] = {}
    digests_resolved: bool = False
    is_forced: bool = False


class Deployment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`status` PRIMARY, ACTIVE (older, still has tasks) or INACTIVE; `failed_tasks` counts for the circuit breaker.

    `start_failures` counts rounds in a row in which tasks stopped before they ran; `start_after` is until when starts
    are held back because of it (or of `short_lives`: tasks that exited by themselves at once, the last one at
    `short_life_at`). `unplaced_since`: tasks lack room since then, or since they last counted as failed because of it.
    `running_seen` and `well_seen`: how many tasks ran, and how many passed their checks, when last looked at;
    `has_been_well`: one ever did. `traffic_percent` and `test_traffic_percent`
    are what the production and test rules give it. `target_groups` maps an entry's target group to the alternate one
    where its tasks register there (`model/traffic.py`).
    """

    id: str
    service_arn: str
    cluster_arn: str
    revision_arn: str
    task_definition_arn: str
    created_at: float
    updated_at: float
    status: str = "PRIMARY"
    rollout_state: shapes.DeploymentRolloutState = "IN_PROGRESS"
    rollout_state_reason: str = ""
    desired_count: int = 0
    failed_tasks: int = 0
    start_failures: int = 0
    start_after: float | None = None
    short_lives: int = 0
    short_life_at: float = 0.0
    unplaced_since: float | None = None
    running_seen: int = 0
    well_seen: int = 0
    has_been_well: bool = False
    completed_at: float | None = None
    launch_type: str | None = "EC2"
    traffic_percent: float = 0.0
    test_traffic_percent: float = 0.0
    target_groups: dict[str, str] = {}


class HookState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One lifecycle hook at one stage: what DescribeServiceDeployments shows, and when it is next looked at.

    `index` is the hook's place in the configuration; `step` counts repetitions of a stage (linear and canary).
    `call_after`: when a Lambda function is called (again); None for a PAUSE hook.
    """

    id: str
    index: int
    stage: str
    step: int
    status: shapes.DeploymentLifecycleHookStatus
    started_at: float
    expires_at: float
    call_after: float | None = None
    reason: str | None = None


class RevisionCounts(Struct, frozen=True, kw_only=True):
    """A revision with its tasks as an attempt begins or ends."""

    arn: str
    deployment_id: str
    requested: int
    running: int
    pending: int


class ServiceDeployment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt. `target_deployment_id` is the deployment it rolls out; after a rollback, `rollback_deployment_id` the one
    it went back to. `stage`, `stage_started_at` and `step` are where a blue/green, linear or canary attempt stands:
    `source_deployment_id` (blue) is what it replaces, `traffic_percent` and `test_traffic_percent` what its target
    (green) gets. `hooks` are those of the present stage; `hook_details` what Lambda hooks (by their index) gave to be
    told again.

    `sources` are the revisions that had tasks as it began. Once it is over, they and `target` tell of the tasks at its
    end, and `desired_count` of the service's. `failure_count` is what the circuit breaker had counted when the attempt
    last changed its status.
    """

    arn: str
    service_arn: str
    cluster_arn: str
    target_revision_arn: str
    target_deployment_id: str
    created_at: float
    updated_at: float
    configuration: shapes.DeploymentConfiguration
    sources: tuple[RevisionCounts, ...] = ()
    target: RevisionCounts | None = None
    desired_count: int | None = None
    failure_count: int = 0
    status: shapes.ServiceDeploymentStatus = "PENDING"
    status_reason: str | None = None
    stage: str | None = None
    stage_started_at: float | None = None
    step: int = 0
    source_deployment_id: str | None = None
    traffic_percent: float = 0.0
    test_traffic_percent: float = 0.0
    hooks: tuple[HookState, ...] = ()
    hook_details: dict[str, Any] = {}
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    breaker_status: shapes.ServiceDeploymentRollbackMonitorsStatus = "DISABLED"
    rollback_deployment_id: str | None = None
    rollback_revision_arn: str | None = None
    rollback_reason: str | None = None
    rollback_started_at: float | None = None

    @property
    def is_over(self) -> bool:
        return self.status in ENDED

    @property
    def shifts_traffic(self) -> bool:
        """Whether the attempt goes by lifecycle stages: blue/green, linear and canary."""
        return (self.configuration.strategy or "ROLLING") != "ROLLING"
