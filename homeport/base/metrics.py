"""Every metric of a process, declared on one screen; served as Prometheus text at `/_homeport/metrics`.

Label values come from tables (operations of the model, names of error codes), never from what a caller sent, so the
number of series is bounded.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

API_REQUESTS = Counter(
    "homeport_api_requests",
    "API requests answered, by service, operation and error code (empty: success).",
    ("service", "operation", "code"),
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "homeport_api_request_seconds",
    "Seconds from the request's last byte to its answer, durability included.",
    ("service", "operation"),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
AGENT_SOCKETS = Gauge(
    "homeport_agent_sockets",
    "Websockets of agents now open, by kind (acs, tcs).",
    ("kind",),
    registry=REGISTRY,
)


def metrics_text() -> bytes:
    """All metrics in Prometheus's text format 0.0.4 (UTF-8)."""
    return generate_latest(REGISTRY)
