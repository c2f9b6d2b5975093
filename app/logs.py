"""How processes write their logs: one line an event, for people or as JSON, to standard error."""

import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.settings import Settings


def configure(settings: Settings) -> None:
    """Send the logs of this process, those of libraries too, to standard error in the form that is set."""
    level = getattr(logging, settings.log_level.upper())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = _renderer(settings.log_format)
    structlog.configure(
        processors=[*before, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(before, render)


def _configure_libraries(before: list[Processor], render: Processor) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What libraries tell below a warning is about themselves, not about messages.
    root.setLevel(logging.WARNING)


def _renderer(form: str) -> Processor:
    if form == "json":
        return _json
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=_plain).decode()


def _plain(value: Any) -> str:
    return str(value)
