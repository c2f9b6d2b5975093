"""Asking Bandwidth what became of a text: its list has no name of ours, but numbers, a time and a length."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from app.domain.facts import Fact
from app.domain.vocabulary import EventType
from app.gateways.answers import code_in_short, identifier, json_object, key_of, listed, moment, words
from app.gateways.base import HttpResponse, Inquiry, Sighting
from app.gateways.sms.bandwidth.codes import ending_of
from app.gateways.sms.endings import DELIVERED, FAILED_SOMEHOW, SENT, Ending, ended
from app.gateways.sms.texts import sender_of

_OK = 200
_MOST = 100
# What the list calls a state, and what a callback calls it.
_KINDS = {
    "ACCEPTED": "message-sending",
    "QUEUED": "message-sending",
    "SENDING": "message-sending",
    "SENT": "message-sent",
    "DELIVERED": "message-delivered",
    "FAILED": "message-failed",
    "UNDELIVERED": "message-failed",
}
_ENDINGS: Mapping[str, Ending] = {"message-delivered": DELIVERED}
_FAILED = "message-failed"


def query_for(inquiry: Inquiry) -> str:
    """Ask for what went from the one number to the other at the time."""
    asked = {
        "destinationTn": inquiry.message.address,
        "sourceTn": sender_of(inquiry.message),
        "messageDirection": "OUTBOUND",
        "fromDateTime": _spelt(inquiry.since),
        "toDateTime": _spelt(inquiry.until),
        "limit": _MOST,
    }
    return urlencode(asked)


def sightings(inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
    """Find the texts that may be the one; None where nothing can be read."""
    answer = json_object(response.body)
    if response.status != _OK or not isinstance(answer.get("messages"), list):
        return None
    found = (each for each in listed(answer, "messages") if isinstance(each, dict))
    return [sighting for each in found if _fits(each, inquiry) and (sighting := _seen(each, inquiry))]


def _fits(found: Mapping[str, Any], inquiry: Inquiry) -> bool:
    message, at = inquiry.message, moment(found.get("receiveTime"))
    length = found.get("messageLength")
    return (
        words(found, "messageDirection").upper() == "OUTBOUND"
        and words(found, "destinationTn") == message.address
        and words(found, "sourceTn") == sender_of(message)
        # The list has no words, but it says how long they are.
        and (not isinstance(length, int) or length == len(message.text or ""))
        and at is not None
        and inquiry.since <= at <= inquiry.until
    )


def _seen(found: Mapping[str, Any], inquiry: Inquiry) -> Sighting | None:
    external_id = identifier(found.get("messageId"))
    kind = _KINDS.get(words(found, "messageStatus").upper())
    if external_id is None or kind is None:
        return None
    code = _code(found)
    ending = _ending(kind, code, inquiry.message.tag.attempt)
    fact = Fact(
        key=key_of("bandwidth", external_id, inquiry.message.address, kind, code),
        event_type=EventType.FAILED,
        occurred_at=moment(found.get("receiveTime")) or inquiry.until,
        tag=inquiry.message.tag,
        external_id=external_id,
        code=code_in_short(code),
    )
    facts = ended(fact, ending, sender=sender_of(inquiry.message))
    return Sighting(external_id=external_id, facts=tuple(facts))


def _ending(kind: str, code: str, attempt: int) -> Ending:
    if kind != _FAILED:
        return _ENDINGS.get(kind, SENT)
    return ending_of(int(code), attempt) if code.isdecimal() else FAILED_SOMEHOW


def _code(found: Mapping[str, Any]) -> str:
    code = identifier(found.get("errorCode")) or ""
    return "" if code == "0" else code


def _spelt(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
