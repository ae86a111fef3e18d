"""Calls the Lambda functions of lifecycle hooks, and notes what they say; the service scheduler goes by that.

Key: a service deployment's ARN and a hook's id, so that hooks of one stage run side by side. A call that the process
did not see the end of is made again. A function has 15 minutes; one that says IN_PROGRESS is called again after 30
seconds or what it asks for, until the hook's time-out. An endpoint that cannot be reached is tried again likewise: that
is no verdict on the deployment. Source: Developer Guide, "Lambda hooks for Amazon ECS service deployments".
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from homeport.base.clock import Clock
from homeport.base.ids import derived_uuid
from homeport.base.log import get_logger
from homeport.control.runner import FORGET, Reconciler, Wake
from homeport.drivers.hooks import Answer, Call, CallFailed, Functions, Unreachable
from homeport.model.deployment import HookState, ServiceDeployment
from homeport.model.lifecycle_hooks import CALL_BACK_SECONDS, configured, details_of, find, is_pause, with_hook
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("hooks")
LONGEST_CALL = 900.0
"""Seconds that a function has for one call."""

_LONGEST_DELAY = 86400.0
_UNDER_WAY = ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
_WITH_PRODUCTION = ("PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
_WITH_TEST = ("TEST_TRAFFIC_SHIFT",)


class HookReconciler(Reconciler):
    """`functions` None: no endpoint is configured (any more), so that Lambda hooks fail."""

    name = "hooks"
    workers = 16

    def __init__(self, functions: Functions | None, clock: Clock) -> None:
        self.wakes = {"service_deployment": _keys_of}
        self._functions = functions
        self._clock = clock

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        found = _find(tx, key)
        if found is None or found[1].call_after is None:
            return FORGET
        due = found[1].call_after
        return Wake(at=due) if due > now else FORGET

    def actions(self, read: Tables, key: str) -> Sequence[Any]:
        found = _find(read, key)
        if found is None or found[1].call_after is None or found[1].call_after > self._clock.now():
            return ()
        attempt, state = found
        function = configured(attempt, state.index).hook_target_arn or ""
        payload = msgspec.json.encode(payload_of(read, attempt, state))
        return (Call(function_arn=function, payload=payload, timeout=LONGEST_CALL),)

    async def act(self, action: Call) -> Answer:
        if self._functions is None:
            return CallFailed("No Lambda endpoint is configured.")
        answer = await self._functions.call(action)
        log.info("hook_called", function=action.function_arn, answer=type(answer).__name__)
        return answer

    def record(self, tx: Tx, key: str, results: Sequence[Answer]) -> None:
        """An answer that comes after the stage was left, or the hook has timed out, is too late."""
        found = _find(tx, key)
        if found is not None:
            tx.service_deployments.put(answered(*found, results[-1], tx.now))


def payload_of(tables: Tables, attempt: ServiceDeployment, state: HookState) -> dict[str, Any]:
    """The event that the function gets."""
    blue = tables.deployments.get(attempt.source_deployment_id or "")
    is_back = attempt.status == "ROLLBACK_IN_PROGRESS"

    def weights(percent: float) -> dict[str, float]:
        percent = 0.0 if is_back else percent
        shares = {attempt.target_revision_arn: percent}
        if blue is not None:
            shares[blue.revision_arn] = round(100.0 - percent, 1)
        return {arn: int(share) if share == int(share) else share for arn, share in shares.items()}

    payload: dict[str, Any] = {
        "executionId": derived_uuid(state.id),
        "lifecycleStage": state.stage,
        "resourceArn": attempt.arn,
        "executionDetails": {
            "serviceArn": attempt.service_arn,
            "targetServiceRevisionArn": attempt.target_revision_arn,
            "testTrafficWeights": weights(attempt.test_traffic_percent) if state.stage in _WITH_TEST else {},
            "productionTrafficWeights": weights(attempt.traffic_percent) if state.stage in _WITH_PRODUCTION else {},
        },
    }
    details = details_of(attempt, state.index)
    return {**payload, "hookDetails": details} if details else payload


def answered(attempt: ServiceDeployment, state: HookState, answer: Answer, now: float) -> ServiceDeployment:
    """The attempt after an answer to the hook's call. Pure."""
    if isinstance(answer, Unreachable):
        return with_hook(attempt, replace(state, call_after=now + CALL_BACK_SECONDS, reason=answer.text), now)
    if isinstance(answer, CallFailed):
        return _failed(attempt, state, answer.text, now)
    try:
        said = msgspec.json.decode(answer.payload)
    except msgspec.DecodeError:
        said = None
    status = said.get("hookStatus") if isinstance(said, dict) else None
    match status:
        case "SUCCEEDED":
            return with_hook(attempt, replace(state, status="SUCCEEDED", call_after=None, reason=None), now)
        case "FAILED":
            return _failed(attempt, state, "The function answered FAILED.", now)
        case "IN_PROGRESS":
            return _called_back(attempt, state, said, now)
    return _failed(attempt, state, "The function did not answer with a valid hookStatus.", now)


def _called_back(attempt: ServiceDeployment, state: HookState, said: dict[str, Any], now: float) -> ServiceDeployment:
    """Called again later, with what it wants to be told then."""
    delay = said.get("callBackDelay", said.get("callBackDelaySeconds"))
    is_number = isinstance(delay, int | float) and not isinstance(delay, bool)
    seconds = min(_LONGEST_DELAY, max(0.0, float(delay))) if is_number and delay is not None else CALL_BACK_SECONDS
    moved = with_hook(attempt, replace(state, call_after=now + max(1.0, seconds), reason=None), now)
    details = said.get("hookDetails")
    if not isinstance(details, dict):
        return moved
    index = str(state.index)
    return replace(moved, hook_details={**moved.hook_details, index: {**moved.hook_details.get(index, {}), **details}})


def _failed(attempt: ServiceDeployment, state: HookState, why: str, now: float) -> ServiceDeployment:
    function = configured(attempt, state.index).hook_target_arn
    reason = f"The lifecycle hook {function} failed at {state.stage}. {why}"
    return with_hook(attempt, replace(state, status="FAILED", call_after=None, reason=reason), now)


def _keys_of(attempt: ServiceDeployment) -> Iterable[str]:
    if attempt.status not in _UNDER_WAY:
        return
    for state in attempt.hooks:
        if state.status == "IN_PROGRESS" and not is_pause(configured(attempt, state.index)):
            yield f"{attempt.arn} {state.id}"


def _find(tables: Tables, key: str) -> tuple[ServiceDeployment, HookState] | None:
    """The hook of the key, if it still waits for its function."""
    arn, _, hook_id = key.rpartition(" ")
    attempt = tables.service_deployments.get(arn)
    if attempt is None or attempt.status not in _UNDER_WAY:
        return None
    state = find(attempt, hook_id)
    return (attempt, state) if state is not None and state.status == "IN_PROGRESS" else None
