"""What is said in the form of an upload, and what the columns of its file are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from admin.said import one_of
from app.domain.vocabulary import Channel, MessageType
from app.errors import Faults, Invalid
from app.services.kept_uploads import KeptUpload
from app.services.requests import BulkHead, Reject
from app.services.uploads import csv_names, csv_records

FIELDS = (
    "channel", "message_type", "template", "subject", "body_text", "sender", "category", "scheduled_for",
    "scheduled_offset",
)  # fmt: skip
CHANNELS = tuple((each.value, each.value) for each in Channel)
TYPES = tuple((each.value, f"{each.value} ({each.priority})") for each in MessageType)
ROLES = (
    ("address", "the address"),
    ("id", "the recipient's id"),
    ("type", "the recipient's type"),
    ("data", "data for the template"),
    ("", "left out"),
)
FIRST = 5

_GUESSES = {
    "address": {
        "address",
        "email",
        "e-mail",
        "mail",
        "phone",
        "number",
        "mobile",
        "recipient",
        "to",
        "token",
    },
    "id": {"id", "recipient_id", "user_id", "member_id", "customer_id"},
    "type": {"type", "recipient_type"},
}
_OWN_NAMES = ("address", "id", "type")
_FURTHEST_OFFSET = 24 * 60  # minutes


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the file: its name, what it is taken for, and its first cells."""

    name: str
    role: str
    cells: Sequence[str]


def head_of(said: Mapping[str, str]) -> BulkHead:
    """Read what all messages of an upload share; raises Invalid with all faults, by the fields' names."""

    def text(name: str) -> str | None:
        return said.get(name, "").strip() or None

    faults = Faults()
    channel = faults.of(_required, said, "channel", Channel)
    message_type = faults.of(_required, said, "message_type", MessageType)
    scheduled_for = faults.of(_time, said)
    faults.end()
    return BulkHead(
        channel=Channel(channel or ""),
        message_type=MessageType(message_type or ""),
        template=text("template"),
        subject=text("subject"),
        body_text=text("body_text"),
        sender=text("sender"),
        category=text("category"),
        scheduled_for=scheduled_for,
    )


def delimiter_of(upload: KeptUpload) -> str:
    """Tell what stands between a file's cells: many programs write semicolons or tabs."""
    first = upload.content.partition(b"\n")[0].decode(errors="replace")
    return max(",;\t", key=first.count)


def columns_of(upload: KeptUpload, chosen: Mapping[str, str]) -> list[Column]:
    """Read the columns with what each is: as chosen, else as its name lets guess. Raises Invalid."""
    delimiter = delimiter_of(upload)
    names = csv_names(upload.chunks(), delimiter=delimiter)
    records = csv_records(upload.chunks(), required=names[0], delimiter=delimiter)
    first = [cells for _, cells in islice(records, FIRST) if not isinstance(cells, Reject)]
    roles = chosen or _guessed(names)
    return [
        Column(name=name, role=roles.get(name, ""), cells=[cells.get(name, "") for cells in first])
        for name in names
    ]


def chosen_columns(names: Sequence[str], said: Mapping[str, str]) -> dict[str, str]:
    """Read what was chosen for each column, by their order in the file; raises Invalid."""
    words = {role for role, _ in ROLES}
    return {name: one_of(said, f"column{place}", words) or "" for place, name in enumerate(names)}


def names_in(columns: Sequence[Column]) -> dict[str, str]:
    """Say what each column is to be called that is not left out; raises Invalid where that cannot be."""
    roles = [column.role for column in columns]
    for role, words in ROLES[:3]:
        if roles.count(role) > 1:
            raise Invalid.of("columns", f"Two columns cannot both be {words}.")
    if "address" not in roles:
        raise Invalid.of("columns", "Say which column is the address.")
    for column in columns:
        if column.role == "data" and column.name in _OWN_NAMES:
            raise Invalid.of("columns", f"A column called {column.name} cannot be data: rename it.")
    return {each.name: each.name if each.role == "data" else each.role for each in columns if each.role}


def _guessed(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        roles = (role for role, words in _GUESSES.items() if name.lower().replace(" ", "_") in words)
        role = next(roles, "data")
        found[name] = role if role == "data" or role not in found.values() else "data"
    return found


def _required(said: Mapping[str, str], name: str, words: type[Channel] | type[MessageType]) -> str:
    value = one_of(said, name, [each.value for each in words])
    if value is None:
        raise Invalid.of(name, "is missing")
    return value


def _time(said: Mapping[str, str]) -> datetime | None:
    """Read a time of the viewer's zone, whose distance from UTC their browser told; else it is UTC."""
    text = said.get("scheduled_for", "")
    if not text:
        return None
    try:
        written = datetime.fromisoformat(text).replace(tzinfo=UTC)
        ahead = int(said.get("scheduled_offset") or 0)
    except ValueError as exc:
        raise Invalid.of("scheduled_for", "must be a time, as 2027-12-31T12:00") from exc
    if abs(ahead) > _FURTHEST_OFFSET:
        raise Invalid.of("scheduled_for", "has a distance from UTC that no zone has")
    return written - timedelta(minutes=ahead)
