"""Actions of listeners and rules: what may be one, and the form in which they are kept (see `model.load_balancer`).

A list has exactly one action that answers or forwards (forward, redirect, fixed-response). Actions that authenticate
need identity providers and are refused. What a redirect can be made of is narrower than ELB's: `#{host}`, `#{port}` and
`#{query}` stand for themselves or not at all, `#{path}` may be part of a path. Source: API reference of Action.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from homeport.model.rules.elbv2 import LIMITS, ValidationError
from homeport.shapes import elbv2 as shapes

Json = dict[str, Any]
_MOST_GROUPS = LIMITS["target-groups-per-action-on-application-load-balancer"]
_MOST_WEIGHT = 999
_LONGEST_STICKINESS = 604_800
_CONTENT_TYPES = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")
_REDIRECT_DEFAULTS = {
    "Protocol": "#{protocol}", "Port": "#{port}", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}",
}  # fmt: skip
_STREAM = ("TCP", "TLS", "UDP", "TCP_UDP")


def stored_actions(actions: Iterable[shapes.Action], listener_protocol: str) -> tuple[Json, ...]:
    """The actions with every default filled in; raises what CreateListener, CreateRule and their Modify declare."""
    given = tuple(actions)
    if not given:
        raise ValidationError("At least one action must be specified")
    if len(given) > 1:
        raise shapes.TooManyActionsException(
            "You can specify only one action of type forward, redirect or fixed-response"
        )
    action = given[0]
    if action.type not in ("forward", "redirect", "fixed-response"):
        raise shapes.InvalidLoadBalancerActionException(
            f"Homeport does not support actions of type '{action.type}' yet"
        )
    if listener_protocol in _STREAM and action.type != "forward":
        raise shapes.InvalidLoadBalancerActionException(
            f"Action type '{action.type}' is not supported on a Network Load Balancer"
        )
    _check_configs(action)
    kept: Json = {"Type": action.type}
    if action.order is not None:
        kept["Order"] = action.order
    if action.type == "forward":
        kept["ForwardConfig"] = _forward(action, listener_protocol)
    elif action.type == "redirect":
        kept["RedirectConfig"] = _redirect(action.redirect_config)
    else:
        kept["FixedResponseConfig"] = _fixed_response(action.fixed_response_config)
    return (kept,)


def _check_configs(action: shapes.Action) -> None:
    """A configuration of another kind of action is a mistake, not something to pass over."""
    given = {
        "forward": action.forward_config or action.target_group_arn,
        "redirect": action.redirect_config,
        "fixed-response": action.fixed_response_config,
        "authenticate-oidc": action.authenticate_oidc_config,
        "authenticate-cognito": action.authenticate_cognito_config,
        "jwt-validation": action.jwt_validation_config,
    }
    for kind, config in given.items():
        if config and kind != action.type:
            raise shapes.InvalidLoadBalancerActionException(
                f"A configuration of '{kind}' cannot be specified for an action of type '{action.type}'"
            )


def _forward(action: shapes.Action, listener_protocol: str) -> Json:
    config = action.forward_config or shapes.ForwardActionConfig()
    groups = config.target_groups or ()
    if not groups and action.target_group_arn:
        groups = (shapes.TargetGroupTuple(target_group_arn=action.target_group_arn),)
    names = [group.target_group_arn or "" for group in groups]
    if not names or "" in names:
        raise ValidationError("A target group ARN must be specified")
    if action.target_group_arn and names != [action.target_group_arn]:
        raise shapes.InvalidLoadBalancerActionException(
            "You cannot specify both a target group ARN and a different list of target groups"
        )
    if len(set(names)) != len(names):
        raise ValidationError("The target group list cannot contain duplicate target groups")
    if len(names) > _MOST_GROUPS:
        raise shapes.InvalidLoadBalancerActionException(
            f"You can specify at most {_MOST_GROUPS} target groups in a forward action"
        )
    weights = [1 if group.weight is None else group.weight for group in groups]
    if not all(0 <= weight <= _MOST_WEIGHT for weight in weights):
        raise ValidationError(f"Target group weights must be between 0 and {_MOST_WEIGHT}")
    return {
        "TargetGroups": [{"TargetGroupArn": n, "Weight": w} for n, w in zip(names, weights, strict=True)],
        "TargetGroupStickinessConfig": _stickiness(config.target_group_stickiness_config, listener_protocol),
    }


def _stickiness(config: shapes.TargetGroupStickinessConfig | None, listener_protocol: str) -> Json:
    if config is None or not config.enabled:
        seconds = config.duration_seconds if config else None
        return {"Enabled": False} | ({} if seconds is None else {"DurationSeconds": seconds})
    if listener_protocol in _STREAM:
        raise shapes.InvalidLoadBalancerActionException("Target group stickiness is not supported on this listener")
    if config.duration_seconds is None or not 1 <= config.duration_seconds <= _LONGEST_STICKINESS:
        raise ValidationError(f"Target group stickiness duration must be between 1 and {_LONGEST_STICKINESS} seconds")
    return {"Enabled": True, "DurationSeconds": config.duration_seconds}


def _redirect(config: shapes.RedirectActionConfig | None) -> Json:
    if config is None:
        raise ValidationError("A redirect configuration must be specified")
    given: Json = msgspec.to_builtins(config)
    result: Json = {**_REDIRECT_DEFAULTS, **given}
    if all(result[name] == _REDIRECT_DEFAULTS[name] for name in ("Protocol", "Port", "Host", "Path")):
        raise shapes.InvalidLoadBalancerActionException(
            "The redirect configuration is not valid because it creates a loop"
        )
    _check_redirect(result)
    return result


def _check_redirect(config: Json) -> None:
    port = config["Port"]
    if port != "#{port}" and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValidationError(f"'{port}' is not a valid redirect port")
    if not config["Path"].startswith("/"):
        raise ValidationError("The redirect path must start with a '/'")
    for name, keyword in (("Host", "#{host}"), ("Query", "#{query}")):
        if "#{" in config[name] and config[name] != keyword:
            raise shapes.InvalidLoadBalancerActionException(
                f"Homeport supports no other keyword in a redirect's {name} than {keyword} alone"
            )
    if "#{" in config["Path"].replace("#{path}", ""):
        raise shapes.InvalidLoadBalancerActionException("Homeport supports no keyword in a redirect's Path but #{path}")


def _fixed_response(config: shapes.FixedResponseActionConfig | None) -> Json:
    if config is None:
        raise ValidationError("A fixed-response configuration must be specified")
    kind = config.content_type or "text/plain"
    if kind not in _CONTENT_TYPES:
        raise ValidationError(f"The content type must be one of [{', '.join(_CONTENT_TYPES)}]")
    kept = {"StatusCode": config.status_code, "ContentType": kind}
    return kept | ({} if config.message_body is None else {"MessageBody": config.message_body})


def shown_actions(actions: Iterable[Json]) -> tuple[shapes.Action, ...]:
    """Stored actions as the API gives them back: a forward to one group names it at the top, too."""
    shown = []
    for action in actions:
        groups: list[Json] = action["ForwardConfig"]["TargetGroups"] if action["Type"] == "forward" else []
        at_top = {"TargetGroupArn": groups[0]["TargetGroupArn"]} if len(groups) == 1 else {}
        shown.append(msgspec.convert({**action, **at_top}, shapes.Action))
    return tuple(shown)
