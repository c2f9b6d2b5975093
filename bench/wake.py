"""Waking workers as accept does."""

from app.bootstrap import build
from app.domain.vocabulary import Priority
from app.settings import Settings
from app.wake import Wake
from bench.ground import Ground


def wake_of(stage: Ground) -> Wake:
    """Make what tells this ground's workers of work."""
    settings = Settings(
        _env_file=None,
        database_url=stage.variables["DATABASE_URL"],
        redis_url=stage.variables["REDIS_URL"],
    )
    return build(settings, "bench", connections=2).wake


def wake(stage: Ground, priority: Priority) -> None:
    """Wake the lane once."""
    wake_of(stage).lane(priority)
