"""Asking MessageBird what became of a text: it keeps our own name for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from app.domain.facts import Fact
from app.gateways.answers import identifier, json_object, listed, part, words
from app.gateways.base import HttpResponse, Inquiry, Sighting
from app.gateways.sms.messagebird.webhook import facts_of

_OK = 200
_MOST = 20


def query_for(inquiry: Inquiry) -> str:
    """Ask for what bears the name of the try; whatever else comes with it is left out when it is read."""
    number = inquiry.message.address.removeprefix("+")
    return urlencode({"reference": str(inquiry.message.tag), "recipient": number, "limit": _MOST})


def sightings(inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
    """Find the text by the name of the try; None where nothing can be read."""
    answer = json_object(response.body)
    if response.status != _OK or not isinstance(answer.get("items"), list):
        return None
    named = str(inquiry.message.tag)
    found = (each for each in listed(answer, "items") if isinstance(each, dict))
    return [
        Sighting(external_id=external_id, facts=facts, certain=True)
        for each in found
        if words(each, "reference") == named
        and (external_id := identifier(each.get("id")))
        and (facts := tuple(_facts(each, external_id, inquiry.until)))
    ]


def _facts(found: Mapping[str, Any], external_id: str, at: datetime) -> list[Fact]:
    recipients = (each for each in listed(part(found, "recipients"), "items") if isinstance(each, dict))
    return [
        fact
        for each in recipients
        for fact in facts_of(
            {
                "id": external_id,
                "reference": words(found, "reference"),
                "recipient": identifier(each.get("recipient")) or "",
                "status": words(each, "status"),
                "statusDatetime": words(each, "statusDatetime"),
                "statusReason": words(each, "statusReason"),
                "statusErrorCode": identifier(each.get("statusErrorCode")) or "",
            },
            at,
        )
    ]
