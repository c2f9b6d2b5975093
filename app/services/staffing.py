"""How much waits in a lane, and what each machine's workers are doing about it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import redis
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.redis import translated
from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.staffing import Load
from app.domain.vocabulary import Priority
from app.queue import PACKAGE

# Counting further would change no wish: twice the threads that a lane can have on one machine.
COUNTED = 2
_KEY = "staffing"
_KEPT = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Staffed:
    """What one machine said of its workers in a lane at that time, by its own clock.

    `wished` threads are within the lane's bounds; `needed` is what the load asks for, also beyond them.
    """

    host: str
    priority: Priority
    wished: int
    needed: int
    running: int
    busy: int
    at: datetime


def read_load(engine: sa.Engine, lane: Lane, *, busy: int, running: int, crowded: bool) -> Load:
    """Look how much waits in the lane, beside what this machine's workers do. Raises Unavailable."""
    limit = COUNTED * lane.max_threads * lane.claim_size
    parameters = {"priority": lane.priority, "limit": limit}
    with unavailable_when_down(), engine.connect() as conn:
        row = run(conn, PACKAGE, "lane_load", parameters).one()
    oldest = row.oldest or timedelta(0)
    return Load(due=row.due, oldest=oldest, busy=busy, running=running, crowded=crowded)


def tell(client: redis.Redis, staffed: Staffed) -> None:
    """Say how a machine's workers stand, for whoever asks with `known`. Raises Unavailable."""
    said = asdict(staffed) | {"at": staffed.at.isoformat()}
    with translated(), client.pipeline(transaction=False) as pipe:
        pipe.hset(_KEY, f"{staffed.host} {staffed.priority.value}", orjson.dumps(said).decode())
        pipe.expire(_KEY, _KEPT)
        pipe.execute()


def known(client: redis.Redis, now: datetime, *, within: timedelta) -> tuple[Staffed, ...]:
    """List what machines said no longer ago than `within`, by priority. Raises Unavailable."""
    with translated():
        said: dict[str, str] = client.hgetall(_KEY)  # type: ignore[assignment]  # redis-py: or awaitable
    found = [_read(orjson.loads(words)) for words in said.values()]
    recent = [each for each in found if now - each.at <= within]
    return tuple(sorted(recent, key=lambda each: (each.priority, each.host)))


def _read(said: dict[str, Any]) -> Staffed:
    return Staffed(
        **said | {"at": datetime.fromisoformat(said["at"]), "priority": Priority(said["priority"])}
    )
