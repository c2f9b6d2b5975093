"""A bulk request's rows: checked one by one, stored some thousands at a time."""

import time
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from app.domain.addresses import suppression_key
from app.errors import Fault, Invalid
from app.services.field_rules import LARGEST_ID, id_faults, name_faults, storable
from app.services.headroom import Headroom
from app.services.planning import Plan, address_of, variable_faults
from app.services.requests import BulkHead, Reject, Row
from app.services.staging import Staged, store
from app.services.way import Way

# Rows committed at once, and the longest they wait for that: well below the lease.
CHUNK = 5_000
_LONGEST_WAIT = 10.0  # seconds

# Some milliseconds of work.
_UNBROKEN = 250  # rows

_LONGEST_DATA = 32 * 1024
_LONGEST_REASON = 500
_MOST_TYPES = 100


class RowCheck:
    """Decides about one row: ready for staging, or refused."""

    def __init__(self, head: BulkHead, plan: Plan, region: str | None) -> None:
        self._head = head
        self._plan = plan
        self._region = region
        self._has_variables = plan.template is not None and bool(plan.template.variables)
        # Good ones seen: there are few kinds of recipients, and a look here is cheaper than a check.
        self._types: set[str | None] = {None}

    def __call__(self, row: Row) -> Staged | Reject:
        """Check a row and bring its address into canonical form."""
        line, address, number, kind, data = row
        try:
            address = address_of(self._head, address, self._region)
            text = storable(data, _LONGEST_DATA) if data else None
        except Invalid as exc:
            return _reject(line, [Fault("address", fault.message) for fault in exc.faults])
        except ValueError as exc:
            return _reject(line, [Fault("data", str(exc))])
        found = self._faults(number, kind, data)
        if found:
            return _reject(line, found)
        # Compared within this one upload only, so Python's own hash of this process will do.
        return Staged(line, address, hash(suppression_key(self._head.channel, address)), kind, number, text)

    def _faults(self, number: int | None, kind: str | None, data: dict[str, Any] | None) -> list[Fault]:
        found: list[Fault] = []
        if kind not in self._types:
            found += name_faults("type", kind)
            if not found and len(self._types) < _MOST_TYPES:
                self._types.add(kind)
        if number is not None and not 0 <= number <= LARGEST_ID:
            found += id_faults("id", number)
        if self._has_variables:
            shared = self._head.shared_data
            found += variable_faults(self._plan, {**shared, **data} if shared and data else data or shared)
        return found


class Inflow:
    """Streams rows into staging. `received` counts all, `invalid` the refused.

    With a `way`, it lets emergencies through first. `headroom` counts what is to be sent.
    """

    def __init__(
        self, engine: sa.Engine, batch: int, check: RowCheck, headroom: Headroom, way: Way | None
    ) -> None:
        self._way = way
        self.headroom = headroom
        self._engine = engine
        self._batch = batch
        self._check = check
        self._staged: list[Staged] = []
        self._rejects: list[Reject] = []
        self._stored_at = time.monotonic()
        self.received = 0
        self.invalid = 0
        self.last_line = 0

    def take(self, rows: Iterable[Row | Reject]) -> None:
        """Store all rows; raises what `rows` raises, and Conflict where the lease was lost."""
        began = time.monotonic()
        for number, row in enumerate(rows):
            if self._way is not None and number % _UNBROKEN == 0:
                self._way.go_slowly(time.monotonic() - began)
                began = time.monotonic()
            self.last_line = row.line
            checked = self._check(row) if isinstance(row, Row) else row
            if isinstance(checked, Staged):
                self.headroom.count(checked.address)
                self._staged.append(checked)
            else:
                self._rejects.append(checked)
            if len(self._staged) + len(self._rejects) >= CHUNK or self._waited_long():
                self._store()
        self._store()

    def _waited_long(self) -> bool:
        return time.monotonic() - self._stored_at > _LONGEST_WAIT

    def _store(self) -> None:
        staged, rejects = self._staged, self._rejects
        store(self._engine, self._batch, staged, rejects)
        self._stored_at = time.monotonic()
        self.received += len(staged) + len(rejects)
        self.invalid += len(rejects)
        staged.clear()
        rejects.clear()


def _reject(line: int, found: list[Fault]) -> Reject:
    return Reject(line, "; ".join(f"{fault.field}: {fault.message}" for fault in found)[:_LONGEST_REASON])
