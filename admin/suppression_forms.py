"""What is said in the forms of the suppression list, in the services' words."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import sqlalchemy as sa

from admin import said as reading
from app.domain.vocabulary import SuppressionReason
from app.errors import Faults, Invalid
from app.services.suppression_drafts import checked
from app.services.suppression_looking import SuppressionFilters
from app.services.suppressions import SuppressionChannel, SuppressionDraft

CHANNELS = tuple((name, name) for name in get_args(SuppressionChannel))
REASONS = tuple((each.value, each.value.replace("_", " ")) for each in SuppressionReason)
HEADING = (
    "channel", "address", "reason", "source", "community_id", "category", "sender", "note", "created_at",
    "expires_at",
)  # fmt: skip


def filters_of(said: Mapping[str, str]) -> SuppressionFilters:
    """Read what is looked for; raises Invalid by the field's name."""
    return SuppressionFilters(
        address=_text(said, "address"),
        channel=_channel(said) if said.get("channel") else None,
        reason=_reason(said) if said.get("reason") else None,
        community_id=reading.number(said.get("community_id", "").strip(), "community_id"),
        category=_text(said, "category"),
        sender=_text(said, "sender"),
    )


def draft_of(said: Mapping[str, str], region: str | None) -> SuppressionDraft:
    """Read what is to be suppressed; why it is, is kept as its note.

    Raises Invalid with all faults, by the fields' names.
    """
    faults = Faults()
    channel = faults.of(_channel, said)
    draft = SuppressionDraft(
        channel=channel or "all",
        address=said.get("address", ""),
        reason=faults.of(_reason, said) or SuppressionReason.MANUAL,
        community_id=faults.of(reading.number, said.get("community_id", "").strip(), "community_id"),
        category=_text(said, "category"),
        sender=_text(said, "sender"),
        note=faults.of(reading.reason_given),
        expires_at=faults.of(reading.end_of_day, said.get("expires_at", ""), "expires_at"),
    )
    if channel:
        faults.of(checked, draft, region)
    faults.end()
    return draft


def line_of(row: sa.Row[Any]) -> Sequence[object]:
    """Give a row as a line of a file."""
    return [getattr(row, name) for name in HEADING]


def _channel(said: Mapping[str, str]) -> SuppressionChannel:
    for name in get_args(SuppressionChannel):
        if said.get("channel") == name:
            return name  # type: ignore[no-any-return] # One of the literals, which mypy does not follow.
    raise Invalid.of("channel", f"must be one of {', '.join(get_args(SuppressionChannel))}")


def _reason(said: Mapping[str, str]) -> SuppressionReason:
    try:
        return SuppressionReason(said.get("reason", ""))
    except ValueError as exc:
        raise Invalid.of("reason", f"must be one of {', '.join(SuppressionReason)}") from exc


def _text(said: Mapping[str, str], name: str) -> str | None:
    return said.get(name, "").strip() or None
