"""Twilio's REST API of 2010: messages by SMS and WhatsApp, calls, and look-ups of both."""

import base64
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

import orjson

from app.simulator.accounts.twilio import (
    TWILIO_ACCOUNT_SID,
    TWILIO_API_KEY,
    TWILIO_API_SECRET,
    TWILIO_AUTH_TOKEN,
)
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.parts import Parts
from app.simulator.recall import Memory, Recall, asked
from app.simulator.recipients import STORIES, Fate, fate_of
from app.simulator.register import Entry, Register
from app.simulator.vendors import twilio_calls, twilio_messages
from app.simulator.vendors.twilio_callbacks import Home, Story, sid_of, webhooks_of
from app.simulator.vendors.twilio_request import Fault, Fields, call_fault, message_fault

_ROOT = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}"
_JSON = (("content-type", "application/json"),)
_FORM = "application/x-www-form-urlencoded"
_CREDENTIALS = (f"{TWILIO_ACCOUNT_SID}:{TWILIO_AUTH_TOKEN}", f"{TWILIO_API_KEY}:{TWILIO_API_SECRET}")
_SID_LENGTH = 34
_UNAVAILABLE = 503
_PREFIXES = {"Messages": "SM", "Calls": "CA"}
_STORIES: Mapping[Fate, str] = {
    fate: f"{twilio_messages.words_of(fate)}; call: {twilio_calls.words_of(fate)}" for fate in STORIES
}
_TELL: Mapping[str, Callable[[Acceptance], Story]] = {
    "Messages": twilio_messages.story,
    "Calls": twilio_calls.story,
}


class Twilio:
    """One account; every sender but one is its own."""

    name = "twilio"
    stories = _STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Twilio":
        """Make the double of a simulator."""
        return cls(parts.serials, parts.register, Home(parts.target))

    def __init__(self, serials: Iterator[int], register: Register, home: Home) -> None:
        self._serials = serials
        self._register = register
        self._home = home
        self._recall = Recall()

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as Twilio does: who asks first, then what."""
        if not _is_known(request.headers.get("authorization") or ""):
            return _refused(401, 20003, "Authenticate")
        if request.method == "GET":
            if request.path == f"{_ROOT}/Messages.json":
                return self._list(asked(request.query))
            return self._look_up(request.path, now)
        resource = request.path.removeprefix(f"{_ROOT}/").removesuffix(".json")
        if (
            request.path != f"{_ROOT}/{resource}.json"
            or resource not in _PREFIXES
            or request.method != "POST"
        ):
            return _refused(404, 20404, f"The requested resource {request.path} was not found")
        fields = _fields(request)
        return self._create(resource, fields, imposed, now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as Twilio does when it cannot work."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        code = 20503 if status == _UNAVAILABLE else 20500
        return _refused(status, code, "Service is unavailable. Please try again", outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the callbacks that follow, as far as the request asked for any."""
        return [
            webhook for each in accepted for webhook in webhooks_of(_story_of(each), each, self._home, now)
        ]

    def inbound(self, sender: str, recipient: str, text: str, now: datetime) -> list[Webhook]:  # noqa: ARG002 - Twilio tells no time
        """List the one callback about a message that somebody wrote."""
        sid = sid_of("SM", next(self._serials))
        return [self._home.received(sid=sid, sender=sender, recipient=recipient, text=text, step=1)]

    def _create(self, resource: str, fields: Fields, imposed: Fate | None, now: datetime) -> Reply:
        fault_of: Callable[[Fields], Fault | None] = message_fault if resource == "Messages" else call_fault
        if fault := fault_of(fields):
            return _refused(400, fault.code, fault.words)
        number = fields["To"][0].rpartition(":")[2]
        fate = imposed or fate_of(number)
        if fate.broken:
            return self.broken(fate)
        if fate is Fate.THROTTLED:
            return _refused(429, 20429, "Too many concurrent requests", outcome=fate)
        refused = (twilio_messages if resource == "Messages" else twilio_calls).refusal(fate, fields)
        if refused:
            return _refused(400, refused.code, refused.words, outcome=fate)
        return self._take(resource, fields, number, fate, now)

    def _take(self, resource: str, fields: Fields, number: str, fate: Fate, now: datetime) -> Reply:
        serial = next(self._serials)
        sid = sid_of(_PREFIXES[resource], serial)
        callback = fields.get("StatusCallback", [""])[0]
        self._home.remember(callback)
        sender = fields.get("From", fields.get("MessagingServiceSid", [""]))[0]
        details = {name: "\n".join(values) for name, values in fields.items()}
        acceptance = Acceptance(
            serial=serial,
            tag=parse_qs(urlsplit(callback).query).get("tag", [""])[0],
            address=number,
            fate=fate,
            mail=Mail(
                external_id=sid,
                sender=sender,
                subject="",
                size=len(details.get("Body", "")),
                destination=(fields["To"][0],),
                details={**details, "resource": resource},
            ),
        )
        if resource == "Messages":
            self._recall.add(acceptance, details.get("Body", ""), now)
        return Reply(
            status=201,
            body=orjson.dumps(_created(acceptance, now)),
            headers=_JSON,
            accepted=[acceptance],
            ending=Ending.CUT if fate is Fate.LOST else Ending.ANSWER,
            slow=fate is Fate.SLOW,
        )

    def _list(self, wanted: Mapping[str, str]) -> Reply:
        """List messages by number and day, the newest first."""
        since = wanted.get("DateSent>")
        day = date.fromisoformat(since) if since else date.min
        found = [
            _listed(each)
            for each in self._recall.all()
            if each.acceptance.mail.destination[0] == wanted.get("To", each.acceptance.mail.destination[0])
            and each.acceptance.mail.sender == wanted.get("From", each.acceptance.mail.sender)
            and each.at.date() >= day
        ]
        page = {"messages": found[: int(wanted.get("PageSize", "50"))], "page": 0}
        return Reply(status=200, body=orjson.dumps(page), headers=_JSON, outcome="look-up")

    def _look_up(self, path: str, now: datetime) -> Reply:
        if path == f"{_ROOT}.json":
            account = {"sid": TWILIO_ACCOUNT_SID, "status": "active", "type": "Full"}
            return Reply(status=200, body=orjson.dumps(account), headers=_JSON, outcome="look-up")
        sid = path.removeprefix(f"{_ROOT}/").removesuffix(".json").rpartition("/")[2]
        entry = self._entry(sid)
        if entry is None:
            return _refused(404, 20404, f"The requested resource {path} was not found")
        found = {
            "sid": sid,
            "account_sid": TWILIO_ACCOUNT_SID,
            "to": entry.address,
            "date_updated": _spelt(now),
            **(twilio_calls if sid.startswith("CA") else twilio_messages).final_state(entry.fate),
        }
        return Reply(status=200, body=orjson.dumps(found), headers=_JSON, outcome="look-up")

    def _entry(self, sid: str) -> Entry | None:
        """Find what was taken under this name; the first half of it is the serial number."""
        try:
            serial = int(sid[2:18], 16) if len(sid) == _SID_LENGTH else -1
        except ValueError:
            return None
        return self._register.by_serial(serial) if sid == sid_of(sid[:2], max(serial, 0)) else None


