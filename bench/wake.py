"""Waking workers as accept does."""

from app.bootstrap import build
from app.domain.vocabulary import Priority
from app.settings import Settings
from bench.ground import Ground


def wake(stage: Ground, priority: Priority) -> None:
    """Wake the lane once."""
    settings = Settings(
        _env_file=None,
        database_url=stage.variables["DATABASE_URL"],
        redis_url=stage.variables["REDIS_URL"],
    )
    build(settings, "bench", connections=2).wake.lane(priority)
