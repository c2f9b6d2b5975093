"""One process that accepts, and what callers ask of it."""

from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from app.domain.callers import SCOPES, Caller
from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.audit import Who
from app.services.catalog import Catalog
from app.services.expansion import expand
from app.services.messages import MessageService
from app.services.requests import BulkHead, SendRequest
from app.settings import Settings

WHO = Who(actor="test")


@dataclass
class RecordedWakes:
    """Writes down whom it was asked to wake."""

    lanes: list[tuple[Priority, bool]] = field(default_factory=list)
    batches: list[tuple[Priority, int]] = field(default_factory=list)

    def lane(self, priority, *, sweep=False):
        self.lanes.append((priority, sweep))

    def accepted(self, priority, _message):
        self.lane(priority)

    def claim(self, priority, claim: UUID): ...

    def failover(self, priority, messages): ...

    def batch(self, priority, batch):
        self.batches.append((priority, batch))

    def inbox(self): ...


@dataclass
class Place:
    """One process that accepts, with its database."""

    engine: sa.Engine
    catalog: Catalog
    settings: Settings
    wakes: RecordedWakes
    service: MessageService
    caller: Caller

    def one(self, query: str, **parameters):
        with self.engine.connect() as conn:
            return conn.execute(sa.text(query), parameters).one()

    def value(self, query: str, **parameters):
        return self.one(query, **parameters)[0]

    def all(self, query: str, **parameters):
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(sa.text(query), parameters)]

    def do(self, statement: str, **parameters):
        with self.engine.begin() as conn:
            conn.execute(sa.text(statement), parameters)

    def expand(self, batch: UUID) -> int:
        batch_id = self.value("SELECT id FROM message_batches WHERE uuid = :uuid", uuid=batch)
        return expand(self.engine, self.catalog, self.wakes, self.settings.lanes, batch_id)

    def client(self, name: str, scopes=frozenset(SCOPES)) -> Caller:
        with self.engine.begin() as conn:
            found = conn.execute(
                sa.text("INSERT INTO api_clients (name) VALUES (:name) RETURNING id"), {"name": name}
            ).scalar_one()
        return Caller(client_id=found, name=name, scopes=frozenset(scopes))


def email(**changes) -> SendRequest:
    wanted = {
        "channel": Channel.EMAIL,
        "message_type": MessageType.TRANSACTIONAL,
        "recipient_address": "ann@example.com",
        "subject": "Your code",
        "body_text": "It is 4711.",
    }
    return SendRequest(**wanted | changes)


def newsletter(**changes) -> BulkHead:
    wanted = {
        "channel": Channel.EMAIL,
        "message_type": MessageType.NEWSLETTER,
        "subject": "News",
        "body_text": "Much has happened.",
    }
    return BulkHead(**wanted | changes)
