"""What SendGrid finds wrong with the body of `mail/send`; nothing is sent where it finds anything."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from app.simulator.accounts.sendgrid import IP_POOLS

_MOST_ENTRIES = 1000
_MOST_CATEGORIES = 10
_MOST_BYTES = 10_000
# Stricter than what is let through to gateways, as the vendor's own rule is: no dots side by side.
_VALID = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@(?:[a-z0-9-]+\.)+[a-z0-9-]+", re.IGNORECASE
)
_RESERVED = frozenset(
    {
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
        "to", "from", "subject", "reply-to", "cc", "bcc",
    }
)  # fmt: skip

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Fault:
    """One element of `errors`."""

    message: str
    field: str | None = None


def faults_of(body: object) -> list[Fault]:
    """List everything that is wrong, by the names of the fields."""
    if not isinstance(body, dict):
        return [Fault("Bad Request")]
    return [*_of_request(body), *_of_entries(body)]


def is_sandboxed(body: Fields) -> bool:
    """Tell whether the request is only to be checked."""
    return bool(_part(_part(body, "mail_settings"), "sandbox_mode").get("enable"))


def _of_request(body: Fields) -> Iterator[Fault]:
    if not _is_address(_part(body, "from").get("email")):
        yield Fault("The from email does not contain a valid address.", "from.email")
    if body.get("reply_to") and not _is_address(_part(body, "reply_to").get("email")):
        yield Fault("The reply_to email does not contain a valid address.", "reply_to.email")
    if not body.get("template_id") and not body.get("content"):
        yield Fault("Unless a valid template_id is provided, the content parameter is required.", "content")
    yield from _of_content(_list(body, "content"))
    if len(_list(body, "categories")) > _MOST_CATEGORIES:
        yield Fault("There cannot be more than 10 categories.", "categories")
    if body.get("ip_pool_name") not in (None, *IP_POOLS):
        yield Fault("The ip_pool_name is not known.", "ip_pool_name")


def _of_content(parts: list[object]) -> Iterator[Fault]:
    kinds = [_part(each).get("type") for each in parts]
    if "text/plain" in kinds[1:]:
        yield Fault("If present, text/plain must be first.", "content")
    for number, each in enumerate(parts):
        if not _part(each).get("value"):
            yield Fault(
                "The content value must be a string at least one character in length.",
                f"content.{number}.value",
            )


def _of_entries(body: Fields) -> Iterator[Fault]:
    entries = _list(body, "personalizations")
    if not 0 < len(entries) <= _MOST_ENTRIES:
        yield Fault("There must be 1 to 1000 personalizations.", "personalizations")
        return
    seen: set[str] = set()
    needs_subject = not (body.get("subject") or body.get("template_id"))
    for number, entry in enumerate(entries):
        for fault in _of_entry(_part(entry), seen, needs_subject=needs_subject):
            yield Fault(fault.message, f"personalizations.{number}.{fault.field}")


def _of_entry(entry: Fields, seen: set[str], *, needs_subject: bool) -> Iterator[Fault]:
    addresses = [_part(each).get("email") for each in _list(entry, "to")]
    if len(addresses) != 1:
        yield Fault("The to array is required for all personalization objects.", "to")
    for address in addresses:
        if not _is_address(address):
            yield Fault("Does not contain a valid address.", "to.0.email")
        elif str(address).lower() in seen:
            yield Fault("Each unique email address should only be included once.", "to.0.email")
        seen.add(str(address).lower())
    if needs_subject and not entry.get("subject"):
        yield Fault("The subject is required.", "subject")
    for name in ("substitutions", "custom_args"):
        if not _is_small_texts(entry.get(name)):
            yield Fault(f"The {name} must be strings of 10000 bytes together.", name)
    for header in _part(entry, "headers"):
        if header.lower() in _RESERVED:
            yield Fault(f"The header {header} is reserved.", f"headers.{header}")


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _VALID.fullmatch(value) is not None


def _is_small_texts(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return False
    return len(orjson.dumps(value)) <= _MOST_BYTES


def _part(value: object, name: str | None = None) -> Mapping[str, object]:
    if name is not None:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def _list(value: Fields, name: str) -> list[object]:
    found = value.get(name)
    return found if isinstance(found, list) else []
