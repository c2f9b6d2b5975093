"""Postal's legacy HTTP API: `send/message`, `send/raw`, look-ups, and the keys of its webhooks."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from email.parser import BytesHeaderParser
from urllib.parse import parse_qs

import orjson

from app.simulator.accounts.postal import POSTAL_API_KEY
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.keys import SigningKey, signing_key
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.register import Register
from app.simulator.serials import token_of, uuid_of
from app.simulator.vendors import postal_records, postal_webhooks

_PREFIX = "/api/v1/"
_MOST = 50
_JSON = (("content-type", "application/json; charset=utf-8"),)
_HTML = (("content-type", "text/html; charset=utf-8"),)
_BRACKETS = re.compile(r"<([^<>]*)>")
# The first is unverified everywhere, the second here alone.
_UNVERIFIED = ("@unverified.example", "@unverified-at-postal.example")

_TEXTS = {
    "NoRecipients": "There are no recipients defined to receive this message",
    "NoContent": "There is no content defined for this e-mail",
    "TooManyToAddresses": "The maximum number of To addresses has been reached (maximum 50)",
    "TooManyCCAddresses": "The maximum number of CC addresses has been reached (maximum 50)",
    "TooManyBCCAddresses": "The maximum number of BCC addresses has been reached (maximum 50)",
    "FromAddressMissing": "The From address is missing and is required",
    "UnauthenticatedFromAddress": "The From address is not authorised to send mail from this server",
    "AttachmentMissingName": "An attachment is missing a name",
    "AttachmentMissingData": "An attachment is missing data",
}

Fields = Mapping[str, object]


class Postal:
    """A Postal server with one API credential; all senders' domains but two are its own."""

    name = "postal"
    stories = postal_webhooks.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Postal":
        """Make the double of a simulator."""
        return cls(signing_key("postal", parts.folder), parts.serials, parts.register)

    def __init__(self, key: SigningKey, serials: Iterator[int], register: Register) -> None:
        self._key = key
        self._serials = serials
        self._register = register
        self._calls: dict[str, Callable[[Fields, Fate | None], Reply]] = {
            "send/message": self._message,
            "send/raw": self._raw,
            "messages/message": self._find,
            "messages/deliveries": self._deliveries,
        }

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:  # noqa: ARG002 - others need it
        """Answer a request as Postal does: 200 with a status inside for anything below /api/v1/."""
        if request.path == "/.well-known/jwks.json":
            return _json({"keys": [self._key.jwk()]}, outcome="jwks")
        call = self._calls.get(request.path.removeprefix(_PREFIX))
        if call is None or not request.path.startswith(_PREFIX):
            return _page(404, "The page you were looking for doesn't exist.")
        denied = _denial(request.headers.get("x-server-api-key"))
        if denied is not None:
            return denied
        fields = _fields(request)
        return _page(400, "Bad Request") if fields is None else call(fields, imposed)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as a proxy does before a Postal that is down."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        return _page(status, "We're sorry, but something went wrong.", outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List what Postal tells about these messages, all events switched on."""
        return [
            webhook for acceptance in accepted for webhook in postal_webhooks.told(acceptance, self._key, now)
        ]

    def _message(self, fields: Fields, imposed: Fate | None) -> Reply:
        named = {kind: _addresses(fields.get(kind.lower())) for kind in ("To", "CC", "BCC")}
        fault = _first_fault(fields, named)
        if fault is not None:
            return _error(fault, message=_TEXTS[fault])
        addresses = [address for kind in named.values() for address in kind]
        mail = Mail(
            external_id=self._message_id(),
            sender=_bare(str(fields["from"])),
            subject=str(fields.get("subject") or ""),
            size=len(str(fields.get("plain_body") or "")) + len(str(fields.get("html_body") or "")),
            destination=addresses,
        )
        return self._take(mail, addresses, str(fields.get("tag") or ""), imposed)

    def _raw(self, fields: Fields, imposed: Fate | None) -> Reply:
        for name, right in (("rcpt_to", isinstance(fields.get("rcpt_to"), list)), *_present(fields)):
            if not right:
                return _parameter_error(f"`{name}` parameter is required but is missing")
        try:
            source = base64.b64decode(str(fields["data"]))
        except binascii.Error:
            source = b""
        headers = BytesHeaderParser().parsebytes(source)
        if not _verified(_bare(headers.get("from", ""))):
            return _error("UnauthenticatedFromAddress")
        addresses = _addresses(fields["rcpt_to"])
        mail = Mail(
            external_id=headers.get("message-id", "").strip(" <>") or self._message_id(),
            sender=str(fields["mail_from"]),
            subject=headers.get("subject", ""),
            size=len(source),
            destination=addresses,
        )
        return self._take(mail, addresses, headers.get("x-postal-tag", ""), imposed)

    def _take(self, mail: Mail, addresses: Sequence[str], tag: str, imposed: Fate | None) -> Reply:
        fates = {_bare(address): imposed or fate_of(_bare(address)) for address in addresses}
        broken = next((fate for fate in fates.values() if fate.broken), None)
        if broken is not None:
            return self.broken(broken)
        accepted = [
            Acceptance(serial=self._serial(fate), tag=tag, address=address, fate=fate, mail=mail)
            for address, fate in fates.items()
        ]
        messages = {each.address: {"id": each.serial, "token": token_of(each.serial)} for each in accepted}
        return _json(
            _envelope("success", {"message_id": mail.external_id, "messages": messages}),
            accepted=accepted,
            ending=Ending.CUT if Fate.LOST in fates.values() else Ending.ANSWER,
            slow=Fate.SLOW in fates.values(),
        )

    def _message_id(self) -> str:
        return f"{uuid_of(next(self._serials))}@rp.postal.simulator"

    def _serial(self, fate: Fate) -> int:
        serial = next(self._serials)
        if fate is Fate.LATE_BOUNCE:
            next(self._serials)  # For the bounce, see postal_records.
        return serial

    def _find(self, fields: Fields, _imposed: Fate | None) -> Reply:
        return self._look_up(fields, postal_records.message)

    def _deliveries(self, fields: Fields, _imposed: Fate | None) -> Reply:
        return self._look_up(fields, postal_records.deliveries)

    def _look_up(self, fields: Fields, tell: postal_records.LookUp) -> Reply:
        wanted = fields.get("id")
        if wanted in (None, ""):
            return _parameter_error("`id` parameter is required but is missing")
        serial = int(str(wanted)) if str(wanted).isdecimal() else -1
        found = tell(self._register, serial, fields.get("_expansions"))
        if found is None:
            return _error("MessageNotFound", message="No message found matching provided ID", id=wanted)
        return _json(_envelope("success", found), outcome="look-up")


