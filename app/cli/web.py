"""`tocsin web` and `tocsin webhooks`: the processes that serve HTTP."""

import os
from contextlib import suppress
from functools import partial
from importlib import import_module

import click

from app import settings as config
from app.api.server import serve
from app.api.shares import threads
from app.cli.lazy import load
from app.embedded.ports import check_free
from app.errors import ConfigurationError
from app.settings import Settings

# What gateways tell may wait a moment for what people send.
BEHIND = 5


@click.command()
def web() -> None:
    """Run the web process until it is told to stop."""
    settings = config.load()
    _serve(settings, settings.port, "PORT", "admin.application:for_this_process")


@click.command()
def webhooks() -> None:
    """Run a web process that takes gateways' webhooks, and nothing else, until it is told to stop.

    So that a flood of them does not hold up who sends, and what the world must reach is not the API.
    """
    settings = config.load()
    if settings.webhook_port is None:
        raise ConfigurationError("Set WEBHOOK_PORT: without it the web process takes the webhooks itself.")
    with suppress(PermissionError):
        os.nice(BEHIND)
    _serve(settings, settings.webhook_port, "WEBHOOK_PORT", "app.api.application:for_webhooks")


def _serve(settings: Settings, port: int, setting: str, make: str) -> None:
    check_free(settings.host, port, setting)
    if settings.prometheus_multiproc_dir is not None:
        settings.prometheus_multiproc_dir.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.prometheus_multiproc_dir)
    # Only now and by name, since prometheus_client looks at the environment when it is imported; the console
    # stands above this layer, too. Here a fault becomes one clear line; in the serving process, a traceback.
    import_module("app.api.application").check(settings)
    serve(partial(load(make), settings), settings.host, port, threads=threads(settings))
