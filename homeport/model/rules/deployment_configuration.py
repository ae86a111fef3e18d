"""How a service deploys: percents, circuit breaker, strategy, bake times and lifecycle hooks.

A configuration is always complete: what the caller leaves out is taken from the service as it is (UpdateService), else
from ECS's defaults. So an update that gives two percents keeps the circuit breaker. The part that belongs to another
strategy is dropped when the strategy changes.
Sources: API reference, DeploymentConfiguration; Developer Guide, "Amazon ECS blue/green deployments" and its siblings.
"""

import math
from typing import TypeVar

from msgspec.structs import replace

from homeport.shapes import ecs as shapes

#: Longest bake time of any kind, in minutes.
LONGEST_BAKE = 1440
_NO_BREAKER = shapes.DeploymentCircuitBreaker(enable=False, rollback=False)
_PAUSELESS = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
_OF_STRATEGY = {"LINEAR": "linear_configuration", "CANARY": "canary_configuration"}
Configuration = shapes.DeploymentConfiguration
T = TypeVar("T")


def new_configuration(given: Configuration | None, scheduling: str) -> Configuration:
    """The configuration of a new service; `scheduling` is REPLICA or DAEMON."""
    is_daemon = scheduling == "DAEMON"
    defaults = Configuration(
        maximum_percent=100 if is_daemon else 200,
        minimum_healthy_percent=0 if is_daemon else 100,
        deployment_circuit_breaker=_NO_BREAKER,
        strategy="ROLLING",
    )
    return merged_configuration(defaults, given)


def merged_configuration(present: Configuration, given: Configuration | None) -> Configuration:
    """`present` with what is given in its place, member by member."""
    if given is None:
        return present
    changes = {name: value for name in given.__struct_fields__ if (value := getattr(given, name)) is not None}
    merged = replace(present, **changes)
    for strategy, member in _OF_STRATEGY.items():
        if merged.strategy != strategy and member not in changes:
            merged = replace(merged, **{member: None})
    if merged.strategy == "ROLLING" and present.strategy != "ROLLING":
        kept = {name: changes.get(name) for name in ("bake_time_in_minutes", "lifecycle_hooks")}
        merged = replace(merged, **kept)
    return _with_steps(merged)


def _with_steps(configuration: Configuration) -> Configuration:
    """Steps and bake times of the strategy, where they are left out: linear 10 % and 6 minutes, canary 5 % and 10."""
    if configuration.strategy == "LINEAR":
        linear = configuration.linear_configuration or shapes.LinearConfiguration()
        linear = shapes.LinearConfiguration(
            step_percent=_or(linear.step_percent, 10.0),
            step_bake_time_in_minutes=_or(linear.step_bake_time_in_minutes, 6),
        )
        return replace(configuration, linear_configuration=linear)
    if configuration.strategy == "CANARY":
        canary = configuration.canary_configuration or shapes.CanaryConfiguration()
        canary = shapes.CanaryConfiguration(
            canary_percent=_or(canary.canary_percent, 5.0),
            canary_bake_time_in_minutes=_or(canary.canary_bake_time_in_minutes, 10),
        )
        return replace(configuration, canary_configuration=canary)
    return configuration


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def check_configuration(configuration: Configuration, scheduling: str, *, has_lambda: bool) -> None:
    """Raises for what no service may have, and for what is not built. `has_lambda`: Lambda functions can be called."""
    _check_percents(configuration, scheduling)
    _check_breaker(configuration)
    _check_strategy(configuration, scheduling)
    for hook in configuration.lifecycle_hooks or ():
        _check_hook(hook, has_lambda=has_lambda)
    if configuration.alarms is not None and configuration.alarms.enable:
        raise shapes.UnsupportedFeatureException("Deployments that watch CloudWatch alarms are not supported.")
    if configuration.early_success_criteria is not None and configuration.early_success_criteria.enable:
        raise shapes.UnsupportedFeatureException("Early success criteria of deployments are not supported.")


def _check_percents(configuration: Configuration, scheduling: str) -> None:
    maximum, minimum = configuration.maximum_percent or 0, configuration.minimum_healthy_percent or 0
    if scheduling == "DAEMON" and maximum > 100:
        raise shapes.InvalidParameterException(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent."
            " Remove the maximumPercent value and try again."
        )
    if maximum < 100:
        raise shapes.InvalidParameterException("maximumPercent must be at least 100.")
    if minimum < 0:
        raise shapes.InvalidParameterException("minimumHealthyPercent must be at least 0.")
    if minimum > 100:
        raise shapes.InvalidParameterException("minimumHealthyPercent must be at most 100.")
    if maximum == minimum == 100:
        raise shapes.InvalidParameterException(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )


