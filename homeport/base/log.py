"""Structured logging: events, not prose. One line per state change, keys are field names."""

import logging
import sys
from typing import Any

import structlog


def get_logger(component: str) -> Any:
    """A logger bound to the component's name; cheap, call at module level."""
    return structlog.get_logger(component=component)


def configure_logging(*, level: str = "info", json_lines: bool = False) -> None:
    """Set up the process's log on standard error. `level` is a name of the `logging` module, in any case."""
    render: Any = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
