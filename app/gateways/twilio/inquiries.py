"""Asking Twilio what became of a message: it keeps no name of ours, so a message is known by what it says."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from app.domain.facts import Fact
from app.domain.vocabulary import EventType
from app.gateways.answers import identifier, json_object, key_of, listed, moment, words
from app.gateways.base import HttpRequest, HttpResponse, Inquiry, Sighting
from app.gateways.twilio import texts
from app.gateways.twilio.account import Account
from app.gateways.twilio.parties import bare, is_service
from app.gateways.twilio.told import Told

_OK = 200
_MOST = 100


def request_for(account: Account, inquiry: Inquiry, prefix: str = "") -> HttpRequest:
    """Ask for the messages to a number since the day of the try; `prefix` names the channel in addresses."""
    asked = [("To", f"{prefix}{inquiry.message.address}")]
    sender = bare(inquiry.message.sender)
    if not is_service(sender):
        asked.append(("From", f"{prefix}{sender}"))
    asked += [("DateSent>", f"{inquiry.since:%Y-%m-%d}"), ("PageSize", str(_MOST))]
    return account.get("Messages", asked)


def sightings(inquiry: Inquiry, response: HttpResponse, prefix: str = "") -> list[Sighting] | None:
    """Find the messages that say the same to the same number at the time; None where nothing can be read."""
    answer = json_object(response.body)
    if response.status != _OK or not isinstance(answer.get("messages"), list):
        return None
    found = (each for each in listed(answer, "messages") if isinstance(each, dict))
    return [sighting for each in found if _fits(each, inquiry, prefix) and (sighting := _seen(each, inquiry))]


def _fits(found: Mapping[str, Any], inquiry: Inquiry, prefix: str) -> bool:
    message, sender = inquiry.message, bare(inquiry.message.sender)
    ours = (
        words(found, "messaging_service_sid") == sender
        if is_service(sender)
        else words(found, "from") == f"{prefix}{sender}"
    )
    made_at = _time(words(found, "date_created"))
    return (
        ours
        and words(found, "direction").startswith("outbound")
        and words(found, "to") == f"{prefix}{message.address}"
        and bool(message.text)
        and words(found, "body") == message.text
        and made_at is not None
        and inquiry.since <= made_at <= inquiry.until
    )


def _seen(found: Mapping[str, Any], inquiry: Inquiry) -> Sighting | None:
    sid, status = words(found, "sid"), words(found, "status")
    said = {
        "MessageSid": sid,
        "MessageStatus": status,
        "From": words(found, "from"),
        "To": words(found, "to"),
        "ErrorCode": identifier(found.get("error_code")) or "",
        "ErrorMessage": words(found, "error_message"),
        "MessagingServiceSid": words(found, "messaging_service_sid"),
    }
    at = _time(words(found, "date_updated")) or inquiry.until
    # Read as the callback that tells the same, so that it counts once however we hear of it.
    told = Told(ours={"tag": str(inquiry.message.tag)}, said=said, url="", at=at)
    facts = tuple(map(_taken, texts.facts(told)))
    return Sighting(external_id=sid, facts=facts) if sid and facts else None


def _taken(fact: Fact) -> Fact:
    """Take a message in Twilio's queue for the proof that it was taken."""
    if fact.event_type is not EventType.QUEUED:
        return fact
    return fact._replace(event_type=EventType.SENT, key=key_of(fact.key, "found"))


def _time(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return moment(text)
