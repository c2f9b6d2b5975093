"""What a process knows of the stops: told through Redis, asked of PostgreSQL, never older than a second."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import redis
import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.redis import translated
from app.db.sql import run
from app.domain.stops import LaneStops, Stop, StopScope, stops_of_lane
from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.limits.scripts import script
from app.queue import PACKAGE

log = structlog.get_logger(__name__)

# Who starts requests by what was true longer ago could start one a second after a stop.
HOLDS = 0.7  # seconds
# Asked this often, an answer that takes its time still comes before the last one is too old.
LOOK = 0.3  # seconds

_BELL = "stops"
_COPY = "stops:copy"
# Nothing but emergencies is sent without PostgreSQL, so a copy is of no use for longer than it may be gone.
_COPY_KEPT = timedelta(minutes=10)
_COPY_AGAIN = 5.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What somebody answered: the stops, at which time of the database, and by our clock when we asked."""

    stops: tuple[Stop, ...]
    at: datetime
    asked_at: float

    def now(self) -> datetime:
        """Tell the database's time, as this process's own clock may be wrong."""
        return self.at + timedelta(seconds=time.monotonic() - self.asked_at)

    @property
    def is_fresh(self) -> bool:
        """Tell whether requests may be started by it."""
        return time.monotonic() - self.asked_at <= HOLDS


_NOBODY_KNOWS = Known(
    stops=(), at=datetime.min.replace(tzinfo=UTC) + timedelta(days=1), asked_at=float("-inf")
)


class StopWatch:
    """The stops as this process knows them. Threads look at what one of them has found out.

    In a process that `follow`s, emergencies never wait for an answer, and others only where whoever follows
    has got none in time; elsewhere whoever looks asks, where the last answer is older than LOOK. `client`
    should give up soon.
    """

    def __init__(self, engine: sa.Engine, client: redis.Redis) -> None:
        self._engine = engine
        self._client = client
        self._keep = script(client, "stops_keep")
        self._known = _NOBODY_KNOWS
        self._asking = threading.Lock()
        self._followed = False
        self._copied: tuple[float, tuple[Stop, ...]] = (float("-inf"), ())

    def of_lane(self, priority: Priority) -> LaneStops:
        """Tell what is stopped in a lane now.

        Raises Unavailable where neither PostgreSQL nor Redis has told for a second, but for emergencies:
        they go by what was known last.
        """
        known = self._looked_at(priority)
        if not known.stops and known.is_fresh:
            return stops_of_lane((), priority, known.at)
        if not known.is_fresh and priority is not Priority.P0:
            raise Unavailable("neither PostgreSQL nor Redis tells whether sending is stopped")
        now = known.at if known is _NOBODY_KNOWS else known.now()
        return stops_of_lane(known.stops, priority, now)

    def refresh(self) -> Known:
        """Ask now; where nobody answers, what was known stays and grows older."""
        with self._asking:
            return self._ask()

    def ring(self) -> None:
        """Have all processes ask at once: stops, ways or limits were changed. A hint; they ask anyway."""
        try:
            self.refresh()
            self._client.publish(_BELL, "")
        except redis.RedisError as exc:
            log.warning("workers are not told of a change, and will ask", error=type(exc).__name__)

    def follow(
        self,
        bell: Callable[[float], bool],
        stopping: threading.Event,
        *,
        changed: Callable[[], None],
        resumed: Callable[[], None],
    ) -> None:
        """Ask again and again until told to stop, at once when `bell` rings; `bell` waits so many seconds.

        `changed` is called when it has rung, `resumed` after stops have ended, by an operator or by
        themselves.
        """
        self.refresh()
        self._followed = True
        before = self._in_force()
        try:
            while not stopping.is_set():
                rung = _rings(bell, stopping)
                # Stops first: reading the rest anew may wait for somebody who reads just now.
                self.refresh()
                if rung:
                    changed()
                after = self._in_force()
                if before - after:
                    resumed()
                before = after
        finally:
            self._followed = False

    def _looked_at(self, priority: Priority) -> Known:
        known = self._known
        age = time.monotonic() - known.asked_at
        if age <= LOOK or (self._followed and (age <= HOLDS or priority is Priority.P0)):
            return known
        if self._asking.locked() and priority is Priority.P0 and known is not _NOBODY_KNOWS:
            return known
        with self._asking:
            # Another thread may have asked while this one waited; with a slow database, each asking anew
            # would make the last one wait for all.
            was_asked = self._known is not known and self._known.is_fresh
            return self._known if was_asked else self._ask()

    def _ask(self) -> Known:
        known = self._of_postgres()
        if known is not None:
            self._known = known
            self._copy(known)
        else:
            self._known = self._of_redis() or self._known
        return self._known

    def _in_force(self) -> set[int]:
        known = self._known
        if known is _NOBODY_KNOWS:
            return set()
        now = known.now()
        return {stop.id for stop in known.stops if stop.share(now) == 0}

    def _of_postgres(self) -> Known | None:
        asked_at = time.monotonic()
        try:
            with unavailable_when_down(), self._autocommit.connect() as conn:
                rows = run(conn, PACKAGE, "known_stops", {}).all()
        except Unavailable:
            return None
        stops = tuple(_stop(row) for row in rows if row.id is not None)
        return Known(stops=stops, at=rows[0].at, asked_at=asked_at)

    @property
    def _autocommit(self) -> sa.Engine:
        return self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def _copy(self, known: Known) -> None:
        """Leave a copy for those who cannot reach PostgreSQL, where it is new or the last may be gone."""
        at, stops = self._copied
        if stops == known.stops and time.monotonic() - at < _COPY_AGAIN:
            return
        kept = _COPY_KEPT // timedelta(milliseconds=1)
        # Where it fails, the next answer is a moment away.
        with suppress(Unavailable):
            self._keep([_COPY], [known.at.timestamp(), orjson.dumps(list(map(_plain, known.stops))), kept])
        self._copied = (time.monotonic(), known.stops)

    def _of_redis(self) -> Known | None:
        asked_at = time.monotonic()
        try:
            with translated():
                found = self._client.hget(_COPY, "stops")
                seconds, micros = self._client.time()
        except Unavailable:
            return None
        if found is None:
            return None
        at = datetime.fromtimestamp(seconds + micros / 1_000_000, UTC)
        return Known(stops=tuple(map(_read, orjson.loads(found))), at=at, asked_at=asked_at)


