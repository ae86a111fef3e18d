"""ELB's rule conditions as Envoy's unified matchers, and its actions as Envoy routes (pure).

A rule is one entry of a virtual host's `matcher_list`: conditions ANDed, values ORed, first match wins. Patterns become
full-match RE2 expressions. The client's address cannot be matched directly in a route, so a network filter notes it in
the connection's filter state, where routes may look.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from homeport.drivers.balancer import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    Redirect,
    Rule,
    TargetGroup,
    WeightedGroup,
)

SOURCE_KEY = "homeport.source"
TYPE = "type.googleapis.com/"
GROUP_COOKIE = "AWSALBTG"
STICKY_FILTER = "envoy.filters.http.stateful_session"
STICKY_FILTER_TYPE = "envoy.extensions.filters.http.stateful_session.v3.StatefulSession"
Json = dict[str, Any]


def wildcard(pattern: str) -> str:
    """ELB's `*` (any text) and `?` (one character) as a regular expression."""
    return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)


def route_matcher(rules: tuple[Rule, ...], default: Action, groups: Mapping[str, TargetGroup]) -> Json:
    """The virtual host's matcher: rules by priority, then the default action. `groups` by id tell of stickiness."""
    ordered = sorted(rules, key=lambda rule: rule.priority)
    entries = [
        entry for rule in ordered for entry in _entries(_all_of(rule.conditions), rule.action, groups)
    ] + _sticky_entries(None, default, groups)
    matcher: Json = {"on_no_match": _on_match(default, groups)}
    if entries:
        matcher["matcher_list"] = {"matchers": entries}
    return matcher


def _entries(predicate: Json, action: Action, groups: Mapping[str, TargetGroup]) -> list[Json]:
    """A rule; where clients stick to the group they were given, those that say so come first."""
    return [
        *_sticky_entries(predicate, action, groups),
        {"predicate": predicate, "on_match": _on_match(action, groups)},
    ]


def _sticky_entries(predicate: Json | None, action: Action, groups: Mapping[str, TargetGroup]) -> list[Json]:
    """One entry a group that still gets requests: clients whose cookie names it stay there."""
    if not isinstance(action, Forward) or not action.sticky_seconds or len(_used(action)) < 2:
        return []
    entries = []
    for group in _used(action):
        cookie = _header("cookie", f"(.*; *)?{GROUP_COOKIE}={_token(group.target_group_id)}(;.*)?")
        both = {"and_matcher": {"predicate": [predicate, cookie]}} if predicate else cookie
        stay = Forward(groups=(group,), sticky_seconds=action.sticky_seconds)
        entries.append({"predicate": both, "on_match": _on_match(stay, groups)})
    return entries


def _used(action: Forward) -> list[WeightedGroup]:
    return [group for group in action.groups if group.weight > 0]


def _token(target_group_id: str) -> str:
    """What the cookie says of a group: a name that tells nothing and does not depend on the rule."""
    return hashlib.sha256(target_group_id.encode()).hexdigest()[:32]


