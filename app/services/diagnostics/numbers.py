"""Whether the numbers that we send as are ours at the vendor, and may be used for what we use them for."""

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import sqlalchemy as sa

from app.db.tables import senders
from app.domain.vocabulary import Channel
from app.errors import Unavailable
from app.gateways.base import HttpFailure, HttpRequest
from app.gateways.twilio.account import Account
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.network import is_loopback

SUBJECT = "sender numbers"

LONGEST = timedelta(seconds=8)
MOST_NUMBERS = 50
_OK = 200

_NEEDED = {Channel.SMS: "sms", Channel.VOICE: "voice"}
_finding = partial(Finding, subject=SUBJECT)


def at_twilio(scene: Scene) -> Iterator[Finding]:
    """Ask Twilio for each number that it may be used with: is it the account's, and what can it do."""
    account = Account.configured(scene.settings)
    if account is None or is_loopback(urlsplit(account.url).hostname):
        # The simulator knows no numbers.
        return
    for channel, address in _numbers(scene):
        number = _asked(scene, account, address)
        if number is None:
            yield _finding(
                code="number_not_ours",
                target=f"twilio:{_masked(address)}",
                priority=Severity.HIGH,
                meaning=f"The {channel.value} sender {_masked(address)} does not belong to the account at "
                "Twilio.",
                advice="Buy or move the number there, or say in the sender's `gateways` who has it.",
            )
            continue
        if not (number.get("capabilities") or {}).get(_NEEDED[channel]):
            yield _finding(
                code="number_not_capable",
                target=f"twilio:{_masked(address)}",
                priority=Severity.HIGH,
                meaning=f"{_masked(address)} cannot be used for {_NEEDED[channel]} at Twilio.",
                advice="Choose another number for this channel.",
                evidence={"capabilities": number.get("capabilities")},
            )
        if number.get("status") not in (None, "in-use"):
            yield _finding(
                code="number_not_in_use",
                target=f"twilio:{_masked(address)}",
                priority=Severity.MEDIUM,
                meaning=f"Twilio has {_masked(address)} as {number.get('status')}.",
                advice="See the number in Twilio's console.",
            )


def _asked(scene: Scene, account: Account, address: str) -> Mapping[str, Any] | None:
    """Give what Twilio knows of a number, None where it is not the account's; raises Unavailable."""
    credentials = base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
    base = f"{account.url}/2010-04-01/Accounts/{account.sid}/IncomingPhoneNumbers.json"
    reply = scene.transport().fetch(
        HttpRequest(
            method="GET",
            url=f"{base}?PhoneNumber={quote(address, safe='')}",
            body=b"",
            headers={"Authorization": f"Basic {credentials}"},
            timeout=LONGEST,
        )
    )
    if isinstance(reply, HttpFailure):
        raise Unavailable("Twilio did not answer about a number")
    if reply.status != _OK:
        raise Unavailable(f"Twilio answered {reply.status} about a number")
    found = orjson.loads(reply.body).get("incoming_phone_numbers") or []
    return next((each for each in found if each.get("phone_number") == address), None)


def _numbers(scene: Scene) -> list[tuple[Channel, str]]:
    table = senders.c
    channels = [channel.value for channel in _NEEDED]
    mine = sa.or_(table.gateways.is_(None), table.gateways.overlap(["twilio", "twilio_voice"]))
    query = (
        sa.select(table.channel, table.address)
        .where(table.is_active, table.channel.in_(channels), table.address.startswith("+"), mine)
        .order_by(table.id)
        .limit(MOST_NUMBERS)
    )
    with scene.database() as conn:
        return [(Channel(channel), address) for channel, address in conn.execute(query)]


def _masked(address: str) -> str:
    """Show enough of our own number to know which it is."""
    return f"{address[:3]}…{address[-4:]}"


CHECKS = (Check(name="numbers_at_twilio", subject=SUBJECT, run=at_twilio, deep=True),)