class Bell:
    """Hears that there is something to ask for; for one thread. `client` must be one for listening."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._heard: Any = None

    def __call__(self, seconds: float) -> bool:
        """Wait so long for a ring; tells whether there was one. Raises Unavailable without Redis, at once."""
        with translated(), self._reset_on_errors():
            if self._heard is None:
                self._heard = self._client.pubsub(  # type: ignore[no-untyped-call]  # redis-py leaves this one out.
                    ignore_subscribe_messages=True
                )
                self._heard.subscribe(_BELL)
            return self._heard.get_message(timeout=seconds) is not None

    @contextmanager
    def _reset_on_errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        if self._heard is not None:
            self._heard.close()
            self._heard = None


def _rings(bell: Callable[[float], bool], stopping: threading.Event) -> bool:
    """Listen until it is time to ask again."""
    try:
        return bell(LOOK)
    except Unavailable:
        stopping.wait(LOOK)
        return False


def _stop(row: sa.Row[Any]) -> Stop:
    return Stop(
        id=row.id,
        scope=StopScope(row.scope),
        key=row.scope_key,
        includes_p0=row.includes_p0,
        begins_at=row.from_at,
        ends_at=row.ends_at,
        ramp_until=row.ramp_until,
    )


def _plain(stop: Stop) -> Sequence[object]:
    times = (stop.begins_at, stop.ends_at, stop.ramp_until)
    seconds = [None if time is None else time.timestamp() for time in times]
    return [stop.id, stop.scope.value, stop.key, stop.includes_p0, *seconds]


def _read(values: Sequence[Any]) -> Stop:
    number, scope, key, includes_p0, *seconds = values
    begins_at, ends_at, ramp_until = (
        None if second is None else datetime.fromtimestamp(second, UTC) for second in seconds
    )
    return Stop(
        id=number,
        scope=StopScope(scope),
        key=key,
        includes_p0=includes_p0,
        begins_at=begins_at or datetime.fromtimestamp(0, UTC),
        ends_at=ends_at,
        ramp_until=ramp_until,
    )
