"""MessageBird's REST API: one call that takes a text for up to fifty recipients."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from app.simulator.accounts.messagebird import MESSAGEBIRD_ACCESS_KEY
from app.simulator.exchange import Acceptance, Reply, Request, Webhook
from app.simulator.parts import Parts
from app.simulator.recall import Memory, Recall, asked
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import uuid_of
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
from app.simulator.vendors import messagebird_reports

FOREIGN_SENDER = "FOREIGN"

_MOST = 50
_BALANCE = "/balance"
_READABLE = frozenset({"/messages", _BALANCE})
_PREPAID = {"payment": "prepaid", "type": "euros", "amount": 1000}
_NUMBER = re.compile(r"\+?[1-9]\d{6,14}", re.ASCII)
_ORIGINATOR = re.compile(r"\+?\d{3,15}|[A-Za-z0-9 ]{1,11}", re.ASCII)

Fields = Mapping[str, object]


class MessageBird:
    """One account; every originator but one is its own. `target` is the origin of its own report address."""

    name = "messagebird"
    stories = messagebird_reports.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "MessageBird":
        """Make the double of a simulator."""
        return cls(parts.serials, parts.target or "")

    def __init__(self, serials: Iterator[int], target: str) -> None:
        self._serials = serials
        self._own_url = f"{target}{messagebird_reports.PATH}"
        self._recall = Recall()

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as MessageBird does."""
        if not _is_known(request.headers.get("authorization") or ""):
            return _error(401, 2, "Request not allowed (incorrect access_key)", "access_key")
        if request.method == "GET" and request.path in _READABLE:
            is_balance = request.path == _BALANCE
            return looked_up(_PREPAID) if is_balance else self._list(asked(request.query))
        if request.path != "/messages":
            return _error(404, 20, "not found")
        if request.method != "POST":
            return _error(405, 20, "method not allowed")
        fields = fields_of(request.body)
        if fields is None:
            return _error(422, 9, "no (correct) recipients found", "recipients")
        return _fault(fields) or self._take(fields, imposed, now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as what stands before a MessageBird that is down."""
        return broken(fate, status)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the status reports that follow."""
        return [
            webhook for each in accepted for webhook in messagebird_reports.told(each, self._own_url, now)
        ]

    def inbound(self, sender: str, recipient: str, text: str, now: datetime) -> list[Webhook]:
        """List the one call about a text that somebody wrote."""
        name = _message_id(next(self._serials))
        incoming = Incoming(name=name, sender=sender, recipient=recipient, words=text)
        return [messagebird_reports.received(incoming, self._own_url, now, step=1)]

    def _take(self, fields: Fields, imposed: Fate | None, now: datetime) -> Reply:
        recipients = [each.removeprefix("+") for each in _recipients(fields)]
        if fate := broken_one(recipients):
            return self.broken(fate)
        if Fate.THROTTLED in {imposed or fate_of(each) for each in recipients}:
            return _error(429, 429, "too many requests", outcome=Fate.THROTTLED)
        text = Text(
            recipients=recipients,
            sender=str(fields["originator"]),
            words=str(fields["body"]),
            tag=str(fields.get("reference") or ""),
            details={"reportUrl": str(fields.get("reportUrl") or self._own_url)},
        )
        name = _message_id(next(self._serials))
        acceptances = accepted(text, name, self._serials, imposed)
        for acceptance in acceptances:
            self._recall.add(acceptance, text.words, now)
        return taken(201, _message(fields, recipients, name, now), acceptances)

    def _list(self, wanted: Fields) -> Reply:
        """List texts by our reference and by number, the newest first."""
        found = [
            _remembered(each)
            for each in self._recall.all()
            if each.acceptance.tag == wanted.get("reference", each.acceptance.tag)
            and each.acceptance.address == wanted.get("recipient", each.acceptance.address)
        ]
        some = found[: int(str(wanted.get("limit", 20)))]
        page = {"offset": 0, "limit": len(some), "count": len(some), "totalCount": len(found), "items": some}
        return refused(200, page, "look-up")


def _is_known(authorization: str) -> bool:
    return secrets.compare_digest(authorization.encode(), f"AccessKey {MESSAGEBIRD_ACCESS_KEY}".encode())


def _fault(fields: Fields) -> Reply | None:
    recipients = _recipients(fields)
    for name in ("originator", "body"):
        if not fields.get(name):
            return _error(422, 9, f"{name} is required", name)
    if not recipients:
        return _error(422, 9, "no (correct) recipients found", "recipients")
    if len(recipients) > _MOST or not all(_NUMBER.fullmatch(each) for each in recipients):
        return _error(422, 10, "no (correct) recipients found", "recipients")
    originator = str(fields["originator"])
    if originator == FOREIGN_SENDER or not _ORIGINATOR.fullmatch(originator):
        return _error(422, 10, "originator is invalid", "originator")
    return None


def _recipients(fields: Fields) -> list[str]:
    value = fields.get("recipients")
    if isinstance(value, str):
        value = value.split(",")
    return [str(each).strip() for each in value if each] if isinstance(value, list) else []


def _message(fields: Fields, recipients: Sequence[str], name: str, now: datetime) -> Fields:
    at = messagebird_reports.spelt(now)
    items = [{"recipient": int(each), "status": "sent", "statusDatetime": at} for each in recipients]
    return {
        "id": name,
        "href": f"https://rest.messagebird.com/messages/{name}",
        "direction": "mt",
        "type": "sms",
        "originator": fields["originator"],
        "body": fields["body"],
        "reference": fields.get("reference"),
        "validity": fields.get("validity"),
        "datacoding": "plain",
        "scheduledDatetime": None,
        "createdDatetime": at,
        "recipients": {
            "totalCount": len(items),
            "totalSentCount": len(items),
            "totalDeliveredCount": 0,
            "totalDeliveryFailedCount": 0,
            "items": items,
        },
    }


def _remembered(memory: Memory) -> Fields:
    """Describe a text as the list has it: as it was taken, and what became of it."""
    acceptance = memory.acceptance
    fields = {"originator": acceptance.mail.sender, "body": memory.words, "reference": acceptance.tag}
    status, code = messagebird_reports.final_state(acceptance.fate)
    item = {
        "recipient": int(acceptance.address),
        "status": status,
        "statusDatetime": messagebird_reports.spelt(memory.at),
        **({"statusErrorCode": int(code)} if code else {}),
    }
    message = _message(fields, [acceptance.address], acceptance.mail.external_id, memory.at)
    return {**message, "recipients": {"totalCount": 1, "items": [item]}}


def _message_id(serial: int) -> str:
    return uuid_of(serial).replace("-", "")


def _error(
    status: int, code: int, text: str, parameter: str | None = None, outcome: str | None = None
) -> Reply:
    answer = {"errors": [{"code": code, "description": text, "parameter": parameter}]}
    return refused(status, answer, outcome or f"{status} {code}")
