"""The ledger: which messages of a claim were started, and what the gateway said, for whoever comes after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import orjson
import redis

from app.db.redis import translated
from app.errors import ClaimClosed
from app.limits.scripts import script


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What an entry says: `answers` by message, and who was `started` and has no answer.

    The entry was opened, so every other message of the claim was not started.
    """

    started: frozenset[int]
    answers: dict[int, str]


class Ledger:
    """All claims' entries. Every method is one round trip and may raise Unavailable.

    `ttl` is how long an entry lives after it was opened or closed: longer than a claim can live and
    an outage last together.
    """

    def __init__(self, client: redis.Redis, *, ttl: timedelta) -> None:
        self._client = client
        self._ttl = ttl // timedelta(milliseconds=1)
        self._write = script(client, "ledger_write")
        self._close = script(client, "ledger_close")

    def claim(self, claim: UUID, still_ours: Callable[[], bool] | None = None) -> "ClaimLedger":
        """Open the entry; raises ClaimClosed where it is closed or another worker has opened it.

        To be done before PostgreSQL says that the claim is being sent: what is being sent without an
        entry counts as lost. `still_ours` asks PostgreSQL about the claim before a lost entry is
        written again, since what was lost may have been its closing. Without it only the lease keeps
        a worker that slept from starting messages that were released meanwhile.
        """
        return ClaimLedger(partial(self._append, _key(claim), uuid4().hex), still_ours or _believed)

    def close(self, claim: UUID) -> Reading | None:
        """Close the entry for ever, also a missing one, and read it; None where it was lost.

        To be done after PostgreSQL has closed the claim. Asked again, it tells the same.
        """
        lines = self._close([_key(claim)], [self._ttl])
        return None if lines is None else _read(lines)

    def forget(self, claim: UUID) -> None:
        """Remove the entry, once every message of the claim is settled in PostgreSQL."""
        with translated():
            self._client.delete(_key(claim))

    def _append(self, key: str, owner: str, writing: int, mode: str, lines: bytes) -> str:
        return str(self._write([key], [owner, f"{writing:08}", mode, lines, self._ttl]))


class ClaimLedger:
    """One claim's entry in the hands of the worker that sends it; for one thread.

    It remembers all it has written, so that it can write it again after Redis was lost.
    """

    def __init__(self, append: Callable[[int, str, bytes], str], still_ours: Callable[[], bool]) -> None:
        self._append = append
        self._still_ours = still_ours
        self._started: set[int] = set()
        self._unwritten: dict[int, str] = {}
        self._lines: list[bytes] = []
        self._writing = 0
        self._write_whole(b"")

    def advance(self, answers: Mapping[int, str], starts: Sequence[int]) -> list[int]:
        """Write answers down and mark messages as started; returns those that may start now.

        A message starts once in a claim, however often it is asked for. Raises ClaimClosed where the
        claim was released. After Unavailable nothing may start; the answers are kept for the next call.
        """
        new = [message for message in dict.fromkeys(starts) if message not in self._started]
        self._unwritten.update(answers)
        if new or self._unwritten:
            line = orjson.dumps([new, self._unwritten], option=orjson.OPT_NON_STR_KEYS) + b"\n"
            self._write(line)
            self._lines.append(line)
            self._started.update(new)
            self._unwritten.clear()
        return new

    def _write(self, line: bytes) -> None:
        found = self._append(self._writing, "lines", line)
        if found == "closed":
            raise ClaimClosed("The claim was released while it was being sent")
        if found == "lost":
            if not self._still_ours():
                raise ClaimClosed("The claim was released, and the ledger lost, while it was being sent")
            self._write_whole(line)

    def _write_whole(self, line: bytes) -> None:
        # Counted before the call: one that seems to have failed may still be carried out, and late.
        self._writing += 1
        if self._append(self._writing, "whole", b"".join([*self._lines, line])) == "closed":
            raise ClaimClosed("The claim was released, or is another worker's")


def _believed() -> bool:
    return True


def _key(claim: UUID) -> str:
    return f"ledger:{{{claim}}}"


def _read(lines: str) -> Reading:
    started: set[int] = set()
    answers: dict[int, str] = {}
    for line in lines.split("\n")[:-1]:
        starts, said = orjson.loads(line)
        started.update(starts)
        answers.update({int(message): answer for message, answer in said.items()})
    return Reading(started=frozenset(started - answers.keys()), answers=answers)
