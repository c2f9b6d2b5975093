"""What the emergency lane does beside its queue: it hears the doorbell, and stands in for Redis."""

from datetime import timedelta

import redis
import structlog

from app.domain.vocabulary import Priority
from app.errors import TocsinError, Unavailable
from app.services.sending import lane, release
from app.services.sending.stops import Bell
from app.services.sending.tools import Tools
from app.wake import Doorbell

log = structlog.get_logger(__name__)

LOOK = 0.5  # seconds
LISTEN = timedelta(seconds=1)


def answer_doorbell(tools: Tools, doorbell: Doorbell) -> None:
    """Send each emergency that the doorbell tells of, at once and by itself, until told to stop."""
    while not tools.stopping.is_set():
        try:
            message = doorbell.wait(LISTEN)
            if message is not None:
                lane.work_these(tools, Priority.P0, [message])
        except Unavailable:
            tools.stopping.wait(LOOK)
        except Exception:
            # The lane was told as well, and this thread is for the next one.
            log.exception("emergency lane stumbled")


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


def heed_stops(tools: Tools, bell: Bell) -> None:
    """Keep what the process knows of stops no older than a second, until told to stop.

    After a stop has ended, its lanes are told: nobody else may know of what waits there. What an operator
    changes of ways and limits holds here at once, too.
    """

    def resumed() -> None:
        for priority in tools.lanes:
            tools.wake.lane(priority, sweep=True)

    while not tools.stopping.is_set():
        try:
            tools.stops.follow(bell, tools.stopping, changed=tools.catalog.expire, resumed=resumed)
        except Exception:
            # Nothing but emergencies would be sent without this thread.
            log.exception("asking for stops stumbled")
            tools.stopping.wait(LOOK)


def keep_reference_data(tools: Tools) -> None:
    """Keep routes, limits and senders fresh until told to stop, so that no emergency waits for them."""
    while not tools.stopping.is_set():
        try:
            tools.catalog.tend(tools.stopping)
        except Exception:
            # Without this thread emergencies read what they need themselves.
            log.exception("keeping reference data stumbled")
            tools.stopping.wait(LOOK)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
