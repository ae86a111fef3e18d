"""What health checks say about a target: settings, codes, thresholds, and the sentences ELB tells them by.

A target starts `initial`. One success makes it healthy (a Network Load Balancer's needs as many as any other: the
healthy threshold), as many consecutive failures as the unhealthy threshold make it unhealthy, and then the healthy
threshold of consecutive successes brings it back. Where the group says so, a target that fails keeps its connections
for a while (`unhealthy.draining`) before it is unhealthy. Everything is pure; only a changed row is worth writing.
Source: ELB User Guides, "Health checks for your target groups"; API Reference, TargetHealth and Matcher.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from homeport.model.load_balancer import Target, TargetGroup
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.shapes import elbv2

UNHEALTHY, UNHEALTHY_DRAINING = "unhealthy", "unhealthy.draining"
#: Both are unhealthy to whoever asks whether a target is well.
FAILED_STATES = frozenset({UNHEALTHY, UNHEALTHY_DRAINING})
_INTERVAL = "target_health_state.unhealthy.draining_interval_seconds"
_DEFAULT_DELAY = 300.0
_LEAST_DELAY = 0.5
#: Attempts at a target that is still starting: a fifth of the time it has taken already, so that they cost little.
_FIRST_RETRY = 0.1
_RETRY_SHARE = 0.2

NOT_IN_USE: elbv2.TargetHealthReasonEnum = "Target.NotInUse"
INVALID_STATE: elbv2.TargetHealthReasonEnum = "Target.InvalidState"
_DESCRIPTIONS: dict[str, str] = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.InvalidState": "Target is in the stopped state",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
}


class HealthCheck(Struct, frozen=True, kw_only=True):
    """A target group's settings. `protocol` HTTP, HTTPS or TCP; `port` None: the port that gets the traffic.

    `version` is HTTP1, HTTP2 or GRPC. `codes` as given ("200,202,300-399"; empty for TCP). Times in seconds;
    `draining_interval`: how long a healthy target that fails is `unhealthy.draining`.
    """

    protocol: str
    port: int | None
    path: str
    version: str
    codes: str
    interval: float
    timeout: float
    first_successes: int
    healthy_threshold: int
    unhealthy_threshold: int
    draining_interval: float = 0.0


class Verdict(Struct, frozen=True):
    """One check's outcome; `reason` and `description` say why it failed."""

    is_success: bool
    reason: str | None = None
    description: str | None = None


class Tally(Struct, frozen=True):
    """Consecutive outcomes up to now; one of the two is 0."""

    successes: int = 0
    failures: int = 0


SUCCESS = Verdict(is_success=True)
TIMED_OUT = Verdict(is_success=False, reason="Target.Timeout", description="Request timed out")
FAILED = Verdict(is_success=False, reason="Target.FailedHealthChecks", description="Health checks failed")
INTERNAL = Verdict(
    is_success=False, reason="Elb.InternalError", description="Health checks failed due to an internal error"
)


def health_check_of(group: TargetGroup) -> HealthCheck:
    """The group's settings, with ELB's defaults for what is not there."""
    given = group.settings
    is_application = group.protocol in ("HTTP", "HTTPS")
    protocol = str(given.get("HealthCheckProtocol") or ("HTTP" if is_application else "TCP"))
    version = group.protocol_version if is_application else "HTTP1"
    port = str(given.get("HealthCheckPort") or "traffic-port")
    matcher: dict[str, Any] = given.get("Matcher") or {}
    codes = matcher.get("GrpcCode" if version == "GRPC" else "HttpCode")
    healthy_threshold = int(given.get("HealthyThresholdCount") or 5)
    return HealthCheck(
        protocol=protocol,
        port=int(port) if port.isdigit() else None,
        path=str(given.get("HealthCheckPath") or ("/AWS.ALB/healthcheck" if version == "GRPC" else "/")),
        version=version,
        codes="" if protocol == "TCP" else str(codes or _default_codes(version, is_application=is_application)),
        interval=float(given.get("HealthCheckIntervalSeconds") or 30),
        timeout=float(given.get("HealthCheckTimeoutSeconds") or (5 if is_application else 10)),
        first_successes=1 if is_application else healthy_threshold,
        healthy_threshold=healthy_threshold,
        unhealthy_threshold=int(given.get("UnhealthyThresholdCount") or 2),
        draining_interval=unhealthy_draining_interval(group),
    )


def unhealthy_draining_interval(group: TargetGroup) -> float:
    """Seconds for which a target that fails keeps its connections before it is unhealthy; 0: it never drains."""
    return float(group.attributes.get(_INTERVAL) or 0)


def _default_codes(version: str, *, is_application: bool) -> str:
    if version == "GRPC":
        return "12"
    return "200" if is_application else "200-399"


