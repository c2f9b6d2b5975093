"""What the emergency lane does when Redis is gone: it looks into PostgreSQL itself."""

import redis
import structlog

from app.domain.vocabulary import Priority
from app.errors import TocsinError
from app.services.sending import lane, release
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

LOOK = 0.5  # seconds


def stand_in_for_redis(tools: Tools, client: redis.Redis) -> None:
    """Send emergencies without wakes for as long as Redis does not answer, until told to stop."""
    gone = False
    while not tools.stopping.wait(LOOK):
        if gone != (gone := not _answers(client)):
            log.warning("Redis is gone: emergencies go without it" if gone else "Redis is back")
        if gone:
            try:
                release.release(tools, Priority.P0)
                lane.work(tools, Priority.P0, sweep=True)
            except TocsinError as exc:
                log.warning("emergency lane waits", error=str(exc))
            except Exception:
                # Whatever it was, the next look may find it gone; this thread must not be.
                log.exception("emergency lane stumbled")


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
