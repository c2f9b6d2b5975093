"""Amazon SES, API v2: SendEmail and GetAccount."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from pydantic import ValidationError

from app.simulator.accounts.ses import AWS_REGION, CONFIGURATION_SET
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import uuid_of
from app.simulator.sigv4 import denial
from app.simulator.sns import Topic
from app.simulator.vendors import ses_events
from app.simulator.vendors.ses_request import SendBulkEmail, SendEmail, bare

_MOST = 50
_UNVERIFIED = "@unverified.example"
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_OUR_TAG = re.compile(r"[0-9a-f-]{36}_P[0-4]_\d+")


class Ses:
    """One account in one region with one configuration set, whose events go to one SNS topic."""

    name = "ses"
    stories = ses_events.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Ses":
        """Make the double of a simulator."""
        return cls(parts.topic, parts.serials)

    def __init__(self, topic: Topic, serials: Iterator[int]) -> None:
        self._topic = topic
        self._serials = serials
        self._calls: dict[tuple[str, str], Callable[[Request, Fate | None], Reply]] = {
            ("POST", "/v2/email/outbound-emails"): self._send,
            ("POST", "/v2/email/outbound-bulk-emails"): self._send_many,
            ("GET", "/v2/email/account"): self._account,
        }

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as SES does; its signature is checked before anything else."""
        reply = self._answer(request, imposed, now)
        request_id = ("x-amzn-requestid", uuid_of(next(self._serials)))
        return replace(reply, headers=(*reply.headers, request_id))

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as SES does when it cannot work."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        kind = "ServiceUnavailable" if status == 503 else "InternalFailure"  # noqa: PLR2004 - HTTP
        return _error(status, kind, "The service cannot process this request now.", outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the events that are published; none where the message named no configuration set."""
        return [
            self._topic.notification(orjson.dumps(event).decode(), step)
            for acceptance in accepted
            if acceptance.mail.publishes
            for step, event in enumerate(ses_events.published(acceptance, now), start=1)
        ]

    def _answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        call = self._calls.get((request.method, request.path))
        if call is None:
            return _error(404, "UnknownOperationException", "")
        denied = denial(request, now)
        if denied is not None:
            return _error(403, denied.kind, denied.text)
        return _throttled() if imposed is Fate.THROTTLED else call(request, imposed)

    def _account(self, _request: Request, _imposed: Fate | None) -> Reply:
        quota = {"Max24HourSend": 1_000_000.0, "MaxSendRate": 10_000.0, "SentLast24Hours": 0.0}
        account = {
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "EnforcementStatus": "HEALTHY",
            "SendQuota": quota,
        }
        return _ok(account, outcome="look-up")

    def _send(self, request: Request, imposed: Fate | None) -> Reply:
        try:
            email = SendEmail.model_validate_json(request.body)
        except ValidationError as exc:
            return _error(400, "BadRequestException", exc.errors()[0]["msg"])
        return _refusal(email) or self._take(email, imposed)

    def _send_many(self, request: Request, imposed: Fate | None) -> Reply:
        """Answer each entry by its position, with 200 whatever became of them."""
        try:
            asked = SendBulkEmail.model_validate_json(request.body)
        except ValidationError as exc:
            return _error(400, "BadRequestException", exc.errors()[0]["msg"])
        if not 0 < len(asked.bulk_email_entries) <= _MOST:
            return _error(400, "BadRequestException", f"There must be 1 to {_MOST} entries.")
        replies = [self._entry(asked.single(entry), imposed) for entry in asked.bulk_email_entries]
        whole = next((reply for reply in replies if reply.status not in _PER_ENTRY), None)
        if whole is not None:
            return whole
        return _ok(
            {"BulkEmailEntryResults": [_result(reply) for reply in replies]},
            accepted=[acceptance for reply in replies for acceptance in reply.accepted],
            ending=Ending.CUT if any(reply.ending is Ending.CUT for reply in replies) else Ending.ANSWER,
            slow=any(reply.slow for reply in replies),
        )

    def _entry(self, email: SendEmail, imposed: Fate | None) -> Reply:
        return _refusal(email) or self._take(email, imposed)

    def _take(self, email: SendEmail, imposed: Fate | None) -> Reply:
        fates = {address: imposed or fate_of(bare(address)) for address in email.addresses}
        for fate in fates.values():
            if fate in _REFUSED_BY_FATE:
                return _REFUSED_BY_FATE[fate]()
            if fate.broken:
                return self.broken(fate)
        mail = self._mail(email)
        accepted = [
            Acceptance(
                serial=next(self._serials), tag=_our_tag(mail), address=bare(address), fate=fate, mail=mail
            )
            for address, fate in fates.items()
        ]
        return _ok(
            {"MessageId": mail.external_id},
            accepted=accepted,
            ending=Ending.CUT if Fate.LOST in fates.values() else Ending.ANSWER,
            slow=Fate.SLOW in fates.values(),
        )

    def _mail(self, email: SendEmail) -> Mail:
        serial = next(self._serials)
        tags = {tag.name: [tag.value] for tag in email.email_tags}
        return Mail(
            external_id=f"{serial:016x}-{uuid_of(serial)}-000000",
            sender=email.from_email_address,
            subject=email.subject,
            size=len(email.subject),
            destination=email.addresses,
            tags={"ses:configuration-set": [email.configuration_set_name or ""], **tags},
            publishes=email.configuration_set_name is not None,
        )


def _result(reply: Reply) -> dict[str, str]:
    """Say in a bulk answer's words what one message alone would have been answered."""
    said = orjson.loads(reply.body)
    if reply.status == 200:  # noqa: PLR2004 - HTTP
        return {"Status": "SUCCESS", "MessageId": said["MessageId"]}
    kind = next(value for name, value in reply.headers if name == "x-amzn-errortype")
    return {"Status": _STATUS_OF_ENTRY.get(kind, "FAILED"), "Error": said["message"]}


def _refusal(email: SendEmail) -> Reply | None:
    """Find what SES would not take, in the order in which it looks."""
    fault = _recipients_fault(email.addresses) or _tags_fault(email) or email.fault
    if fault is not None:
        return _error(400, "BadRequestException", fault)
    return _unknown_identity(email) or _unknown_configuration_set(email)


def _recipients_fault(addresses: Sequence[str]) -> str | None:
    if not 0 < len(addresses) <= _MOST:
        return f"There must be 1 to {_MOST} recipients."
    for address in addresses:
        local, at, domain = bare(address).rpartition("@")
        if not at or not local or "." not in domain:
            return "Missing final '@domain'"
        if not local.isascii():
            return "The local part of an address has characters other than ASCII."
    return None


def _tags_fault(email: SendEmail) -> str | None:
    if all(_TAG.fullmatch(part) for tag in email.email_tags for part in (tag.name, tag.value)):
        return None
    return "Invalid tag name or value; only letters, digits, '_' and '-' are allowed."


def _unknown_identity(email: SendEmail) -> Reply | None:
    sender = bare(email.from_email_address)
    if "@" in sender and not sender.lower().endswith(_UNVERIFIED):
        return None
    text = "Email address is not verified. The following identities failed the check in region"
    return _error(400, "MessageRejected", f"{text} {AWS_REGION.upper()}: {sender}")


def _unknown_configuration_set(email: SendEmail) -> Reply | None:
    name = email.configuration_set_name
    if name in (None, CONFIGURATION_SET):
        return None
    return _error(404, "NotFoundException", f"Configuration set <{name}> does not exist.")


def _our_tag(mail: Mail) -> str:
    """Find the tag that Tocsin wrote, under whatever name; else the first tag of the message's own."""
    values = [value[0] for name, value in mail.tags.items() if not name.startswith("ses:")]
    return next((value for value in values if _OUR_TAG.fullmatch(value)), values[0] if values else "")


def _throttled() -> Reply:
    return _error(429, "TooManyRequestsException", "Maximum sending rate exceeded.", outcome=Fate.THROTTLED)


def _rejected() -> Reply:
    return _error(400, "MessageRejected", "Message content was found to be invalid.", outcome=Fate.REJECTED)


_REFUSED_BY_FATE: Mapping[Fate, Callable[[], Reply]] = {Fate.THROTTLED: _throttled, Fate.REJECTED: _rejected}


# A whole bulk request is answered so where one message would have been answered otherwise.
_PER_ENTRY = frozenset({200, 400, 429, 503})
_STATUS_OF_ENTRY = {
    "TooManyRequestsException": "ACCOUNT_THROTTLED",
    "MessageRejected": "MESSAGE_REJECTED",
    "BadRequestException": "INVALID_PARAMETER",
    "ServiceUnavailable": "TRANSIENT_FAILURE",
}


def _error(status: int, kind: str, text: str, outcome: str | None = None) -> Reply:
    headers = (("content-type", "application/json"), ("x-amzn-errortype", kind))
    return Reply(
        status=status, body=orjson.dumps({"message": text}), headers=headers, outcome=outcome or kind
    )


def _ok(
    value: object,
    *,
    outcome: str | None = None,
    accepted: Sequence[Acceptance] = (),
    ending: Ending = Ending.ANSWER,
    slow: bool = False,
) -> Reply:
    return Reply(
        status=200,
        body=orjson.dumps(value),
        headers=(("content-type", "application/json"),),
        outcome=outcome,
        accepted=accepted,
        ending=ending,
        slow=slow,
    )