def answered(check: HealthCheck, code: int | None) -> Verdict:
    """The verdict on an answer: an HTTP status or a gRPC status; None for a TCP connection that was made."""
    if code is None or code_matches(check.codes, code):
        return SUCCESS
    return Verdict(
        is_success=False,
        reason="Target.ResponseCodeMismatch",
        description=f"Health checks failed with these codes: [{code}]",
    )


def code_matches(codes: str, code: int) -> bool:
    """Whether the code is among values and ranges, separated by commas."""
    for part in codes.split(","):
        first, _, last = part.strip().partition("-")
        if first.strip().isdigit() and int(first) <= code <= int(last or first):
            return True
    return False


def judged(
    target: Target, tally: Tally, verdict: Verdict, check: HealthCheck, now: float, *, counts: bool = True
) -> tuple[Target, Tally]:
    """The target and its tally after one more check; the very same row where nothing changes.

    `counts` False: a failure of an additional check while a target starts, which must not use up its thresholds.
    """
    if verdict.is_success:
        tally = Tally(successes=tally.successes + 1)
        needed = check.first_successes if target.state == "initial" else check.healthy_threshold
        if target.state == "healthy" or tally.successes < needed:
            return target, tally
        return replace(_with_state(target, "healthy", None, None), healthy_since=now), tally
    tally = Tally(failures=tally.failures + counts)
    if target.state in FAILED_STATES or tally.failures >= check.unhealthy_threshold:
        return _failed(target, verdict, check, now), tally
    return (initial(target), tally) if target.state == "initial" else (target, tally)


def _failed(target: Target, verdict: Verdict, check: HealthCheck, now: float) -> Target:
    """Only a target that was healthy has connections to keep for a while."""
    drains = target.state == "healthy" and check.draining_interval > 0
    state = UNHEALTHY_DRAINING if drains or target.state == UNHEALTHY_DRAINING else UNHEALTHY
    unhealthy_at = now + check.draining_interval if drains else target.unhealthy_at
    return _with_state(target, state, verdict.reason, verdict.description, unhealthy_at)


def settled(target: Target, check: HealthCheck, now: float) -> Target:
    """The target, unhealthy once its draining is over, or when the group wants none any more."""
    if target.state != UNHEALTHY_DRAINING:
        return target
    is_over = target.unhealthy_at is None or target.unhealthy_at <= now or not check.draining_interval
    return _with_state(target, UNHEALTHY, target.reason, target.description) if is_over else target


def _with_state(
    target: Target, state: str, reason: str | None, description: str | None, unhealthy_at: float | None = None
) -> Target:
    changed = replace(
        target, state=state, reason=reason, description=description, healthy_since=None, unhealthy_at=unhealthy_at
    )
    return target if changed == target else changed


def initial(target: Target) -> Target:
    """The target while its first checks are under way."""
    reason = "Elb.InitialHealthChecking"
    return _with_state(target, "initial", reason, _DESCRIPTIONS[reason])


def unused(target: Target, reason: elbv2.TargetHealthReasonEnum = NOT_IN_USE) -> Target:
    """The target while nothing can or shall reach it."""
    return _with_state(target, "unused", reason, _DESCRIPTIONS[reason])


def registering(target: Target) -> Target:
    """A new target, or one that is registered again before it has drained."""
    reason = "Elb.RegistrationInProgress"
    return replace(_with_state(target, "initial", reason, _DESCRIPTIONS[reason]), drain_until=None)


def draining(target: Target, until: float) -> Target:
    """The target from its deregistration to `until`: no new requests; what is under way may end."""
    reason = "Target.DeregistrationInProgress"
    return replace(_with_state(target, "draining", reason, _DESCRIPTIONS[reason]), drain_until=until)


def deregistration_delay(group: TargetGroup | None) -> float:
    """Seconds from a target's deregistration to its end; 0 for a group that is gone.

    Never less than half a second, so that load balancers know before the target ends.
    """
    if group is None:
        return 0.0
    return max(_LEAST_DELAY, float(group.attributes.get("deregistration_delay.timeout_seconds") or _DEFAULT_DELAY))


def next_check(check: HealthCheck, target: Target, since: float, now: float) -> float:
    """When to check the target again; `since`: when its first check was due.

    Every interval; a target that is still starting is tried more often, as the several nodes of an ELB would.
    """
    if target.state != "initial":
        return now + check.interval
    return now + min(check.interval, max(_FIRST_RETRY, (now - since) * _RETRY_SHARE))


def has_died(task: Task) -> bool:
    """Whether nothing of the task is worth draining for: it has stopped (or is about to), or an essential container has."""
    if task.last_status.rank >= TaskStatus.STOPPING.rank:
        return True
    return any(each.essential and each.last_status == "STOPPED" for each in task.containers)


def is_held(tables: Any, task: Task) -> bool:
    """Whether a task that shall stop may not yet, because a load balancer still sends it what was under way.

    `tables` are the store's (named by what they have, for the store lies above this layer).
    """
    if task.desired_status is not DesiredStatus.STOPPED or has_died(task):
        return False
    return bool(tables.targets.count(owner=task.arn))