def _story_of(acceptance: Acceptance) -> Story:
    return _TELL[acceptance.mail.details["resource"]](acceptance)


def _is_known(authorization: str) -> bool:
    expected = (b"Basic " + base64.b64encode(each.encode()) for each in _CREDENTIALS)
    return any(secrets.compare_digest(authorization.encode(), each) for each in expected)


def _fields(request: Request) -> Fields:
    """Read the form; a parameter may come more than once."""
    fields: dict[str, list[str]] = {}
    if (request.headers.get("content-type") or "").startswith(_FORM):
        for name, value in parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True):
            fields.setdefault(name, []).append(value)
    return fields


def _created(acceptance: Acceptance, now: datetime) -> dict[str, object]:
    details = acceptance.mail.details
    created = {
        "sid": acceptance.mail.external_id,
        "account_sid": TWILIO_ACCOUNT_SID,
        "api_version": "2010-04-01",
        "status": "queued",
        "to": acceptance.mail.destination[0],
        "from": details.get("From"),
        "date_created": _spelt(now),
        "uri": f"{_ROOT}/{details['resource']}/{acceptance.mail.external_id}.json",
    }
    if details["resource"] == "Calls":
        return {**created, "direction": "outbound-api", "answered_by": None}
    service = details.get("MessagingServiceSid")
    return {
        **created,
        "status": "accepted" if service else "queued",
        "body": details.get("Body"),
        "messaging_service_sid": service,
        "num_segments": "1",
        "num_media": str(len(details["MediaUrl"].split("\n")) if "MediaUrl" in details else 0),
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
    }


def _listed(memory: Memory) -> dict[str, object]:
    """Describe a message as the list has it: as it was made, and what became of it."""
    state = twilio_messages.final_state(memory.acceptance.fate)
    return {**_created(memory.acceptance, memory.at), "date_updated": _spelt(memory.at), **state}


def _spelt(moment: datetime) -> str:
    return f"{moment:%a, %d %b %Y %H:%M:%S +0000}"


def _refused(status: int, code: int, text: str, outcome: str | None = None) -> Reply:
    problem = {
        "code": code,
        "message": text,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Reply(status=status, body=orjson.dumps(problem), headers=_JSON, outcome=outcome or str(code))
