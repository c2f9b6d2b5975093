"""Facts on their way into the log, and how they are kept while they wait."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass


class Heard(NamedTuple):
    """A fact, which gateway told it, and in which request; a tuple, for there are thousands at a time."""

    gateway: str
    fact: Fact
    inbox: int | None

    @property
    def uuid(self) -> UUID | None:
        """Name the message, where our tag came back."""
        return self.fact.tag.uuid if self.fact.tag else None


def spell(fact: Fact) -> str:
    """Write a fact down as JSON."""
    return orjson.dumps(
        {
            "key": fact.key,
            "event_type": fact.event_type.value,
            "occurred_at": fact.occurred_at.isoformat(),
            "tag": str(fact.tag) if fact.tag else None,
            "external_id": fact.external_id,
            "external_event_id": fact.external_event_id,
            "outcome": fact.outcome.value if fact.outcome else None,
            "code": fact.code,
            "detail": fact.detail,
            "data": dict(fact.data),
            "gateway": fact.gateway,
            "sender": fact.sender,
        }
    ).decode()


def read(kept: Mapping[str, Any]) -> Fact:
    """Read back what `spell` wrote."""
    return Fact(
        key=kept["key"],
        event_type=EventType(kept["event_type"]),
        occurred_at=datetime.fromisoformat(kept["occurred_at"]),
        tag=Tag.parse(kept["tag"]),
        external_id=kept["external_id"],
        external_event_id=kept["external_event_id"],
        outcome=OutcomeClass(kept["outcome"]) if kept["outcome"] else None,
        code=kept["code"],
        detail=kept["detail"],
        data=kept["data"],
        gateway=kept.get("gateway"),
        sender=kept.get("sender"),
    )
