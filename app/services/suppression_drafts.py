"""What is asked to be suppressed, judged and brought into the forms that are compared."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args

import orjson

from app.domain.addresses import canonical, suppression_key
from app.domain.vocabulary import Channel, SuppressionReason
from app.errors import Fault, Invalid
from app.services.field_rules import LARGEST_ID, id_faults, name_faults
from app.services.requests import Reject
from app.services.uploads import csv_records, ndjson_lines

SuppressionChannel = Literal["email", "sms", "whatsapp", "voice", "push", "all"]

_FIELDS = {"channel", "address", "reason", "community_id", "category", "sender", "note", "expires_at"}
T = TypeVar("T")

_LONGEST_TOKEN = 4096
_LONGEST_NOTE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionDraft:
    """What to suppress. None widens: every community, every category, every sender, for ever.

    `sender` is the address or number of a sender. For the channel "all" the address is taken as an
    email address where it has an @, else as a number.
    """

    channel: SuppressionChannel
    address: str
    reason: SuppressionReason = SuppressionReason.MANUAL
    community_id: int | None = None
    category: str | None = None
    sender: str | None = None
    note: str | None = None
    expires_at: datetime | None = None


def checked(draft: SuppressionDraft, region: str | None) -> SuppressionDraft:
    """Bring a draft's addresses into the forms that are compared; raises Invalid with all faults."""
    found = [
        *name_faults("category", draft.category),
        *id_faults("community_id", draft.community_id),
        *_note_faults(draft.note),
    ]
    if draft.expires_at is not None and draft.expires_at.utcoffset() is None:
        found.append(Fault("expires_at", "needs its offset from UTC, as in 2026-01-31T12:00:00Z"))
    address, sender = draft.address, draft.sender
    try:
        address = compared(draft.channel, draft.address, region)
    except Invalid as exc:
        found += [Fault("address", fault.message) for fault in exc.faults]
    try:
        sender = None if sender is None else compared(draft.channel, sender, region)
    except Invalid as exc:
        found += [Fault("sender", fault.message) for fault in exc.faults]
    if found:
        raise Invalid(found)
    return replace(draft, address=address, sender=sender)


def compared(channel: SuppressionChannel, address: str, region: str | None) -> str:
    """Give an address in the form that the list keeps; raises Invalid."""
    return suppression_key(*_canonical(channel, address, region))


def ndjson_drafts(chunks: Iterable[bytes]) -> Iterator[tuple[int, SuppressionDraft | Reject]]:
    """Read one draft a line, with the field names of SuppressionDraft."""
    for line, text in ndjson_lines(chunks):
        yield line, _read(line, _from_json, text)


def csv_drafts(chunks: Iterable[bytes]) -> Iterator[tuple[int, SuppressionDraft | Reject]]:
    """Read one draft a record; columns are named like the fields of SuppressionDraft."""
    for line, cells in csv_records(chunks, required="address"):
        yield line, cells if isinstance(cells, Reject) else _read(line, _from_cells, cells)


def _canonical(channel: SuppressionChannel, address: str, region: str | None) -> tuple[Channel, str]:
    if channel == "push":
        # Which platform a token is of is not known here, so it is kept as it comes.
        if not 0 < len(address) <= _LONGEST_TOKEN or not address.isascii() or not address.isprintable():
            raise Invalid.of("address", "must be a device token")
        return Channel.PUSH, address
    either = Channel.EMAIL if "@" in address else Channel.SMS
    kind = either if channel == "all" else Channel(channel)
    return kind, canonical(kind, address, region=region)


def _note_faults(note: str | None) -> list[Fault]:
    if note is not None and (len(note) > _LONGEST_NOTE or "\x00" in note):
        return [Fault("note", f"must have {_LONGEST_NOTE} characters at most, and no NUL")]
    return []


def _read(line: int, read: Callable[[T], SuppressionDraft], given: T) -> SuppressionDraft | Reject:
    try:
        return read(given)
    except (ValueError, TypeError) as exc:
        return Reject(line, str(exc))


def _from_json(text: bytes) -> SuppressionDraft:
    try:
        given = orjson.loads(text)
    except ValueError as exc:
        raise ValueError("is no JSON") from exc
    if not isinstance(given, dict):
        raise TypeError("must be an object")
    return _draft(given)


def _from_cells(cells: Mapping[str, str]) -> SuppressionDraft:
    given: dict[str, Any] = dict(cells)
    if "community_id" in given:
        if not given["community_id"].isdecimal():
            raise ValueError("community_id: must be a whole number")
        given["community_id"] = int(given["community_id"])
    return _draft(given)


def _draft(given: Mapping[str, Any]) -> SuppressionDraft:
    unknown = sorted(map(str, given.keys() - _FIELDS))
    if unknown:
        raise ValueError(f"has fields that there are not: {', '.join(unknown)[:200]}")
    for field in ("address", "category", "sender", "note"):
        if given.get(field) is not None and not isinstance(given[field], str):
            raise TypeError(f"{field}: must be a string")
    return SuppressionDraft(
        channel=_channel(given.get("channel")),
        address=given.get("address") or "",
        reason=_reason(given.get("reason")),
        community_id=_community(given.get("community_id")),
        category=given.get("category"),
        sender=given.get("sender"),
        note=given.get("note"),
        expires_at=_time(given.get("expires_at")),
    )


def _channel(value: Any) -> SuppressionChannel:
    for channel in get_args(SuppressionChannel):
        if value == channel:
            return channel  # type: ignore[no-any-return]
    raise ValueError(f"channel: must be one of {', '.join(get_args(SuppressionChannel))}")


def _reason(value: Any) -> SuppressionReason:
    try:
        return SuppressionReason(value or SuppressionReason.MANUAL)
    except ValueError as exc:
        raise ValueError(f"reason: must be one of {', '.join(SuppressionReason)}") from exc


def _community(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= LARGEST_ID):
        raise ValueError("community_id: must be a whole number")
    return value


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (ValueError, TypeError) as exc:
        raise ValueError("expires_at: must be a time, as in 2026-01-31T12:00:00Z") from exc
