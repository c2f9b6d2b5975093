"""`tocsin web`: the process that serves the API."""

import os
from functools import partial
from importlib import import_module

import click

from app import settings as config
from app.api.server import serve
from app.api.shares import threads
from app.embedded.ports import check_free


@click.command()
def web() -> None:
    """Run the web process until it is told to stop."""
    settings = config.load()
    check_free(settings.host, settings.port, "PORT")
    if settings.prometheus_multiproc_dir is not None:
        settings.prometheus_multiproc_dir.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.prometheus_multiproc_dir)
    # Only now and by name, since prometheus_client looks at the environment when it is imported.
    application = import_module("app.api.application")
    # Here a fault becomes one clear line; in the serving process it would be a traceback.
    application.check(settings)
    serve(partial(application.for_this_process, settings), settings, threads=threads(settings))
