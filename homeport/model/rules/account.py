"""Account settings: their names, values and defaults.

A principal's own value wins over the account's default, which wins over AWS's. Long ARNs cannot be turned off any more.
A value that asks for something this version has not is refused, never kept and ignored.
Source: API reference of PutAccountSetting; Developer Guide, "Access Amazon ECS features with account settings".
"""

from typing import NamedTuple

from homeport.shapes import ecs as shapes


class Rule(NamedTuple):
    """`values` that AWS knows, the `default` among them, and the `unbuilt` ones that are refused here."""

    values: tuple[str, ...]
    default: str
    unbuilt: tuple[str, ...] = ()


_SWITCH = ("enabled", "disabled")
RULES: dict[shapes.SettingName, Rule] = {
    "serviceLongArnFormat": Rule(_SWITCH, "enabled"),
    "taskLongArnFormat": Rule(_SWITCH, "enabled"),
    "containerInstanceLongArnFormat": Rule(_SWITCH, "enabled"),
    "awsvpcTrunking": Rule(_SWITCH, "disabled", ("enabled",)),
    "containerInsights": Rule(("enabled", "disabled", "enhanced"), "disabled"),
    "fargateFIPSMode": Rule(_SWITCH, "disabled", ("enabled",)),
    "tagResourceAuthorization": Rule(("on", "off"), "off", ("on",)),
    "fargateTaskRetirementWaitPeriod": Rule(("0", "7", "14"), "7"),
    "guardDutyActivate": Rule(("on", "off"), "off"),
    "defaultLogDriverMode": Rule(("blocking", "non-blocking"), "non-blocking"),
    "fargateEventWindows": Rule(_SWITCH, "disabled", ("enabled",)),
}
AWS_MANAGED = ("guardDutyActivate",)


def check_setting(name: shapes.SettingName, value: str) -> str:
    """The value in the form it is kept in; raises InvalidParameterException or ClientException."""
    rule = RULES[name]
    if name in AWS_MANAGED:
        raise shapes.InvalidParameterException(f"The account setting {name} is managed by AWS and cannot be changed.")
    if value not in rule.values:
        raise shapes.InvalidParameterException(
            f"Invalid value for account setting {name}: it should be one of {', '.join(rule.values)}."
        )
    if name.endswith("LongArnFormat") and value == "disabled":
        raise shapes.InvalidParameterException(f"The account setting {name} can no longer be disabled.")
    if value in rule.unbuilt:
        raise shapes.ClientException(f"The value {value} of account setting {name} is not supported by this version.")
    return value


def setting_type(name: shapes.SettingName) -> shapes.SettingType:
    return "aws_managed" if name in AWS_MANAGED else "user"
