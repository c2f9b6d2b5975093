"""Using the system that `tocsin up` runs in another terminal."""

import os

from app import settings
from app.embedded import places, running


def adopt() -> None:
    """Take over the settings of a running `tocsin up` of this project, where no server is set here."""
    own = settings.load()
    if own.database_url and own.redis_url:
        return
    if found := of_this_project():
        for name, value in found.environment.items():
            os.environ.setdefault(name, value)


def of_this_project() -> running.Running | None:
    """Tell what `tocsin up` runs for this project, if it does."""
    return running.read(places.root_of(settings.PROJECT, settings.load().data_dir))
