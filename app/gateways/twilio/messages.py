"""SMS, MMS and WhatsApp through Twilio: one message a request, since there is no call for more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from app.domain.vocabulary import Channel
from app.gateways.base import Envelope, HttpRequest, HttpResponse, Inquiry, Sighting
from app.gateways.twilio import inquiries
from app.gateways.twilio.account import Account
from app.gateways.twilio.parties import bare, is_service
from app.gateways.twilio.sending import Form, OfAccount, options_of

MOST_CHARACTERS = 1600
MOST_MEDIA = 10
MOST_WHATSAPP_MEDIA = 1
SHORTEST_VALIDITY = timedelta(seconds=1)
LONGEST_VALIDITY = timedelta(hours=10)

_PREFIX = "whatsapp:"
_TEMPLATE = re.compile(r"HX[0-9a-fA-F]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Twilio(OfAccount):
    """SMS and MMS of one account."""

    name: str = "twilio"
    channel: Channel = Channel.SMS
    resource = "Messages"

    def form(self, message: Envelope, now: datetime) -> Form:
        """Say what is to be sent in Twilio's own fields."""
        options = options_of(message)
        form = [
            ("To", message.address),
            *_from(bare(message.sender), options.get("messaging_service")),
            *_content(message, options),
            *_common(self.account, message, now),
        ]
        if options.get("smart_encoding") is not None:
            form.append(("SmartEncoded", "true" if options["smart_encoding"] else "false"))
        if options.get("max_price"):
            form.append(("MaxPrice", options["max_price"]))
        return form

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Twilio would refuse or drop."""
        return _unsendable(message, MOST_MEDIA)

    def inquire(self, inquiry: Inquiry) -> HttpRequest:
        """Ask what there is to the number."""
        return inquiries.request_for(self.account, inquiry)

    def sightings(self, inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
        """Find what says the same."""
        return inquiries.sightings(inquiry, response)


@dataclass(frozen=True, kw_only=True, slots=True)
class TwilioWhatsApp(OfAccount):
    """WhatsApp of one account: templates, and free text to those who wrote within the last 24 hours."""

    name: str = "twilio_whatsapp"
    channel: Channel = Channel.WHATSAPP
    resource = "Messages"

    def form(self, message: Envelope, now: datetime) -> Form:
        """Say what is to be sent in Twilio's own fields."""
        sender = bare(message.sender)
        return [
            ("To", f"{_PREFIX}{message.address}"),
            *_from(sender if is_service(sender) else f"{_PREFIX}{sender}", None),
            *_content(message, options_of(message)),
            *_common(self.account, message, now),
        ]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Twilio would refuse or drop."""
        return _unsendable(message, MOST_WHATSAPP_MEDIA)

    def inquire(self, inquiry: Inquiry) -> HttpRequest:
        """Ask what there is to the number."""
        return inquiries.request_for(self.account, inquiry, _PREFIX)

    def sightings(self, inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
        """Find what says the same; of what a template says nothing is known here."""
        return inquiries.sightings(inquiry, response, _PREFIX)


def _from(sender: str, service: str | None) -> Form:
    """Name the number, the service that chooses one, or both: a number for the service to use."""
    if is_service(sender):
        return [("MessagingServiceSid", service or sender)]
    return [("From", sender), *([("MessagingServiceSid", service)] if service else [])]


def _content(message: Envelope, options: Mapping[str, Any]) -> Form:
    template = options.get("content_sid")
    if template:
        # A template has its own words; Twilio wants its variables as text, whatever they are.
        variables = {name: str(value) for name, value in (options.get("content_variables") or {}).items()}
        written = [("ContentVariables", orjson.dumps(variables).decode())] if variables else []
        return [("ContentSid", template), *written]
    media = [("MediaUrl", url) for url in options.get("media") or ()]
    return [*([("Body", message.text)] if message.text else []), *media]


def _common(account: Account, message: Envelope, now: datetime) -> Form:
    form = []
    if message.expires_at is not None:
        left = min(max(message.expires_at - now, SHORTEST_VALIDITY), LONGEST_VALIDITY)
        form.append(("ValidityPeriod", str(left // timedelta(seconds=1))))
    if account.callbacks:
        form.append(("StatusCallback", account.callbacks.status(message.tag)))
    return form


def _unsendable(message: Envelope, most_media: int) -> str | None:
    options = options_of(message)
    template, media = options.get("content_sid"), options.get("media") or ()
    if message.attachments:
        return "attachments, which Twilio takes by their address alone"
    if template:
        return None if _TEMPLATE.fullmatch(template) else "a content_sid that is none of Twilio's"
    if not message.text and not media:
        return "a message without text"
    if len(message.text or "") > MOST_CHARACTERS:
        return f"a text of more than {MOST_CHARACTERS} characters"
    return f"more media than {most_media}" if len(media) > most_media else None
