"""Bandwidth's Messaging API, v2: one call that takes a text for one recipient, or for a group."""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from app.simulator.accounts.bandwidth import (
    BANDWIDTH_ACCOUNT_ID,
    BANDWIDTH_APPLICATION_ID,
    BANDWIDTH_PASSWORD,
    BANDWIDTH_USERNAME,
)
from app.simulator.exchange import Acceptance, Reply, Request, Webhook
from app.simulator.parts import Parts
from app.simulator.recall import Memory, Recall, asked
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import token_of
from app.simulator.texts import (
    Incoming,
    Text,
    accepted,
    broken,
    broken_one,
    fields_of,
    looked_up,
    refused,
    taken,
)
from app.simulator.vendors import bandwidth_callbacks

FOREIGN_SENDER = "+15559990000"

_PATH = f"/api/v2/users/{BANDWIDTH_ACCOUNT_ID}/messages"
_MEDIA_PATH = f"/api/v2/users/{BANDWIDTH_ACCOUNT_ID}/media"
_NUMBER = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_LARGEST_GROUP = 10
_LONGEST = {"text": 2048, "tag": 1024}

Fields = Mapping[str, object]


class Bandwidth:
    """One account with one application; every sender but one is the application's own."""

    name = "bandwidth"
    stories = bandwidth_callbacks.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Bandwidth":
        """Make the double of a simulator."""
        return cls(parts.serials)

    def __init__(self, serials: Iterator[int]) -> None:
        self._serials = serials
        self._recall = Recall()

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as Bandwidth does: who asks first, then how, then what."""
        if not _is_known(request.headers.get("authorization") or ""):
            return _refused(401, "unauthorized", "Authentication information is missing or wrong.")
        if request.method == "GET" and request.path in {_PATH, _MEDIA_PATH}:
            return looked_up([]) if request.path == _MEDIA_PATH else self._list(asked(request.query))
        if request.path != _PATH or request.method != "POST":
            return _refused(404, "not-found", "There is nothing here.")
        if not (request.headers.get("content-type") or "").startswith("application/json"):
            return _refused(415, "unsupported-media-type", "Send application/json.")
        fields = fields_of(request.body)
        if fields is None:
            return _refused(400, "request-validation", "The body is no JSON object.")
        faults = _faults(fields)
        return _invalid(faults) if faults else self._take(fields, imposed, now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as what stands before a Bandwidth that is down."""
        return broken(fate, status)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the callbacks that follow, of every type."""
        return [webhook for each in accepted for webhook in bandwidth_callbacks.told(each, now)]

    def inbound(self, sender: str, recipient: str, text: str, now: datetime) -> list[Webhook]:
        """List the one callback about a text that somebody wrote."""
        name = _message_id(next(self._serials))
        incoming = Incoming(name=name, sender=sender, recipient=recipient, words=text)
        return [bandwidth_callbacks.received(incoming, now, step=1)]

    def _take(self, fields: Fields, imposed: Fate | None, now: datetime) -> Reply:
        recipients = _recipients(fields)
        if fate := broken_one(recipients):
            return self.broken(fate)
        if Fate.THROTTLED in {imposed or fate_of(each) for each in recipients}:
            words = "The message queue of this account is full."
            return _refused(429, "max-message-queue-size-exceeded", words, outcome=Fate.THROTTLED)
        media = [str(url) for url in _listed(fields, "media")]
        text = Text(
            recipients=recipients,
            sender=str(fields["from"]),
            words=str(fields.get("text") or ""),
            tag=str(fields.get("tag") or ""),
            details={"media": "\n".join(media)},
        )
        acceptances = accepted(text, _message_id(next(self._serials)), self._serials, imposed)
        for acceptance in acceptances:
            self._recall.add(acceptance, text.words, now)
        return taken(202, _message(fields, acceptances[0].mail.external_id, now), acceptances)

    def _list(self, wanted: Fields) -> Reply:
        """List texts by numbers and time, the newest first; the list has no words and no tag."""
        start, end = (_moment(wanted.get(name)) for name in ("fromDateTime", "toDateTime"))
        found = [
            _remembered(each)
            for each in self._recall.all()
            if each.acceptance.address == wanted.get("destinationTn", each.acceptance.address)
            and each.acceptance.mail.sender == wanted.get("sourceTn", each.acceptance.mail.sender)
            and (start is None or each.at >= start)
            and (end is None or each.at <= end)
        ]
        page = {"totalCount": len(found), "pageInfo": {}, "messages": found[:1000]}
        return refused(200, page, "look-up")


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _is_known(authorization: str) -> bool:
    credentials = base64.b64encode(f"{BANDWIDTH_USERNAME}:{BANDWIDTH_PASSWORD}".encode())
    return secrets.compare_digest(authorization.encode(), b"Basic " + credentials)


def _faults(fields: Fields) -> list[tuple[str, str]]:
    """Find what is wrong: fields and what Bandwidth says about them."""
    recipients = _recipients(fields)
    faults = [
        (name, f"'{name}' must not be blank") for name in ("from", "applicationId") if not fields.get(name)
    ]
    if not recipients or not all(_NUMBER.fullmatch(each) for each in recipients):
        faults.append(("to", "'to' must be valid E.164 numbers"))
    if len(recipients) > _LARGEST_GROUP:
        faults.append(("to", f"'to' may have {_LARGEST_GROUP} numbers at most"))
    if not fields.get("text") and not _listed(fields, "media"):
        faults.append(("text", "'text' or 'media' must be there"))
    for name, longest in _LONGEST.items():
        if len(str(fields.get(name) or "")) > longest:
            faults.append((name, f"'{name}' may have {longest} characters at most"))
    return faults + _foreign(fields)


def _foreign(fields: Fields) -> list[tuple[str, str]]:
    faults = []
    if fields.get("applicationId") not in (None, "", BANDWIDTH_APPLICATION_ID):
        faults.append(("applicationId", f"there is no application {fields['applicationId']}"))
    if fields.get("from") == FOREIGN_SENDER:
        faults.append(("from", f"{FOREIGN_SENDER} does not belong to the application"))
    return faults


def _recipients(fields: Fields) -> list[str]:
    return [str(each) for each in _listed(fields, "to")]


def _listed(fields: Fields, name: str) -> list[object]:
    value = fields.get(name)
    return value if isinstance(value, list) else []


def _message(fields: Fields, name: str, now: datetime) -> Fields:
    return {
        "id": name,
        "owner": fields["from"],
        "applicationId": fields["applicationId"],
        "time": bandwidth_callbacks.spelt(now),
        "segmentCount": 1,
        "direction": "out",
        **{key: fields[key] for key in ("to", "from", "text", "media", "tag", "priority") if key in fields},
    }


def _remembered(memory: Memory) -> Fields:
    acceptance = memory.acceptance
    status, code = bandwidth_callbacks.final_state(acceptance.fate)
    return {
        "messageId": acceptance.mail.external_id,
        "accountId": BANDWIDTH_ACCOUNT_ID,
        "sourceTn": acceptance.mail.sender,
        "destinationTn": acceptance.address,
        "messageStatus": status,
        "messageDirection": "OUTBOUND",
        "messageType": "mms" if acceptance.mail.details["media"] else "sms",
        "segmentCount": 1,
        "errorCode": code,
        "receiveTime": bandwidth_callbacks.spelt(memory.at),
        "messageLength": len(memory.words),
    }


def _message_id(serial: int) -> str:
    return f"{serial}{token_of(serial)}"


def _invalid(faults: Sequence[tuple[str, str]]) -> Reply:
    answer = {
        "type": "request-validation",
        "description": "Your request could not be accepted.",
        "fieldErrors": [{"fieldName": name, "description": text} for name, text in faults],
    }
    return refused(400, answer, "request-validation")


def _refused(status: int, kind: str, text: str, outcome: str | None = None) -> Reply:
    return refused(status, {"type": kind, "description": text}, outcome or kind)
