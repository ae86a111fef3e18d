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
        '"%REQ(:METHOD)% %REQ(:AUTHORITY)%%REQ(:PATH)% %PROTOCOL%" "%REQ(USER-AGENT)%" %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_VERSION% %UPSTREAM_CLUSTER%\n'
    )
    config = {
        "@type": f"{TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"text_format_source": {"inline_string": line}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}
