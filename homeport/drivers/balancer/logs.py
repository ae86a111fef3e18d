"""Lines of a load balancer's logs, in ELB's order, written by Envoy to files (pure)."""

from typing import Any

from homeport.drivers.balancer import Listener
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]


def access_log(path: str, listener: Listener) -> Json:
    """The fields of ELB's access log entries that Envoy knows, in ELB's order."""
    kind = "https" if listener.protocol == "HTTPS" else "http"
    line = (
        f"{kind} %START_TIME% {listener.id} %DOWNSTREAM_REMOTE_ADDRESS% %UPSTREAM_HOST% %REQUEST_DURATION% "
        "%RESPONSE_DURATION% %RESPONSE_TX_DURATION% %RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% "
        '"%REQ(:METHOD)% %REQ(:AUTHORITY)%%REQ(:PATH)% %PROTOCOL%" "%REQ(USER-AGENT)%" %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_VERSION% %UPSTREAM_CLUSTER% TID_%CONNECTION_ID%\n'
    )
    return _file(path, line)


#: Whether client and listener have agreed on TLS.
_SHAKEN = "has(connection.tls_version) && !has(connection.transport_failure_reason)"


def connection_logs(path: str, listener: Listener) -> list[Json]:
    """ELB's connection log entries, written when a connection ends. There are no client certificates here."""
    if listener.protocol != "HTTPS":
        return [_file(path, _connection(listener, "- - -", "-", "-"))]
    secure = "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%"
    shaken = _connection(listener, f"{secure} %DOWNSTREAM_HANDSHAKE_DURATION%e-3", "Success", "%DOWNSTREAM_TLS_GROUP%")
    failed = _connection(listener, f"{secure} -", "Failed:UnmappedConnectionError", "%DOWNSTREAM_TLS_GROUP%")
    return [
        {**_file(path, shaken), "filter": only_if(_SHAKEN)},
        {**_file(path, failed), "filter": only_if(f"!({_SHAKEN})")},
    ]


def _connection(listener: Listener, secure: str, status: str, exchange: str) -> str:
    client = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%"
    return (
        f"%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)% {client} {listener.port} {secure} - - - {status} TID_%CONNECTION_ID% "
        f"{exchange} {listener.load_balancer} {listener.address}\n"
    )


def only_if(expression: str) -> Json:
    """A filter of Envoy's: of what it logs or answers, that of which the CEL expression is true."""
    config = {
        "@type": f"{TYPE}envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        "expression": expression,
    }
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}


def _file(path: str, line: str) -> Json:
    config = {
        "@type": f"{TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"text_format_source": {"inline_string": line}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}
