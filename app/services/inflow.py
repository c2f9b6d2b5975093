"""A bulk request's rows: checked one by one, stored some thousands at a time."""

import time
from collections.abc import Iterable
from hashlib import blake2b

import sqlalchemy as sa

from app.domain.addresses import suppression_key
from app.errors import Fault, Invalid
from app.services.field_rules import id_faults, name_faults, storable
from app.services.planning import Plan, address_of, variable_faults
from app.services.requests import BulkHead, Reject, Row
from app.services.staging import Staged, store

# Rows committed at once, and the longest they wait for that: well below the lease.
CHUNK = 5_000
_LONGEST_WAIT = 10.0  # seconds

_LONGEST_DATA = 32 * 1024
_LONGEST_REASON = 500


class RowCheck:
    """Decides about one row: ready for staging, or refused."""

    def __init__(self, head: BulkHead, plan: Plan, region: str | None) -> None:
        self._head = head
        self._plan = plan
        self._region = region
        self._has_variables = plan.template is not None and bool(plan.template.variables)

    def __call__(self, row: Row) -> Staged | Reject:
        """Check a row and bring its address into canonical form."""
        try:
            address = address_of(self._head, row.address, self._region)
            data = storable(row.data, _LONGEST_DATA) if row.data else None
        except Invalid as exc:
            return _reject(row.line, [Fault("address", fault.message) for fault in exc.faults])
        except ValueError as exc:
            return _reject(row.line, [Fault("data", str(exc))])
        found = self._faults(row)
        if found:
            return _reject(row.line, found)
        return Staged(
            line=row.line,
            address=address,
            address_hash=_hash(suppression_key(self._head.channel, address)),
            recipient_type=row.type,
            recipient_id=row.id,
            data=data,
        )

    def _faults(self, row: Row) -> list[Fault]:
        found: list[Fault] = []
        if row.type is not None:
            found += name_faults("type", row.type)
        if row.id is not None:
            found += id_faults("id", row.id)
        if self._has_variables:
            found += variable_faults(self._plan, {**self._head.shared_data, **(row.data or {})})
        return found


class Inflow:
    """Streams rows into staging. `received` counts all, `invalid` the refused."""

    def __init__(self, engine: sa.Engine, batch: int, check: RowCheck) -> None:
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
        for row in rows:
            self.last_line = row.line
            checked = self._check(row) if isinstance(row, Row) else row
            if isinstance(checked, Staged):
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


def _hash(key: str) -> int:
    """Shorten an address to 64 bits for the index; equal hashes are compared in full later."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)
