"""Logs of tests, with tracebacks as Python writes them."""

import structlog


def write_plainly() -> None:
    """Log as structlog does by itself, but without every frame's variables: they take 0.3 s an error."""
    structlog.reset_defaults()
    *before, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, plain])
