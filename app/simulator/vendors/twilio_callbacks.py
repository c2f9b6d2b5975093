"""Twilio's callbacks: forms, posted to the address that a request named, and signed together with it."""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import urldefrag, urlencode, urlsplit
from uuid import uuid4

from app.simulator.accounts.twilio import TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN
from app.simulator.exchange import Acceptance, Post, Webhook
from app.simulator.recipients import Fate
from app.simulator.serials import token_of

PATH = "/webhooks/twilio"
_TIMEOUT = 15.0
_TRIES = 2
_ANYWHERE = "http://localhost"
# What asks for more tries stands behind an address, and is never sent.
_EVERY_FAILURE = "rp=all"
_TRIES_WHERE_ASKED = 4

Parameters = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """One callback: the address that the request gave for it, and what it says beside the usual."""

    address: str
    said: Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What follows a message or a call, in order, and whether the person answers STOP in the end."""

    common: Parameters
    tellings: Sequence[Telling]


def sid_of(prefix: str, serial: int) -> str:
    """Name a thing as Twilio does: two letters and 32 hex digits, of which half are the serial number."""
    return f"{prefix}{serial:016x}{token_of(serial)}"


class Home:
    """Where Tocsin lives: Twilio is told once, in its console; here it is heard from the last request."""

    def __init__(self, target: str | None) -> None:
        self._address = f"{target or _ANYWHERE}{PATH}"

    def remember(self, callback: str) -> None:
        """Take the address of a status callback, without what is in it for one message alone."""
        if callback:
            self._address = callback.partition("?")[0]

    def received(self, *, sid: str, sender: str, recipient: str, text: str, step: int) -> Webhook:
        """Make the callback about a message that somebody wrote."""
        said = {
            "ApiVersion": "2010-04-01",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "MessageSid": sid,
            "SmsStatus": "received",
            "NumMedia": "0",
            "NumSegments": "1",
            "From": sender,
            "To": recipient,
            "Body": text,
            "FromCity": "",
            "ToCity": "",
        }
        if recipient.startswith("MG"):
            said |= {"MessagingServiceSid": recipient, "To": "+15550100199"}
        return _webhook(self._address, said, step)


def webhooks_of(story: Story, acceptance: Acceptance, home: Home, _now: datetime) -> list[Webhook]:
    """Make the callbacks of a story; who was asked for none tells none, but what people write comes."""
    webhooks = [
        _webhook(telling.address, {**story.common, **telling.said}, step)
        for step, telling in enumerate(story.tellings, start=1)
        if telling.address
    ]
    mail = acceptance.mail
    if acceptance.fate is Fate.UNSUBSCRIBE and mail.details["resource"] == "Messages":
        sid = sid_of("SM", acceptance.serial)[:-4] + "5709"
        said = {"sender": mail.destination[0], "recipient": mail.sender, "text": "STOP"}
        webhooks.append(home.received(sid=sid, step=len(story.tellings) + 1, **said))
    return webhooks


def _webhook(address: str, said: Parameters, step: int) -> Webhook:
    url, fragment = urldefrag(address)
    asked = _EVERY_FAILURE in fragment
    parts = urlsplit(url)
    return Webhook(
        path=f"{parts.path}?{parts.query}" if parts.query else parts.path,
        step=step,
        compose=partial(_compose, url, {"AccountSid": TWILIO_ACCOUNT_SID, **said}),
        tries=_TRIES_WHERE_ASKED if asked else _TRIES,
        timeout=_TIMEOUT,
        given_up_at=_never if asked else _always,
    )


def _compose(url: str, said: Parameters, _now: datetime) -> Post:
    signed = url + "".join(name + said[name] for name in sorted(said))
    signature = hmac.digest(TWILIO_AUTH_TOKEN.encode(), signed.encode(), "sha1")
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "user-agent": "TwilioProxy/1.1",
        "x-twilio-signature": b64encode(signature).decode(),
        "i-twilio-idempotency-token": str(uuid4()),
    }
    return Post(headers=headers, body=urlencode(said).encode())


def _never(_status: int) -> bool:
    return False


def _always(_status: int) -> bool:
    return True
