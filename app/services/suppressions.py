"""The suppression list: whom not to contact."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import suppression_list
from app.domain.addresses import masked
from app.domain.vocabulary import Channel, SuppressionReason
from app.errors import Invalid, NotFound
from app.queue import PACKAGE
from app.services import paging
from app.services.audit import Who, record
from app.services.requests import Reject
from app.services.suppression_drafts import (
    SuppressionChannel,
    SuppressionDraft,
    checked,
    compared,
    csv_drafts,
    ndjson_drafts,
)
from app.services.views import Page

__all__ = ["Imported", "SuppressionChannel", "SuppressionDraft", "SuppressionService", "SuppressionView"]

MOST = 200
MOST_REJECTS = 100

_CHUNK = 5_000
_C = suppression_list.c
_SHOWN = (
    "id", "channel", "address", "source", "community_id", "category", "sender", "note", "created_at",
    "expires_at",
)  # fmt: skip
_EXPORTED = (
    "channel", "address", "reason", "community_id", "category", "sender", "note", "expires_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionView:
    """One row of the list; `address` is in the form that is compared."""

    id: int
    channel: str
    address: str
    reason: SuppressionReason
    source: str
    community_id: int | None
    category: str | None
    sender: str | None
    note: str | None
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import came to; `rejects` are the first hundred refused lines."""

    received: int
    added: int
    known: int
    invalid: int
    rejects: tuple[Reject, ...]


_MARK = 6  # hexadecimal digits


class SuppressionService:
    """Reading and changing the suppression list; each change lands in the audit log.

    Each call raises Unavailable where PostgreSQL is down.
    """

    def __init__(self, engine: sa.Engine, *, phone_region: str | None = None) -> None:
        self._engine = engine
        self._phone_region = phone_region

    def add(
        self, who: Who, draft: SuppressionDraft, *, source: str = "api", why: str | None = None
    ) -> tuple[SuppressionView, bool]:
        """Suppress an address; tells too whether the row is new. Raises Invalid.

        A row of the same scope and reason is kept, with the later of both expiries.
        """
        good = checked(draft, self._phone_region)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _suppress(conn, [good], source)[0]
            record(conn, who, "suppression.add", f"suppression:{row.id}", after=_for_audit(row), why=why)
        return _view(row), row.is_new

    def get(self, suppression_id: int) -> SuppressionView:
        """Give one row; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(sa.select(suppression_list).where(_C.id == suppression_id)).one_or_none()
        if row is None:
            raise NotFound("there is no such suppression")
        return _view(row)

    def search(
        self,
        *,
        channel: str | None = None,
        address: str | None = None,
        reason: SuppressionReason | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[SuppressionView]:
        """List rows, newest first; an address is compared in the form that is kept."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = sa.select(suppression_list).order_by(_C.id.desc()).limit(limit + 1)
        if channel is not None:
            query = query.where(_C.channel == channel)
        if address is not None:
            query = query.where(_C.address.in_(self._spellings(channel, address)))
            # The index on addresses is led by the channel.
            query = query if channel else query.where(_C.channel.in_([*Channel, "all"]))
        if reason is not None:
            query = query.where(_C.reason == reason)
        if before:
            query = query.where(_C.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query).all()
        return paging.page(rows, limit, _view)

    def release(self, who: Who, suppression_id: int, *, why: str) -> SuppressionView:
        """Remove a row, which the audit log keeps; raises NotFound, and Invalid without a reason."""
        if not why.strip():
            raise Invalid.of("why", "is missing: say why this address may be contacted again")
        statement = sa.delete(suppression_list).where(_C.id == suppression_id).returning(*_C)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = conn.execute(statement).one_or_none()
            if row is None:
                raise NotFound("there is no such suppression")
            target = f"suppression:{row.id}"
            record(conn, who, "suppression.release", target, before=_for_audit(row), why=why)
        return _view(row)

    def import_ndjson(self, who: Who, chunks: Iterable[bytes], *, why: str | None = None) -> Imported:
        """Add one draft a line, with the field names of SuppressionDraft; bad lines stop nothing.

        What was read is kept where the stream breaks; the same import again does no harm.
        """
        return self._import(who, ndjson_drafts(chunks), why)

    def import_csv(self, who: Who, chunks: Iterable[bytes], *, why: str | None = None) -> Imported:
        """Add one draft a row; columns are named like the fields of SuppressionDraft."""
        return self._import(who, csv_drafts(chunks), why)

    def export(self) -> Iterator[bytes]:
        """Give the whole list as NDJSON, streamed, in the form that `import_ndjson` reads."""
        after = 0
        while True:
            query = sa.select(suppression_list).where(_C.id > after).order_by(_C.id).limit(_CHUNK)
            with unavailable_when_down(), self._engine.connect() as conn:
                rows = conn.execute(query).all()
            if not rows:
                return
            yield b"".join(orjson.dumps(_exported(row)) + b"\n" for row in rows)
            after = rows[-1].id

    def _spellings(self, channel: str | None, address: str) -> list[str]:
        written = address.strip()
        try:
            return [written, compared("push" if channel == "push" else "all", written, self._phone_region)]
        except Invalid:
            # A token searched without its channel is no address, and stands in the list as it is.
            return [written]

    def _import(
        self, who: Who, drafts: Iterator[tuple[int, SuppressionDraft | Reject]], why: str | None
    ) -> Imported:
        received = added = known = 0
        rejects: list[Reject] = []
        invalid = 0
        while some := list(islice(drafts, _CHUNK)):
            good, bad = self._sorted(some)
            new = self._add_many(who, good, why)
            received += len(some)
            added += new
            known += len(good) - new
            invalid += len(bad)
            rejects += bad[: MOST_REJECTS - len(rejects)]
        return Imported(received=received, added=added, known=known, invalid=invalid, rejects=tuple(rejects))

    def _sorted(
        self, some: Sequence[tuple[int, SuppressionDraft | Reject]]
    ) -> tuple[list[SuppressionDraft], list[Reject]]:
        good: list[SuppressionDraft] = []
        bad: list[Reject] = []
        for line, draft in some:
            if isinstance(draft, Reject):
                bad.append(draft)
                continue
            try:
                good.append(checked(draft, self._phone_region))
            except Invalid as exc:
                bad.append(Reject(line, str(exc)))
        return good, bad

    def _add_many(self, who: Who, drafts: Sequence[SuppressionDraft], why: str | None) -> int:
        if not drafts:
            return 0
        with unavailable_when_down(), self._engine.begin() as conn:
            rows = _suppress(conn, drafts, "import")
            new = [row for row in rows if row.is_new]
            after = {"added": len(new), "first": new[0].id if new else None}
            record(conn, who, "suppression.import", "suppressions", after=after, why=why)
        return len(new)


