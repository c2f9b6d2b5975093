"""What Postal tells about a message afterwards, in its envelope and with both of its signatures."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import uuid4

import orjson

from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.keys import SigningKey
from app.simulator.recipients import Fate
from app.simulator.serials import token_of
from app.simulator.vendors.postal_records import bounce_of

PATH = "/webhooks/postal"
_TRIES = 6
_TIMEOUT = 5.0
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) Simulated/1.0"

_TOO_OFTEN = "Maximum number of delivery attempts (18) has been reached."
_FULL = "452 4.2.2 The recipient's mailbox is full"
_GREYLISTED = "451 4.7.1 Greylisted, please try again later"
_UNKNOWN = "550 5.1.1 The email account that you tried to reach does not exist"
_SPAM = "Message is likely spam. Threshold is 5.0 and the message scored 9.1."
_LIMIT = "Message held because send limit (1000) has been reached."
_SUPPRESSED = "Recipient ({address}) is on the suppression list (reason: too many hard fails)"
_DEVELOPMENT = "Server is in development mode."

Message = Mapping[str, object]
Told = tuple[str, Mapping[str, object]]


def told(acceptance: Acceptance, key: SigningKey, now: datetime) -> list[Webhook]:
    """List the webhooks that follow one message, one step after the other."""
    message = _message(acceptance, now)
    steps = _STORIES.get(acceptance.fate, _SENT_ONLY)
    return [
        Webhook(
            path=PATH,
            step=step,
            compose=partial(_compose, *tell(message, now + step * STEP), key),
            tries=_TRIES,
            timeout=_TIMEOUT,
            given_up_at=_never,
        )
        for step, tell in enumerate(steps, start=1)
    ]


def _compose(event: str, payload: Mapping[str, object], key: SigningKey, now: datetime) -> Post:
    body = orjson.dumps(
        {"event": event, "timestamp": now.timestamp(), "payload": payload, "uuid": str(uuid4())}
    )
    headers = {
        "content-type": "application/json",
        "user-agent": "Postal/simulated",
        "x-postal-signature": key.sha1(body),
        "x-postal-signature-256": key.sha256(body),
        "x-postal-signature-kid": key.fingerprint(),
    }
    return Post(headers=headers, body=body)


def _message(acceptance: Acceptance, now: datetime) -> Message:
    return {
        "id": acceptance.serial,
        "token": token_of(acceptance.serial),
        "direction": "outgoing",
        "message_id": acceptance.mail.external_id,
        "to": acceptance.address,
        "from": acceptance.mail.sender,
        "subject": acceptance.mail.subject,
        "timestamp": now.timestamp(),
        "spam_status": "NotChecked",
        "tag": acceptance.tag or None,
    }


def _status(event: str, status: str, details: str, output: str = "") -> "Teller":
    def tell(message: Message, now: datetime) -> Told:
        return event, {
            "message": message,
            "status": status,
            "details": details.format(address=message["to"]),
            "output": output,
            "sent_with_ssl": False,
            "timestamp": now.timestamp(),
            "time": 0.02,
        }

    return tell


def _loaded(message: Message, _now: datetime) -> Told:
    return "MessageLoaded", {"message": message, "ip_address": "192.0.2.1", "user_agent": _AGENT}


def _clicked(message: Message, _now: datetime) -> Told:
    return "MessageLinkClicked", {
        "message": message,
        "url": "https://example.com/",
        "token": "simulated",
        "ip_address": "192.0.2.1",
        "user_agent": _AGENT,
    }


def _bounced(message: Message, now: datetime) -> Told:
    serial = bounce_of(int(str(message["id"])))
    bounce = {
        **message,
        "id": serial,
        "token": token_of(serial),
        "direction": "incoming",
        "message_id": f"{uuid4()}@mx.example.com",
        "to": message["from"],
        "from": "mailer-daemon@mx.example.com",
        "subject": "Undelivered Mail Returned to Sender",
        "timestamp": now.timestamp(),
        "tag": None,
    }
    return "MessageBounced", {"original_message": message, "bounce": bounce}


def _never(_status: int) -> bool:
    return False


Teller = Callable[[Message, datetime], Told]

_sent = _status("MessageSent", "Sent", "Message for {address} accepted", "250 2.0.0 OK\n")
_held = partial(_status, "MessageHeld", "Held")
_failed = partial(_status, "MessageDeliveryFailed", "HardFail")
_delayed = partial(_status, "MessageDelayed", "SoftFail", "Temporary failure for {address}")

_SENT_ONLY: Sequence[Teller] = (_sent,)
_STORIES: Mapping[Fate, Sequence[Teller]] = {
    Fate.OPEN: (_sent, _loaded),
    Fate.CLICK: (_sent, _loaded, _clicked),
    Fate.DEFERRED: (_delayed(_GREYLISTED), _sent),
    Fate.SOFT_BOUNCE: (_delayed(_FULL), _failed(_TOO_OFTEN, _FULL)),
    Fate.BOUNCE: (_failed("Permanent failure for {address}", _UNKNOWN),),
    Fate.LATE_BOUNCE: (_sent, _bounced),
    Fate.SUPPRESSED: (_held(_SUPPRESSED),),
    Fate.REJECTED: (_failed(_SPAM),),
    Fate.HELD: (_held(_DEVELOPMENT),),
    Fate.THROTTLED: (_held(_LIMIT),),
}

# What each fate is told as, in Postal's own words.
STORIES: Mapping[Fate, str] = {
    Fate.DELIVERED: "MessageSent",
    Fate.OPEN: "MessageSent, MessageLoaded",
    Fate.CLICK: "MessageSent, MessageLoaded, MessageLinkClicked",
    Fate.UNSUBSCRIBE: "MessageSent (Postal has no such event)",
    Fate.COMPLAINT: "MessageSent (Postal has no such event)",
    Fate.DEFERRED: "MessageDelayed, MessageSent",
    Fate.SOFT_BOUNCE: "MessageDelayed, MessageDeliveryFailed (too many attempts)",
    Fate.BOUNCE: "MessageDeliveryFailed (550 5.1.1)",
    Fate.LATE_BOUNCE: "MessageSent, MessageBounced",
    Fate.SUPPRESSED: "MessageHeld (suppression list)",
    Fate.REJECTED: "MessageDeliveryFailed (likely spam)",
    Fate.HELD: "MessageHeld (development mode)",
    Fate.THROTTLED: "MessageHeld (send limit); Postal's API has no such answer",
    Fate.DOWN: "503, an HTML page",
}
