"""The health check of a target group: defaults by protocol, and what may be set.

The settings are wire names and values, as `TargetGroup.settings` keeps them.
Source: API reference of CreateTargetGroup; for the time-out, which the reference tells differently from what the
service does, ALB User Guide "Health checks" (5 seconds) and NLB User Guide (10, for HTTP 6).
"""

import re
from collections.abc import Mapping
from typing import Any

from homeport.model.rules.elbv2 import ValidationError
from homeport.shapes import elbv2 as shapes

Settings = dict[str, Any]
_HTTP = ("HTTP", "HTTPS")
_GRPC_PATH = "/AWS.ALB/healthcheck"
_MOST_GRPC_CODE = 99


def health_check(protocol: str, version: str, given: Mapping[str, Any], before: Settings | None = None) -> Settings:
    """The complete settings after `given` (wire names, absent ones left out) on top of `before` or the defaults.

    `protocol` and `version` are the target group's. Raises ValidationError or InvalidConfigurationRequest.
    """
    kind = given.get("HealthCheckProtocol") or (before or {}).get("HealthCheckProtocol")
    kind = kind or ("HTTP" if protocol in _HTTP else "TCP")
    _check_protocol(protocol, kind)
    base = _defaults(protocol, version, kind)
    kept = {name: value for name, value in (before or {}).items() if name in base}
    settings = {**base, **kept, **given, "HealthCheckProtocol": kind}
    for name in ("HealthCheckPath", "Matcher"):
        if kind == "TCP" and name in given:
            raise shapes.InvalidConfigurationRequestException(f"{name} cannot be specified for TCP health checks")
    _check_numbers(protocol, settings)
    _check_port(settings["HealthCheckPort"])
    if kind in _HTTP:
        _check_path(settings["HealthCheckPath"])
        _check_matcher(settings["Matcher"], "GrpcCode" if version == "GRPC" else "HttpCode", protocol)
    return settings


def _defaults(protocol: str, version: str, kind: str) -> Settings:
    stream_timeout = 6 if kind == "HTTP" else 10
    settings: Settings = {
        "HealthCheckProtocol": kind,
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5 if protocol in _HTTP else stream_timeout,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
    }
    if kind in _HTTP:
        settings["HealthCheckPath"] = _GRPC_PATH if version == "GRPC" else "/"
        http = {"HttpCode": "200" if protocol in _HTTP else "200-399"}
        settings["Matcher"] = {"GrpcCode": "12"} if version == "GRPC" else http
    return settings


def _check_protocol(protocol: str, kind: str) -> None:
    allowed = _HTTP if protocol in _HTTP else ("TCP", *_HTTP)
    if kind not in allowed:
        raise shapes.InvalidConfigurationRequestException(
            f"Health check protocol '{kind}' is not supported for target groups with the '{protocol}' protocol"
        )


def _check_numbers(protocol: str, settings: Settings) -> None:
    """A network load balancer's time-out may be as long as the interval: ten seconds each is its usual check."""
    if settings["HealthCheckEnabled"] is not True:
        raise shapes.InvalidConfigurationRequestException("Health check enabled must be true for this target type")
    interval, timeout = settings["HealthCheckIntervalSeconds"], settings["HealthCheckTimeoutSeconds"]
    if timeout > interval or (timeout == interval and protocol in _HTTP):
        raise ValidationError(f"Health check interval '{interval}' must be greater than the timeout '{timeout}'")


def _check_port(port: str) -> None:
    if port != "traffic-port" and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValidationError(f"Health check port '{port}' must be 'traffic-port' or a port between 1 and 65535")


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValidationError(f"Health check path '{path}' must start with a '/'")


def _check_matcher(matcher: Mapping[str, str], name: str, protocol: str) -> None:
    if set(matcher) != {name}:
        raise ValidationError(f"The matcher must have '{name}' and nothing else")
    low, high = (0, _MOST_GRPC_CODE) if name == "GrpcCode" else (200, 499 if protocol in _HTTP else 599)
    for part in matcher[name].split(","):
        ends = part.strip().split("-")
        numbers = [int(end) for end in ends if re.fullmatch(r"[0-9]{1,3}", end)]
        is_range = len(numbers) == len(ends) <= 2 and numbers == sorted(numbers)
        if not is_range or not all(low <= number <= high for number in numbers):
            raise ValidationError(
                f"Health check matcher codes '{matcher[name]}' must be within the range {low} to {high}, "
                "as values ('200,202') or a range ('200-299')"
            )