def _suppress(conn: sa.Connection, drafts: Sequence[SuppressionDraft], source: str) -> Sequence[sa.Row[Any]]:
    parameters = {
        "source": source,
        "channels": [draft.channel for draft in drafts],
        "addresses": [draft.address for draft in drafts],
        "reasons": [draft.reason.value for draft in drafts],
        "communities": [draft.community_id for draft in drafts],
        "categories": [draft.category for draft in drafts],
        "senders": [draft.sender for draft in drafts],
        "notes": [draft.note for draft in drafts],
        "expiries": [draft.expires_at for draft in drafts],
    }
    return run(conn, PACKAGE, "suppress_many", parameters).all()


def _view(row: sa.Row[Any]) -> SuppressionView:
    return SuppressionView(
        **{name: getattr(row, name) for name in _SHOWN}, reason=SuppressionReason(row.reason)
    )


def _for_audit(row: sa.Row[Any]) -> dict[str, Any]:
    """Say what a row was without its address, which must be erasable: the log never is.

    `mark` is by what a release is found again. Millions of addresses share each, so it tells nobody's.
    """
    kind = Channel.EMAIL if "@" in row.address else Channel.SMS
    scope = {"community_id": row.community_id, "category": row.category, "sender": row.sender}
    return {
        "channel": row.channel,
        "address": masked(kind, row.address),
        "mark": hashlib.sha256(row.address.encode()).hexdigest()[:_MARK],
        "reason": row.reason,
        "source": row.source,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        **{name: value for name, value in scope.items() if value is not None},
    }


def _exported(row: sa.Row[Any]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _EXPORTED}
    return {name: value for name, value in values.items() if value is not None}
