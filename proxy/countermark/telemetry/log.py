"""Messages about the gateway itself: start, reload, faults. The lines of requests are in `access.py`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import structlog
from structlog.types import Processor

from countermark.settings.model import LogSettings


def shape(settings: LogSettings) -> Literal["json", "console"]:
    """The format, with `auto` resolved by what standard error is."""
    if settings.format != "auto":
        return settings.format
    return "console" if os.isatty(sys.stderr.fileno()) else "json"


def configure(settings: LogSettings, *, process: str) -> None:
    """Send structlog's and the libraries' messages to standard error in one format. `process` names the sender."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    steps: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        _named(process),
    ]
    render: list[Processor]
    if shape(settings) == "json":
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=False)]
    structlog.configure(
        processors=[*steps, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=steps, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _named(process: str) -> Processor:
    def add(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    return add
