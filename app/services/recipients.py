"""What is kept about one address: given out whole, or erased."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import device_tokens, inbound_messages, message_queue, sequence_steps, suppression_list
from app.domain import emails, phone_numbers
from app.domain.addresses import ERASED
from app.domain.callers import SCOPES, Caller
from app.domain.vocabulary import Channel, Status
from app.errors import Invalid, NotFound
from app.queue import PACKAGE
from app.services.audit import Who, record
from app.services.reading import read

AT_A_TIME = 500
_MARK = 6  # hexadecimal digits

_M = message_queue.c
_ANYBODY = Caller(client_id=0, name="", scopes=frozenset(SCOPES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """What was erased. `name` stands where the address stood: a hash whose salt is thrown away.

    `in_flight` are messages that a worker had at the moment: they are erased when this is asked for again.
    """

    name: str
    messages: int
    cancelled: int
    in_flight: int
    inbound: int
    webhooks: int
    devices: int
    sequences: int
    suppressions_kept: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Address:
    """An address in all forms under which it may be kept."""

    spellings: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(spelling.lower() for spelling in self.spellings))


class RecipientService:
    """Export and erasure by address. Each call raises Unavailable where PostgreSQL is down.

    Suppressions are kept as they are: they hold what the person, or the law, asked of us, and only who
    knows the address can go by them.
    """

    def __init__(self, engine: sa.Engine, *, phone_region: str | None = None) -> None:
        self._engine = engine
        self._phone_region = phone_region

    def export(self, who: Who, address: str) -> Iterator[bytes]:
        """Give all that is kept about an address, as NDJSON; each line says by `kind` what it is.

        Raises NotFound where nothing is. That it was given out is kept in the audit log.
        """
        meant = self._meant(address)
        with unavailable_when_down(), self._engine.begin() as conn:
            if not _any(conn, meant):
                raise NotFound("nothing is kept about this address")
            record(conn, who, "recipient.export", f"recipient:{_mark(meant)}")
        return self._lines(meant)

    def erase(self, who: Who, address: str, *, why: str, source: str = "api") -> Erased:
        """Erase an address wherever it stands, and what was said to it and by it; raises NotFound.

        What waits to be sent there is cancelled. Rows and counts stay. Asked for again, it takes what has
        come since.
        """
        if not why.strip():
            raise Invalid.of("why", "is missing: say why, for the audit log")
        meant = self._meant(address)
        parameters = {
            "name": f"{ERASED}{_salted(meant)}",
            "keys": list(meant.keys),
            "spellings": list(meant.spellings),
            "source": source,
            "limit": AT_A_TIME,
        }
        with unavailable_when_down(), self._engine.begin() as conn:
            if not _any(conn, meant):
                raise NotFound("nothing is kept about this address")
            traces = run(conn, PACKAGE, "erase_traces", parameters).one()
        messages, cancelled, letters = self._erase_messages(parameters)
        with unavailable_when_down(), self._engine.begin() as conn:
            erased = Erased(
                name=str(parameters["name"]),
                messages=messages,
                cancelled=cancelled,
                in_flight=_count(conn, sa.select(_M.id).where(*_to(meant), _M.status == Status.PROCESSING)),
                inbound=traces.inbound,
                webhooks=traces.letters + letters,
                devices=traces.devices,
                sequences=traces.sequences,
                suppressions_kept=_count(conn, _suppressions(meant)),
            )
            after = {name: getattr(erased, name) for name in Erased.__slots__ if name != "name"}
            record(conn, who, "recipient.erase", f"recipient:{erased.name}", after=after, why=why)
        return erased

    def _erase_messages(self, parameters: dict[str, Any]) -> tuple[int, int, int]:
        """Erase a few messages at a time, each lot committed by itself."""
        messages = cancelled = letters = 0
        while True:
            with unavailable_when_down(), self._engine.begin() as conn:
                row = run(conn, PACKAGE, "erase_messages", parameters).one()
            messages, cancelled, letters = (
                messages + row.erased,
                cancelled + row.cancelled,
                letters + row.letters,
            )
            if not row.erased:
                return messages, cancelled, letters

    def _lines(self, meant: _Address) -> Iterator[bytes]:
        yield from self._messages(meant)
        for kind, query in _QUERIES.items():
            with unavailable_when_down(), self._engine.connect() as conn:
                rows = conn.execute(query(meant)).mappings().all()
            for row in rows:
                yield _line(kind, dict(row))

    def _messages(self, meant: _Address) -> Iterator[bytes]:
        after = 0
        while True:
            query = sa.select(_M.id, _M.uuid).where(*_to(meant), _M.id > after).order_by(_M.id)
            with unavailable_when_down(), self._engine.connect() as conn:
                rows = conn.execute(query.limit(AT_A_TIME)).all()
                for row in rows:
                    yield _line("message", read(conn, _ANYBODY, row.uuid))
            if not rows:
                return
            after = rows[-1].id

    def _meant(self, address: str) -> _Address:
        written = address.strip()
        if not written:
            raise Invalid.of("address", "is missing")
        spellings = [written]
        for canonical in (emails.canonical, self._number):
            try:
                spellings.append(canonical(written))
            except Invalid:
                continue
        return _Address(spellings=tuple(dict.fromkeys(spellings)))

    def _number(self, written: str) -> str:
        return phone_numbers.canonical(written, self._phone_region)


def _to(meant: _Address) -> tuple[sa.ColumnElement[bool], ...]:
    exact = sa.or_(_M.channel != Channel.PUSH, _M.recipient_address.in_(meant.spellings))
    return sa.func.lower(_M.recipient_address).in_(meant.keys), exact


def _suppressions(meant: _Address) -> sa.Select[Any]:
    table = suppression_list.c
    channels = [*(channel.value for channel in Channel), "all"]
    addresses = {*meant.keys, *meant.spellings}
    return sa.select(suppression_list).where(table.channel.in_(channels), table.address.in_(addresses))


def _inbound(meant: _Address) -> sa.Select[Any]:
    return sa.select(inbound_messages).where(inbound_messages.c.sender_address.in_(meant.spellings))


def _devices(meant: _Address) -> sa.Select[Any]:
    return sa.select(device_tokens).where(device_tokens.c.token.in_(meant.spellings))


def _steps(meant: _Address) -> sa.Select[Any]:
    table = sequence_steps.c
    address = sa.func.lower(table.request["recipient_address"].astext)
    return sa.select(sequence_steps).where(table.state == "waiting", address.in_(meant.keys))


_QUERIES: dict[str, Callable[[_Address], sa.Select[Any]]] = {
    "suppression": _suppressions,
    "inbound": _inbound,
    "device": _devices,
    "sequence_step": _steps,
}


def _any(conn: sa.Connection, meant: _Address) -> bool:
    queries = (sa.select(_M.id).where(*_to(meant)), *(query(meant) for query in _QUERIES.values()))
    return any(conn.scalar(sa.select(sa.exists(query))) for query in queries)


def _count(conn: sa.Connection, query: sa.Select[Any]) -> int:
    return conn.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def _salted(meant: _Address) -> str:
    """Hash an address with a salt that nobody keeps: equal rows stay equal, and nobody can try addresses."""
    return hmac.digest(secrets.token_bytes(32), meant.keys[0].encode(), "sha256").hex()[:32]


def _mark(meant: _Address) -> str:
    """Name an address so that who knows it finds the entry; millions share each mark."""
    return hashlib.sha256(meant.keys[-1].encode()).hexdigest()[:_MARK]


def _line(kind: str, value: Any) -> bytes:
    told = value if isinstance(value, dict) else {name: getattr(value, name) for name in value.__slots__}
    return orjson.dumps({"kind": kind, **{str(name): _plain(each) for name, each in told.items()}}) + b"\n"


def _plain(value: Any) -> Any:
    return value.total_seconds() if hasattr(value, "total_seconds") else value
