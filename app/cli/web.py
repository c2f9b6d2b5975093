"""`tocsin web`: the process that serves the API."""

import os
from functools import partial
from importlib import import_module

import click
from flask import Flask

from app import settings as config
from app.api.server import serve
from app.api.shares import threads
from app.settings import Settings


@click.command()
def web() -> None:
    """Run the web process until it is told to stop."""
    settings = config.load()
    if settings.prometheus_multiproc_dir is not None:
        settings.prometheus_multiproc_dir.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.prometheus_multiproc_dir)
    serve(partial(_application, settings), settings, threads=threads(settings))


def _application(settings: Settings) -> Flask:
    # Imported by name and only now, since prometheus_client looks at the environment when it is imported.
    made: Flask = import_module("app.api.application").for_this_process(settings)
    return made