def _check_breaker(configuration: Configuration) -> None:
    breaker = configuration.deployment_circuit_breaker
    threshold = breaker.threshold_configuration if breaker is not None else None
    if threshold is None:
        return
    if threshold.value < 1 or (threshold.type != "COUNT" and threshold.value > 100):
        raise shapes.InvalidParameterException(
            "The threshold of a deployment circuit breaker must be at least 1, and a percent at most 100."
        )


def _check_strategy(configuration: Configuration, scheduling: str) -> None:
    strategy = configuration.strategy or "ROLLING"
    for owner, member in _OF_STRATEGY.items():
        if strategy != owner and getattr(configuration, member) is not None:
            raise shapes.InvalidParameterException(
                f"{owner.lower()}Configuration can only be specified with the deployment strategy {owner}."
            )
    if strategy == "ROLLING":
        _check_rolling(configuration)
        return
    if scheduling == "DAEMON":
        raise shapes.InvalidParameterException(
            f"The daemon scheduling strategy does not support the deployment strategy {strategy}."
        )
    if strategy == "BLUE_GREEN" and configuration.bake_time_in_minutes is None:
        raise shapes.InvalidParameterException(
            "bakeTimeInMinutes must be specified with the deployment strategy BLUE_GREEN."
        )
    _check_minutes("bakeTimeInMinutes", configuration.bake_time_in_minutes)
    linear, canary = configuration.linear_configuration, configuration.canary_configuration
    if linear is not None:
        _check_percent("stepPercent", linear.step_percent, 3.0)
        _check_minutes("stepBakeTimeInMinutes", linear.step_bake_time_in_minutes)
    if canary is not None:
        _check_percent("canaryPercent", canary.canary_percent, 0.1)
        _check_minutes("canaryBakeTimeInMinutes", canary.canary_bake_time_in_minutes)


def _check_rolling(configuration: Configuration) -> None:
    if configuration.lifecycle_hooks:
        raise shapes.InvalidParameterException(
            "lifecycleHooks can only be specified with the deployment strategies BLUE_GREEN, LINEAR and CANARY."
        )
    if configuration.bake_time_in_minutes:
        raise shapes.UnsupportedFeatureException(
            "bakeTimeInMinutes is not supported with the deployment strategy ROLLING, which bakes only with alarms."
        )


def _check_minutes(name: str, minutes: int | None) -> None:
    if minutes is not None and not 0 <= minutes <= LONGEST_BAKE:
        raise shapes.InvalidParameterException(f"{name} must be between 0 and {LONGEST_BAKE}.")


def _check_percent(name: str, percent: float | None, least: float) -> None:
    if percent is None:
        return
    if not least <= percent <= 100.0:
        raise shapes.InvalidParameterException(f"{name} must be between {least} and 100.0.")
    if not math.isclose(percent * 10, round(percent * 10), abs_tol=1e-6):
        raise shapes.InvalidParameterException(f"{name} must be a multiple of 0.1.")


def _check_hook(hook: shapes.DeploymentLifecycleHook, *, has_lambda: bool) -> None:
    stages = hook.lifecycle_stages or ()
    if not stages:
        raise shapes.InvalidParameterException("A lifecycle hook must have at least one lifecycle stage.")
    if hook.target_type == "PAUSE":
        if hook.hook_target_arn is not None or hook.role_arn is not None or hook.hook_details is not None:
            raise shapes.InvalidParameterException(
                "hookTargetArn, roleArn and hookDetails can not be specified with the hook target type PAUSE."
            )
        for stage in stages:
            if stage in _PAUSELESS:
                raise shapes.InvalidParameterException(f"A PAUSE hook can not be used at the lifecycle stage {stage}.")
        return
    if not hook.hook_target_arn or not hook.role_arn:
        raise shapes.InvalidParameterException("A lifecycle hook must have a hookTargetArn and a roleArn.")
    if not has_lambda:
        raise shapes.UnsupportedFeatureException(
            "Lambda lifecycle hooks are not supported: no Lambda endpoint is configured."
        )


def bake_time(configuration: shapes.DeploymentConfiguration) -> float:
    """Seconds that both revisions run after all traffic was shifted."""
    return 60.0 * (configuration.bake_time_in_minutes or 0)


def step_bake(configuration: shapes.DeploymentConfiguration) -> float:
    """Seconds between one shift of a part of the traffic and the next."""
    linear, canary = configuration.linear_configuration, configuration.canary_configuration
    if configuration.strategy == "LINEAR":
        minutes = linear.step_bake_time_in_minutes if linear is not None else None
        return 60.0 * (6 if minutes is None else minutes)
    if configuration.strategy == "CANARY":
        minutes = canary.canary_bake_time_in_minutes if canary is not None else None
        return 60.0 * (10 if minutes is None else minutes)
    return 0.0
