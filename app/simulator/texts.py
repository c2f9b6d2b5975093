"""What the doubles of gateways for texts have in common: taking messages, and giving answers in JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, silence
from app.simulator.recipients import Fate, fate_of

JSON = (("content-type", "application/json"),)
_HTML = (("content-type", "text/html"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A text in order, for one recipient or more, with the tag that comes back in webhooks."""

    recipients: Sequence[str]
    sender: str
    words: str
    tag: str
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A text that somebody wrote to a number of ours; `name` is what the gateway calls it."""

    name: str
    sender: str
    recipient: str
    words: str


def stop_after(acceptance: Acceptance) -> Incoming:
    """Make the STOP with which somebody answers a message of ours."""
    mail = acceptance.mail
    return Incoming(
        name=f"{mail.external_id[:28]}stop",
        sender=acceptance.address,
        recipient=mail.sender,
        words="STOP",
    )


def accepted(text: Text, external_id: str, serials: Iterator[int], imposed: Fate | None) -> list[Acceptance]:
    """Take a text for each of its recipients, all under one id."""
    mail = Mail(
        external_id=external_id,
        sender=text.sender,
        subject="",
        size=len(text.words),
        destination=text.recipients,
        details=text.details,
    )
    return [
        Acceptance(
            serial=next(serials),
            tag=text.tag,
            address=recipient,
            fate=imposed or fate_of(recipient),
            mail=mail,
        )
        for recipient in text.recipients
    ]


def taken(status: int, answer: object, acceptances: Sequence[Acceptance]) -> Reply:
    """Answer that messages were taken, in the way that their fates have it."""
    fates = {acceptance.fate for acceptance in acceptances}
    return Reply(
        status=status,
        body=orjson.dumps(answer),
        headers=JSON,
        accepted=acceptances,
        ending=Ending.CUT if Fate.LOST in fates else Ending.ANSWER,
        slow=Fate.SLOW in fates,
    )


def refused(status: int, answer: object, outcome: str) -> Reply:
    """Answer that nothing was taken."""
    return Reply(status=status, body=orjson.dumps(answer), headers=JSON, outcome=outcome)


def broken(fate: Fate, status: int) -> Reply:
    """Answer as what stands before a gateway that is down."""
    if fate is Fate.SILENT:
        return silence()
    if fate is Fate.GARBAGE:
        return GARBAGE
    page = f"<html><body><h1>{status}</h1></body></html>\n".encode()
    return Reply(status=status, body=page, headers=_HTML, outcome=Fate.DOWN)


def broken_one(recipients: Sequence[str]) -> Fate | None:
    """Find the recipient for whom the gateway gives no sensible answer."""
    return next((fate for fate in map(fate_of, recipients) if fate.broken), None)


def fields_of(body: bytes) -> dict[str, object] | None:
    """Read a JSON object; None where it is none."""
    try:
        fields = orjson.loads(body)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def looked_up(value: object) -> Reply:
    """Answer a question that sends nothing."""
    return refused(200, value, "look-up")