def _denial(key: str | None) -> Reply | None:
    if not key:
        return _error("AccessDenied", message="Must be authenticated as a server.")
    if key == "suspended":
        return _error("ServerSuspended")
    if key != POSTAL_API_KEY:
        text = "The API token provided in X-Server-API-Key was not valid."
        return _error("InvalidServerAPIKey", message=text, token=key)
    return None


def _fields(request: Request) -> Fields | None:
    """Read the parameters from JSON, or from the form field `params`; None where they cannot be read."""
    kind = request.headers.get("content-type") or ""
    text: bytes | str = request.body
    if not kind.startswith("application/json"):
        text = parse_qs(request.body.decode(errors="replace")).get("params", ["{}"])[0]
    try:
        fields = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else {}


def _first_fault(fields: Fields, named: Mapping[str, Sequence[str]]) -> str | None:
    """Find the first thing wrong, in Postal's order; Postal names only that one."""
    if not any(named.values()):
        return "NoRecipients"
    for kind, addresses in named.items():
        if len(addresses) > _MOST:
            return f"TooMany{kind}Addresses"
    if not (fields.get("plain_body") or fields.get("html_body")):
        return "NoContent"
    if not fields.get("from"):
        return "FromAddressMissing"
    if not _verified(_bare(str(fields["from"]))):
        return "UnauthenticatedFromAddress"
    return _attachment_fault(fields.get("attachments"))


def _attachment_fault(attachments: object) -> str | None:
    for attachment in attachments if isinstance(attachments, list) else ():
        if isinstance(attachment, dict):
            if not attachment.get("name"):
                return "AttachmentMissingName"
            if not attachment.get("data"):
                return "AttachmentMissingData"
    return None


def _present(fields: Fields) -> list[tuple[str, bool]]:
    return [(name, bool(fields.get(name))) for name in ("mail_from", "data")]


def _addresses(value: object) -> list[str]:
    if isinstance(value, str):
        value = re.split(r",\s*", value)
    return [str(address) for address in value if address] if isinstance(value, list) else []


def _bare(address: str) -> str:
    match = _BRACKETS.search(address) if "<" in address else None
    return match[1] if match else address.strip()


def _verified(sender: str) -> bool:
    return "@" in sender and not sender.lower().endswith(_UNVERIFIED)


def _envelope(status: str, data: object) -> dict[str, object]:
    return {"status": status, "time": 0.001, "flags": {}, "data": data}


def _json(
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
        headers=_JSON,
        outcome=outcome,
        accepted=accepted,
        ending=ending,
        slow=slow,
    )


def _error(code: str, **data: object) -> Reply:
    return _json(_envelope("error", {**data, "code": code}), outcome=code)


def _parameter_error(text: str) -> Reply:
    return _json(_envelope("parameter-error", {"message": text}), outcome="parameter-error")


def _page(status: int, text: str, outcome: str | None = None) -> Reply:
    body = f"<!DOCTYPE html>\n<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n"
    return Reply(status=status, body=body.encode(), headers=_HTML, outcome=outcome or f"{status}")
