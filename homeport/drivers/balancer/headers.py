"""Headers that a load balancer sets on requests to targets and on answers to clients (pure).

They are part of the route table, so that a change of them closes no connection. Names and values are the user's: a
percent sign in them would otherwise begin one of Envoy's own commands.
"""

from typing import Any

from homeport.drivers.balancer import Listener

Json = dict[str, Any]


def header_changes(listener: Listener) -> Json:
    """What a listener's route table sets and takes away."""
    removed = ["x-envoy-external-address", *_removed(listener)]
    added = {
        "request_headers_to_add": [*_client_port(listener), *_tls(listener)],
        "response_headers_to_add": _answered(listener),
    }
    return {"request_headers_to_remove": removed} | {key: headers for key, headers in added.items() if headers}


def _removed(listener: Listener) -> list[str]:
    """A client without TLS must not be able to tell a target of one."""
    names = ["x-forwarded-for"] if listener.xff_mode == "remove" else []
    return names + ([] if listener.protocol == "HTTPS" else list(filter(None, _tls_names(listener))))


def appends_client_port(listener: Listener) -> bool:
    """Whether X-Forwarded-For gets address and port here, instead of the address alone from the connection manager."""
    return listener.xff_client_port and listener.xff_mode == "append"


def _client_port(listener: Listener) -> list[Json]:
    if not appends_client_port(listener):
        return []
    header = {"key": "x-forwarded-for", "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}
    return [{"header": header, "append_action": "APPEND_IF_EXISTS_OR_ADD"}]


def _tls(listener: Listener) -> list[Json]:
    """Version and cipher that were agreed with the client, by OpenSSL's names."""
    if listener.protocol != "HTTPS":
        return []
    commands = ("%DOWNSTREAM_TLS_VERSION%", "%DOWNSTREAM_TLS_CIPHER%")
    return [_set(name, command) for name, command in zip(_tls_names(listener), commands, strict=True) if name]


def _tls_names(listener: Listener) -> tuple[str, str]:
    return listener.tls_version_header, listener.tls_cipher_header


def _answered(listener: Listener) -> list[Json]:
    """Set on every answer, whoever made it."""
    return [_set(name, value.replace("%", "%%")) for name, value in listener.response_headers]


def _set(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
