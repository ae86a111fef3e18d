"""Docker's log options for a container: `awslogs` is pointed at this host's log intake. Pure.

dockerd sends the events, with its own batching, multiline and blocking modes, and finds the intake instead of
CloudWatch: acknowledged at once, kept on disk, forwarded when the control plane can be reached.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from homeport.base.config import AgentConfig

CREATE_GROUP_PATH = "/create-group"
CREDENTIALS_PATH = "/v2/credentials"
_INTAKE_HOST = "127.0.0.1"
_UNKNOWN_TO_DOCKER = ("awslogs-stream-prefix",)


def docker_log_options(
    log_driver: str, options: Mapping[str, str], config: AgentConfig, credentials_id: str
) -> dict[str, str]:
    """The options to give to Docker; those of other drivers, and of an `awslogs-endpoint` of the user's own, unchanged.

    dockerd fetches credentials from `http://169.254.170.2` followed by the text of `awslogs-credentials-endpoint`. The
    text starts with `@`, which makes that address a user name and the intake the host: logs then need neither the
    link-local address nor the packet filter.
    """
    if log_driver != "awslogs" or not _is_ours(options.get("awslogs-endpoint"), config):
        return dict(options)
    intake = f"{_INTAKE_HOST}:{config.log_intake_port}"
    creates_group = options.get("awslogs-create-group", "").lower() == "true"
    rewritten = {name: value for name, value in options.items() if name not in _UNKNOWN_TO_DOCKER}
    rewritten["awslogs-endpoint"] = f"http://{intake}{CREATE_GROUP_PATH if creates_group else ''}"
    rewritten["awslogs-credentials-endpoint"] = f"@{intake}{CREDENTIALS_PATH}/{credentials_id}"
    rewritten.setdefault("awslogs-region", config.region)
    rewritten.setdefault("awslogs-force-flush-interval-seconds", "1")
    return rewritten


def _is_ours(endpoint: str | None, config: AgentConfig) -> bool:
    """Whether logs go to our control plane: no endpoint is named, or its own."""
    if not endpoint:
        return True
    named, ours = urlsplit(endpoint), urlsplit(config.endpoint)
    return (named.hostname, named.port or 80) == (ours.hostname, ours.port or 80)