def _group_cookie(action: Forward, group: WeightedGroup) -> Json:
    """The header that has the client come back to the group; renewed with every answer."""
    if not action.sticky_seconds:
        return {}
    value = f"{GROUP_COOKIE}={_token(group.target_group_id)}; Max-Age={action.sticky_seconds}; Path=/"
    header = {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {"response_headers_to_add": [header]}


def _on_match(action: Action, groups: Mapping[str, TargetGroup]) -> Json:
    config = {"@type": f"{TYPE}envoy.config.route.v3.Route", **route(action, groups)}
    return {"action": {"name": "route", "typed_config": config}}


def _all_of(conditions: tuple[Condition, ...]) -> Json:
    predicates = [
        _any_of([_predicate(condition, value) for value in condition.values])
        for condition in conditions
        if condition.field != "source-ip"
    ]
    predicates += [_source_ip(condition.values) for condition in conditions if condition.field == "source-ip"]
    return predicates[0] if len(predicates) == 1 else {"and_matcher": {"predicate": predicates}}


def _any_of(predicates: list[Json]) -> Json:
    return predicates[0] if len(predicates) == 1 else {"or_matcher": {"predicate": predicates}}


def _predicate(condition: Condition, value: str) -> Json:
    """One value of one condition, as ELB compares it: hosts, headers and query parts ignore case, paths and methods do not."""
    if condition.is_regex:
        return _found(condition, value)
    if condition.field == "host":
        return _header(":authority", f"(?i){wildcard(value)}(:[0-9]+)?")
    if condition.field == "path":
        return _header(":path", f"{wildcard(value).replace('.*', '[^?]*')}([?].*)?")
    if condition.field == "method":
        return _header(":method", re.escape(value))
    if condition.field == "query":
        key, _, text = value.partition("=")
        return _header(
            ":path", f"(?i)[^?]*[?](.*&)?{wildcard(key) or '[^&=]*'}={wildcard(text).replace('.*', '[^&]*')}(&.*)?"
        )
    return _header(condition.name.lower(), f"(?i){wildcard(value)}")


def _found(condition: Condition, pattern: str) -> Json:
    """A regular expression of the user, found anywhere in host (without port), path (without query) or header."""
    if condition.field == "host":
        return _header(":authority", f"(?i){_anywhere(pattern, '[^:]')}(:[0-9]+)?")
    if condition.field == "path":
        return _header(":path", f"{_anywhere(pattern, '[^?]')}([?].*)?")
    return _header(condition.name.lower(), _anywhere(pattern, "."))


def _anywhere(pattern: str, other: str) -> str:
    """The pattern between any number of `other` characters, less those sides where it is anchored."""
    before, after = f"{other}*?", f"{other}*"
    if "|" not in pattern:  # anchors of one alternative are not those of the whole
        if pattern.startswith("^"):
            before, pattern = "", pattern[1:]
        if pattern.endswith("$") and not pattern.endswith("\\$"):
            after, pattern = "", pattern[:-1]
    return f"{before}(?:{pattern}){after}"


def _header(name: str, regex: str) -> Json:
    source = {"@type": f"{TYPE}envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}
    return {
        "single_predicate": {
            "input": {"name": "header", "typed_config": source},
            "value_match": {"safe_regex": {"google_re2": {}, "regex": regex}},
        }
    }


def _source_ip(cidrs: tuple[str, ...]) -> Json:
    ranges = [{"address_prefix": cidr.split("/")[0], "prefix_len": int(cidr.split("/")[1])} for cidr in cidrs]
    source = {"@type": f"{TYPE}envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", "key": SOURCE_KEY}
    matcher = {
        "@type": f"{TYPE}envoy.extensions.matching.input_matchers.ip.v3.Ip",
        "stat_prefix": "ip",
        "cidr_ranges": ranges,
    }
    return {
        "single_predicate": {
            "input": {"name": "source", "typed_config": source},
            "custom_match": {"name": "ip", "typed_config": matcher},
        }
    }


def route(action: Action, groups: Mapping[str, TargetGroup]) -> Json:
    """The action as an Envoy route. Time-outs are the listener's (idle time-out), never a route's."""
    if isinstance(action, Forward):
        return {"match": {"prefix": "/"}, **forward(action, groups)}
    if isinstance(action, Redirect):
        return {"match": {"prefix": "/"}, "redirect": redirect(action)}
    return {"match": {"prefix": "/"}, **fixed_response(action)}


#: A request that never reached a target (it refused the connection, or was going away) is given to another one.
_RETRIES: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": f"{TYPE}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
    "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.050s"},
}


def forward(action: Forward, groups: Mapping[str, TargetGroup]) -> Json:
    """Weights of zero are left out; a forward whose weights are all zero answers 503, as ELB does."""
    common: Json = {
        "timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "retry_policy": _RETRIES,
        "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
    }
    used = _used(action)
    if not used:
        return {"route": {"cluster": "none", **common}}
    if len(used) == 1:
        name = used[0].target_group_id
        return {"route": {"cluster": name, **common}, **_sticky(groups.get(name)), **_group_cookie(action, used[0])}
    clusters = [
        {
            "name": each.target_group_id,
            "weight": each.weight,
            **_sticky(groups.get(each.target_group_id)),
            **_group_cookie(action, each),
        }
        for each in used
    ]
    return {"route": {"weighted_clusters": {"clusters": clusters}, **common}}


def _sticky(group: TargetGroup | None) -> Json:
    """A group's cookie, which names the target that a client was first given."""
    if group is None or not group.sticky_cookie:
        return {}
    cookie: Json = {"name": group.sticky_cookie, "path": "/"}
    if group.sticky_seconds:
        cookie["ttl"] = f"{group.sticky_seconds}s"
    state = {
        "@type": f"{TYPE}envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
        "cookie": cookie,
    }
    session = {
        "@type": f"{TYPE}{STICKY_FILTER_TYPE}PerRoute",
        "stateful_session": {"session_state": {"name": "envoy.http.stateful_session.cookie", "typed_config": state}},
    }
    return {"typed_per_filter_config": {STICKY_FILTER: session}}


_REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def redirect(action: Redirect) -> Json:
    """ELB's templates in the forms Envoy has; what has no form is refused when the action is created."""
    result: Json = {"response_code": _REDIRECT_CODES[action.status], "port_redirect": action.port}
    if action.protocol != "#{protocol}":
        result["scheme_redirect"] = action.protocol.lower()
    if action.host != "#{host}":
        result["host_redirect"] = action.host
    if action.query != "#{query}":
        result["strip_query"] = True
    if action.path != "/#{path}" or action.query not in ("#{query}", ""):
        query = f"?{action.query}" if action.query not in ("#{query}", "") else ""
        result |= _path_redirect(action.path, query)
    return result


def _path_redirect(path: str, query: str) -> Json:
    if "#{path}" not in path:
        return {"path_redirect": f"{path}{query}"}
    substitution = path.replace("\\", "\\\\").replace("#{path}", "\\1") + query
    return {"regex_rewrite": {"pattern": {"regex": "^/?(.*)$"}, "substitution": substitution}}


def fixed_response(action: FixedResponse) -> Json:
    header = {
        "header": {"key": "content-type", "value": action.content_type},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    return {
        "direct_response": {"status": action.status, "body": {"inline_string": action.body}},
        "response_headers_to_add": [header] if action.body else [],
    }
