"""Conditions of rules: what may be one, and the form in which they are kept (see `model.load_balancer`).

Source: API reference of RuleCondition and its configurations; ALB User Guide, "Condition types for listener rules".
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from homeport.model.rules.elbv2 import LIMITS, ValidationError
from homeport.shapes import elbv2 as shapes

Json = dict[str, Any]
_MOST_VALUES = LIMITS["condition-values-per-alb-rule"]
_MOST_WILDCARDS = LIMITS["condition-wildcards-per-alb-rule"]
_LONGEST = 128
_HOST = re.compile(r"[A-Za-z0-9.*?-]*\.[A-Za-z*?]+\Z")
_BEYOND_RE2 = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=)|\\[1-9]|[*+?}]\+")
_PATH = re.compile(r"[A-Za-z0-9_\-.$/~\"'@:+&*?]+\Z")
_METHOD = re.compile(r"[A-Z_-]{1,40}\Z")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}\Z")

#: Condition field -> the member that configures it. The first two may also be given by `Values` (`RegexValues`).
CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_BY_VALUES = ("host-header", "path-pattern")
_MAY_REPEAT = ("http-header", "query-string")


def stored_conditions(conditions: Iterable[shapes.RuleCondition]) -> tuple[Json, ...]:
    """The conditions in their `…Config` forms; raises ValidationError and InvalidConfigurationRequest."""
    kept = tuple(_condition(condition) for condition in conditions)
    if not kept:
        raise ValidationError("A condition must be specified")
    fields = [condition["Field"] for condition in kept]
    for field in fields:
        if field not in _MAY_REPEAT and fields.count(field) > 1:
            raise ValidationError(f"A rule can only have one '{field}' condition")
    values = [text for condition in kept for text in _texts(condition)]
    if len(values) > _MOST_VALUES:
        raise ValidationError(f"Rules can only have '{_MOST_VALUES}' condition values")
    wild = sum(text.count("*") + text.count("?") for c in kept if _has_wildcards(c) for text in _texts(c))
    if wild > _MOST_WILDCARDS:
        raise ValidationError(f"Rules can only have '{_MOST_WILDCARDS}' condition wildcards")
    return kept


def _has_wildcards(condition: Json) -> bool:
    field = condition["Field"]
    return field not in ("http-request-method", "source-ip") and "Values" in condition[CONFIGS[field]]


def _texts(condition: Json) -> list[str]:
    """A condition's values as text (a query string's pair counts as one value)."""
    config = condition[CONFIGS[condition["Field"]]]
    values = config.get("Values") or config["RegexValues"]
    return [f"{v.get('Key', '')}{v['Value']}" if isinstance(v, dict) else v for v in values]


def _condition(condition: shapes.RuleCondition) -> Json:
    plain: Json = msgspec.to_builtins(condition)
    field = _field(plain)
    config = _config(plain, field)
    if config.get("RegexValues"):
        _check_regexes(config["RegexValues"])
        if field == "http-header":
            _check_header_name(config)
    else:
        _CHECKS[field](config)
    return {"Field": field, CONFIGS[field]: {name: value for name, value in config.items() if value}}


def _field(plain: Json) -> str:
    """The condition's field, which a lone configuration tells as well."""
    field = plain.get("Field")
    given = [name for name in CONFIGS.values() if name in plain]
    if field is None and len(given) == 1:
        field = next(kind for kind, name in CONFIGS.items() if name == given[0])
    if field not in CONFIGS:
        raise ValidationError(f"Condition field '{field}' must be one of '[{', '.join(CONFIGS)}]'")
    if any(name != CONFIGS[field] for name in given):
        raise ValidationError(f"You can specify only '{CONFIGS[field]}' for a condition with field '{field}'")
    return str(field)


def _config(plain: Json, field: str) -> Json:
    """The configuration, from wherever its values were given: there are values or regular expressions."""
    config: Json = plain.get(CONFIGS[field], {})
    at_top: Json = {name: plain[name] for name in ("Values", "RegexValues") if name in plain}
    if at_top:
        if config or field not in _BY_VALUES:
            raise ValidationError(f"You cannot specify values beside or instead of '{CONFIGS[field]}'")
        config = at_top
    if bool(config.get("Values")) == bool(config.get("RegexValues")):
        raise ValidationError(f"Either values or regular expressions must be specified for '{field}'")
    return config


def _check_regexes(texts: Iterable[str]) -> None:
    """Regular expressions as RE2 knows them: neither looking around nor back."""
    for text in texts:
        try:
            re.compile(text)
        except re.error:
            is_sound = False
        else:
            is_sound = len(text) <= _LONGEST and not _BEYOND_RE2.search(text)
        if not is_sound:
            raise ValidationError(f"The regular expression '{text}' is not valid")


def _check_host(config: Json) -> None:
    for text in config["Values"]:
        if len(text) > _LONGEST or not _HOST.match(text):
            raise ValidationError(f"The host header '{text}' is not valid")


def _check_path(config: Json) -> None:
    for text in config["Values"]:
        if len(text) > _LONGEST or not _PATH.match(text):
            raise ValidationError(f"The path pattern '{text}' is not valid")


def _check_header(config: Json) -> None:
    _check_header_name(config)
    _check_lengths(config["Values"])


def _check_header_name(config: Json) -> None:
    name = config.get("HttpHeaderName", "")
    if not _HEADER_NAME.match(name):
        raise ValidationError(f"The HTTP header name '{name}' is not valid")
    if name.lower() == "host":
        raise ValidationError("Use a 'host-header' condition to match the Host header")


def _check_method(config: Json) -> None:
    for text in config["Values"]:
        if not _METHOD.match(text):
            raise ValidationError(f"The HTTP request method '{text}' is not valid")


def _check_query(config: Json) -> None:
    for pair in config["Values"]:
        if "Value" not in pair:
            raise ValidationError("A query string condition must have a value")
        _check_lengths([pair.get("Key", ""), pair["Value"]])


def _check_lengths(texts: Iterable[str]) -> None:
    if any(len(text) > _LONGEST or not text.isprintable() for text in texts):
        raise ValidationError(f"Condition values must have at most {_LONGEST} printable characters")


def _check_source(config: Json) -> None:
    if config.pop("IpAddressType", "ipv4") != "ipv4":
        raise shapes.InvalidConfigurationRequestException("Homeport's load balancers have IPv4 addresses only")
    for text in config["Values"]:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            network = None
        if network is None or "/" not in text or text == "255.255.255.255/32":
            raise ValidationError(f"The source IP '{text}' is not a valid CIDR block")


_CHECKS: dict[str, Callable[[Json], None]] = {
    "host-header": _check_host,
    "path-pattern": _check_path,
    "http-header": _check_header,
    "http-request-method": _check_method,
    "query-string": _check_query,
    "source-ip": _check_source,
}


def shown_conditions(conditions: Iterable[Json]) -> tuple[shapes.RuleCondition, ...]:
    """Stored conditions as the API gives them back: host and path also have their values at the top."""
    return tuple(
        msgspec.convert(
            {**item, **(item[CONFIGS[item["Field"]]] if item["Field"] in _BY_VALUES else {})}, shapes.RuleCondition
        )
        for item in conditions
    )
