"""What the simulated gateways took, counted exactly and kept compactly: some 80 bytes a message."""

import os
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from app.simulator.exchange import Acceptance
from app.simulator.recipients import Fate

_FATES = tuple(Fate)
_NO_UUID = bytes(16)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One message that a gateway took. `uuid` and `attempt` are None where the tag is not Tocsin's."""

    serial: int
    tag: str
    uuid: UUID | None
    priority: str | None
    attempt: int | None
    gateway: str
    fate: Fate
    address: str
    received_at: datetime


class Register:
    """All acceptances in the order they came, in columns; one thread writes it.

    With a journal each acceptance is in that file before the gateway answers, so that a simulator
    started again, even after kill -9, still knows it.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._empty()
        self._gateways: list[str] = []
        self._journal: int | None = None
        if journal is not None:
            self._read(journal)
            self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __len__(self) -> int:
        return len(self._serials)

    def add(self, acceptance: Acceptance, gateway: str, now: datetime) -> None:
        """Record one acceptance; serials come in growing order."""
        self._append(
            serial=acceptance.serial,
            tag=acceptance.tag,
            address=acceptance.address,
            fate=acceptance.fate,
            gateway=gateway,
            at=now.timestamp(),
        )
        if self._journal is not None:
            os.write(self._journal, _line(acceptance, gateway, now))

    def turned_away(self, gateway: str, outcome: str) -> None:
        """Count a request of which nothing was taken."""
        self._refused[gateway][str(outcome)] += 1

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Tell, by gateway, how many messages were taken by fate and how many requests were not by reason."""
        names = {*self._accepted, *self._refused}
        return {
            name: {"accepted": dict(self._accepted[name]), "refused": dict(self._refused[name])}
            for name in sorted(names)
        }

    def find(self, uuid: UUID) -> list[Entry]:
        """Give every acceptance of one message."""
        return [self._entry(row) for row in self._rows_of(uuid.bytes)]

    def by_serial(self, serial: int) -> Entry | None:
        row = bisect_left(self._serials, serial)
        return self._entry(row) if row < len(self) and self._serials[row] == serial else None

    def entries(self, start: int, stop: int) -> Iterator[Entry]:
        """Give the acceptances of these rows, as far as there are so many."""
        return (self._entry(row) for row in range(start, min(stop, len(self))))

    def clear(self) -> None:
        """Forget everything, the journal included."""
        self._empty()
        if self._journal is not None:
            os.ftruncate(self._journal, 0)

    def close(self) -> None:
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def _empty(self) -> None:
        self._serials = array("q")
        self._times = array("d")
        self._attempts = array("I")
        self._ends = array("Q", [0])
        self._uuids = bytearray()
        self._priorities = bytearray()
        self._gateway_of = bytearray()
        self._fates = bytearray()
        self._addresses = bytearray()
        self._foreign: dict[int, str] = {}
        self._accepted: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._refused: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def _append(self, *, serial: int, tag: str, address: str, fate: Fate, gateway: str, at: float) -> None:
        parsed = _parse(tag)
        if parsed is None:
            self._foreign[len(self)] = tag
        uuid, priority, attempt = parsed or (_NO_UUID, 0, 0)
        if gateway not in self._gateways:
            self._gateways.append(gateway)
        self._uuids += uuid
        self._priorities.append(priority)
        self._attempts.append(attempt)
        self._times.append(at)
        self._gateway_of.append(self._gateways.index(gateway))
        self._fates.append(_FATES.index(fate))
        self._addresses += address.encode()
        self._ends.append(len(self._addresses))
        self._serials.append(serial)
        self._accepted[gateway][fate.value] += 1

    def _entry(self, row: int) -> Entry:
        foreign = self._foreign.get(row)
        uuid = UUID(bytes=bytes(self._uuids[row * 16 : row * 16 + 16]))
        priority, attempt = f"P{self._priorities[row]}", self._attempts[row]
        return Entry(
            serial=self._serials[row],
            tag=f"{uuid}_{priority}_{attempt}" if foreign is None else foreign,
            uuid=uuid if foreign is None else None,
            priority=priority if foreign is None else None,
            attempt=attempt if foreign is None else None,
            gateway=self._gateways[self._gateway_of[row]],
            fate=_FATES[self._fates[row]],
            address=self._addresses[self._ends[row] : self._ends[row + 1]].decode(),
            received_at=datetime.fromtimestamp(self._times[row], UTC),
        )

    def _rows_of(self, uuid: bytes) -> Iterator[int]:
        at = self._uuids.find(uuid)
        while at >= 0:
            if at % 16 == 0:
                yield at // 16
            at = self._uuids.find(uuid, at + 1)

    def _read(self, journal: Path) -> None:
        """Take over what an earlier run wrote; a last line that was cut short was never answered."""
        if not journal.exists():
            return
        whole = 0
        with journal.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                kept = orjson.loads(line)
                at = datetime.fromisoformat(kept.pop("received_at")).timestamp()
                self._append(at=at, fate=Fate(kept.pop("fate")), **kept)
        os.truncate(journal, whole)


def _parse(tag: str) -> tuple[bytes, int, int] | None:
    """Read "<uuid>_P<0-4>_<attempt>"; None for a tag that somebody else wrote."""
    uuid, _, rest = tag.partition("_")
    priority, _, attempt = rest.partition("_")
    if len(uuid) != 36 or priority not in _PRIORITIES or not attempt.isdecimal():  # noqa: PLR2004 - a UUID
        return None
    try:
        return bytes.fromhex(uuid.replace("-", "")), int(priority[1]), int(attempt)
    except ValueError:
        return None


_PRIORITIES = frozenset({"P0", "P1", "P2", "P3", "P4"})


def _line(acceptance: Acceptance, gateway: str, now: datetime) -> bytes:
    return orjson.dumps(
        {
            "serial": acceptance.serial,
            "tag": acceptance.tag,
            "gateway": gateway,
            "fate": acceptance.fate,
            "received_at": now,
            "address": acceptance.address,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
