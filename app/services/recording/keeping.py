"""Keeping webhooks before they are answered: those that come at once are written together."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.db.arrays import texts
from app.db.engine import bare, unavailable_when_down
from app.db.sql import run_bare
from app.errors import Unavailable
from app.queue import PACKAGE

# A round takes no more than this, so that what it costs stays small beside what it saves.
MOST_TOGETHER = 64
MOST_BYTES = 4 * 1024 * 1024
# Where several come at once, as many are about to come again: a round waits so long for them, and for no more
# than these. Whoever tells us waits for seconds; one who comes alone waits for nobody.
GATHERED_FOR = 0.002  # seconds
MANY = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One proven request; `headers` are JSON."""

    gateway: str
    request_id: str
    url: str
    headers: str
    body: bytes


class _Waiting:
    """A letter, and the thread that waits for it: until it is dealt with, or has to write the next round."""

    def __init__(self, letter: Letter) -> None:
        self.letter = letter
        self.dealt_with = False
        # Until it is known to be safe it is not, whatever happens to the thread that writes it.
        self.error: Exception | None = Unavailable("the webhook was not kept")
        self.turn = threading.Lock()
        self.turn.acquire()


class Keeper:
    """Writes letters of many threads with one statement and one commit.

    A commit costs far more than a row. The first to come writes at once; those who come meanwhile wait,
    and then one of them writes for all.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._writing = False
        self._expected = 1
        self._complete = threading.Event()

    def keep(self, letter: Letter) -> None:
        """Return once the letter is committed; raises Unavailable where the database is not there."""
        own = _Waiting(letter)
        with self._lock:
            self._waiting.append(own)
            if len(self._waiting) >= self._expected:
                self._complete.set()
            others_write, self._writing = self._writing, True
        if others_write:
            own.turn.acquire()
        if not own.dealt_with:
            self._write_round()
        if own.error is not None:
            raise own.error

    def _write_round(self) -> None:
        """Write what waits by now, the own letter first, and leave the rest to who waits longest."""
        self._complete.wait(GATHERED_FOR)
        with self._lock:
            together = _together(self._waiting)
            del self._waiting[: len(together)]
        try:
            self._write_all(together)
        finally:
            for each in together:
                each.dealt_with = True
                each.turn.release()
            with self._lock:
                self._writing = bool(self._waiting)
                self._expected = min(len(together) + len(self._waiting), MANY)
                if len(self._waiting) < self._expected:
                    self._complete.clear()
                if self._waiting:
                    self._waiting[0].turn.release()

    def _write_all(self, together: Sequence[_Waiting]) -> None:
        error = self._error_of(together)
        if error is None or len(together) == 1 or isinstance(error, Unavailable):
            for each in together:
                each.error = error
        else:
            # One of them cannot be written, and keeps none of the others back.
            for each in together:
                each.error = self._error_of([each])

    def _error_of(self, together: Sequence[_Waiting]) -> Exception | None:
        """Write letters in one transaction; give what kept them from being written."""
        try:
            with unavailable_when_down(), bare(self._engine) as conn:
                run_bare(conn, PACKAGE, "keep_webhooks", _columns([each.letter for each in together]))
        except Exception as exc:  # noqa: BLE001 — it is raised again, in each thread that waits for this.
            return exc
        return None


def _together(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """Choose what one round takes from the front: at least one letter, not too many, not too much."""
    size, together = 0, list[_Waiting]()
    for each in waiting[:MOST_TOGETHER]:
        size += len(each.letter.body)
        if together and size > MOST_BYTES:
            break
        together.append(each)
    return together


def _columns(letters: Sequence[Letter]) -> dict[str, Any]:
    return {
        "gateways": texts(letter.gateway for letter in letters),
        "request_ids": texts(letter.request_id for letter in letters),
        "urls": texts(letter.url for letter in letters),
        "headers": texts(letter.headers for letter in letters),
        "bodies": [letter.body for letter in letters],
    }
