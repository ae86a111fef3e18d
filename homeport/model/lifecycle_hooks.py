"""Lifecycle hooks of a deployment: which wait at a stage, what answers do to them, when their time is up. Pure.

A hook of the configuration becomes a `HookState` each time its stage is entered. A PAUSE hook awaits
ContinueServiceDeployment, a Lambda hook is called until its function says SUCCEEDED or FAILED. All hooks of a stage run
side by side, and all must be done before the stage is; one that fails fails the deployment. Sources: Developer Guide,
"Lambda hooks" and "Pause hooks for Amazon ECS service deployments".
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from homeport.model.deployment import HookState, ServiceDeployment
from homeport.shapes import ecs as shapes

DEFAULT_TIMEOUT_MINUTES = 1440
CALL_BACK_SECONDS = 30.0
"""How long after an answer of IN_PROGRESS a function is called again, unless it says so itself."""

_OPEN = ("AWAITING_ACTION", "IN_PROGRESS")


def configured(attempt: ServiceDeployment, index: int) -> shapes.DeploymentLifecycleHook:
    """The hook of the configuration with this index."""
    return (attempt.configuration.lifecycle_hooks or ())[index]


def is_pause(hook: shapes.DeploymentLifecycleHook) -> bool:
    return hook.target_type == "PAUSE"


def timeout_action(hook: shapes.DeploymentLifecycleHook) -> shapes.DeploymentLifecycleHookAction:
    timeout = hook.timeout_configuration
    return "ROLLBACK" if timeout is None or timeout.action is None else timeout.action


def hooks_at(attempt: ServiceDeployment, new_id: Callable[[], str], now: float) -> tuple[HookState, ...]:
    """The hooks that begin as the attempt enters the stage that it is in."""
    return tuple(
        _begun(attempt, index, hook, new_id(), now)
        for index, hook in enumerate(attempt.configuration.lifecycle_hooks or ())
        if attempt.stage in (hook.lifecycle_stages or ())
    )


def _begun(
    attempt: ServiceDeployment, index: int, hook: shapes.DeploymentLifecycleHook, hook_id: str, now: float
) -> HookState:
    timeout = hook.timeout_configuration
    minutes = None if timeout is None else timeout.timeout_in_minutes
    return HookState(
        id=f"ecs-{'pause' if is_pause(hook) else 'lambda'}-{hook_id}",
        index=index,
        stage=attempt.stage or "",
        step=attempt.step,
        status="AWAITING_ACTION" if is_pause(hook) else "IN_PROGRESS",
        started_at=now,
        expires_at=now + 60.0 * (DEFAULT_TIMEOUT_MINUTES if minutes is None else minutes),
        call_after=None if is_pause(hook) else now,
    )


def failure(attempt: ServiceDeployment, now: float) -> str:
    """Why a hook of the stage has the deployment fail ("" none does)."""
    for state in attempt.hooks:
        if state.status == "FAILED":
            return state.reason or f"A lifecycle hook failed at {state.stage}."
        is_late = state.status == "TIMED_OUT" or (state.status in _OPEN and now >= state.expires_at)
        if is_late and timeout_action(configured(attempt, state.index)) == "ROLLBACK":
            return f"A lifecycle hook timed out at {state.stage}."
    return ""


def expired(attempt: ServiceDeployment, now: float) -> ServiceDeployment | None:
    """The attempt with hooks TIMED_OUT whose time is up; None if there are none."""
    late = [state for state in attempt.hooks if state.status in _OPEN and now >= state.expires_at]
    if not late:
        return None
    timed_out = tuple(
        replace(state, status="TIMED_OUT", call_after=None) if state in late else state for state in attempt.hooks
    )
    return replace(attempt, hooks=timed_out, updated_at=now)


def open_until(attempt: ServiceDeployment) -> float | None:
    """When the first hook that is not done runs out of time; None once all are done."""
    return min((state.expires_at for state in attempt.hooks if state.status in _OPEN), default=None)


def find(attempt: ServiceDeployment, hook_id: str) -> HookState | None:
    return next((state for state in attempt.hooks if state.id == hook_id), None)


def continued(
    attempt: ServiceDeployment, hook_id: str, action: shapes.DeploymentLifecycleHookAction, now: float
) -> ServiceDeployment | None:
    """The attempt after ContinueServiceDeployment; None if no such PAUSE hook awaits an action."""
    state = find(attempt, hook_id)
    if attempt.status != "IN_PROGRESS" or state is None or state.status != "AWAITING_ACTION":
        return None
    if action == "CONTINUE":
        return with_hook(attempt, replace(state, status="SUCCEEDED"), now)
    reason = f"A user rolled back the service deployment at the lifecycle stage {state.stage}."
    return with_hook(attempt, replace(state, status="FAILED", reason=reason), now)


def with_hook(attempt: ServiceDeployment, state: HookState, now: float) -> ServiceDeployment:
    """The attempt with this state in the place of the one with its id."""
    changed = tuple(state if each.id == state.id else each for each in attempt.hooks)
    return replace(attempt, hooks=changed, updated_at=now)


def details_of(attempt: ServiceDeployment, index: int) -> dict[str, Any]:
    """`hookDetails` of a hook's next call: those of the configuration, and over them what the function gave last."""
    given = configured(attempt, index).hook_details
    return {**(given if isinstance(given, dict) else {}), **attempt.hook_details.get(str(index), {})}


def detail(attempt: ServiceDeployment, state: HookState) -> shapes.DeploymentLifecycleHookDetail:
    """The hook as DescribeServiceDeployments shows it."""
    hook = configured(attempt, state.index)
    return shapes.DeploymentLifecycleHookDetail(
        hook_id=state.id,
        target_type="PAUSE" if is_pause(hook) else "AWS_LAMBDA",
        target_arn=hook.hook_target_arn,
        status=state.status,
        expires_at=state.expires_at,
        timeout_action=timeout_action(hook),
    )
