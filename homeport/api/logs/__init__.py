"""CloudWatch Logs: importing this package declares its handlers."""

from homeport.api.logs import events, groups, search, streams, tags

__all__ = ["events", "groups", "search", "streams", "tags"]
