"""Processes that say they live: one row each, rewritten every few seconds by a thread of their own."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import process_beats
from app.errors import Unavailable
from app.services.pulse import Pulse

log = structlog.get_logger(__name__)

EVERY = 5.0  # seconds
# Who is not heard of for so long is gone; a machine that was merely busy is not.
GONE_AFTER = timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(days=1)

_C = process_beats.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """What a process said of itself. `age` is since it was heard of, by the database's clock.

    `skew` is how far its clock is ahead of the database's; `still_for` how long it has got nothing done,
    None where nothing was to do.
    """

    name: str
    kind: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    threads: int
    busy: int
    version: str
    started_at: datetime
    age: timedelta
    skew: timedelta
    still_for: timedelta | None

    @property
    def alive(self) -> bool:
        """Tell whether it was heard of lately."""
        return self.age < GONE_AFTER


class Heart:
    """Beats for one process from `start` to `stop`. Made after fork.

    A database that is away is borne: the next beat tries again.
    """

    def __init__(
        self,
        engine: sa.Engine,
        pulse: Pulse,
        now: Callable[[], datetime],
        *,
        kind: str,
        lanes: Iterable[str] = (),
        threads: int = 0,
    ) -> None:
        self.threads = threads
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pulse = pulse
        self._now = now
        self._kind = kind
        self._lanes = list(lanes)
        self._started_at = now()
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._name = f"{self._host}:{self._pid}:{kind}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye: a process that ended on purpose is not missed."""
        self._ended.set()
        self._thread.join()
        try:
            with unavailable_when_down(), self._engine.connect() as conn:
                conn.execute(sa.delete(process_beats).where(_C.name == self._name))
        except (Unavailable, sa.exc.DBAPIError) as exc:
            log.debug("nobody to say goodbye to", error=str(exc))

    def beat(self) -> None:
        """Say once that the process lives, and how it gets on; raises Unavailable."""
        now, busy = self._now(), self._pulse.busy
        values = {
            "kind": self._kind,
            "host": self._host,
            "pid": self._pid,
            "lanes": self._lanes,
            "threads": self.threads,
            "busy": busy,
            "version": this_version(),
            "started_at": self._started_at,
            "clock_at": now,
            "beat_at": sa.func.clock_timestamp(),
            "progress_at": now - timedelta(seconds=self._pulse.still_for) if busy else None,
        }
        statement = insert(process_beats).values(name=self._name, **values)
        with unavailable_when_down(), self._engine.connect() as conn:
            conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except Unavailable as exc:
                log.debug("beat lost", error=str(exc))
            except Exception:
                # The edge of a thread: a heart that stops would make a healthy process look dead.
                log.exception("beat failed")
            if self._ended.wait(EVERY):
                return


def read_beats(conn: sa.Connection) -> tuple[Beat, ...]:
    """List all processes heard of within a day, dead ones too, by host and kind."""
    now = sa.func.clock_timestamp()
    query = (
        sa.select(
            process_beats,
            (now - _C.beat_at).label("age"),
            (_C.clock_at - _C.beat_at).label("skew"),
            (_C.clock_at - _C.progress_at).label("still_for"),
        )
        .where(_C.beat_at > now - FORGOTTEN_AFTER)
        .order_by(_C.host, _C.kind, _C.pid)
    )
    return tuple(_beat(row) for row in conn.execute(query))


def forget_the_gone(conn: sa.Connection) -> int:
    """Remove what is known of processes that were not heard of for a day; gives how many."""
    old = _C.beat_at < sa.func.now() - FORGOTTEN_AFTER
    return conn.execute(sa.delete(process_beats).where(old)).rowcount


def this_version() -> str:
    """Tell this program's version, as it is installed."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


def _beat(row: sa.Row[tuple[object, ...]]) -> Beat:
    names = (
        "name", "kind", "host", "pid", "threads", "busy", "version", "started_at", "age", "skew", "still_for"
    )  # fmt: skip
    return Beat(lanes=tuple(row.lanes), **{name: getattr(row, name) for name in names})
