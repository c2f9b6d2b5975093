"""Waking workers as accept does."""

from collections.abc import Mapping

from app.bootstrap import build
from app.settings import Settings
from app.wake import Wake


def wake_of(variables: Mapping[str, str]) -> Wake:
    """Make what tells workers of work whose servers these variables name."""
    settings = Settings(
        _env_file=None, database_url=variables["DATABASE_URL"], redis_url=variables["REDIS_URL"]
    )
    return build(settings, "bench", connections=2).wake
