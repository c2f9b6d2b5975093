"""SendGrid's v3 API: `mail/send`, all of a request or nothing of it."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import orjson

from app.simulator.accounts.sendgrid import SENDGRID_API_KEY
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import token_of
from app.simulator.vendors import sendgrid_events
from app.simulator.vendors.sendgrid_request import Fault, faults_of, is_sandboxed

_PATH = "/v3/mail/send"
_SCOPES = "/v3/scopes"
_ALL_SCOPES = orjson.dumps({"scopes": ["mail.send", "mail.batch.create", "sender_verification_eligible"]})
_UNVERIFIED = "@unverified.example"
_JSON = (("content-type", "application/json"),)
_HTML = (("content-type", "text/html"),)
_LIMIT = 10_000
_RESET_AFTER = 2  # seconds
_MOST_BYTES = 30 * 1024 * 1024

Body = Mapping[str, object]


class SendGrid:
    """One account; every sender's domain but unverified.example is its own."""

    name = "sendgrid"
    stories = sendgrid_events.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "SendGrid":
        """Make the double of a simulator."""
        return cls(parts.serials)

    def __init__(self, serials: Iterator[int]) -> None:
        self._serials = serials

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as SendGrid does: the key first, then all that is wrong with the body."""
        if (request.method, request.path) not in {("POST", _PATH), ("GET", _SCOPES)}:
            return _refused(404, Fault("not found"))
        if denied := _denial(request.headers.get("authorization")):
            return denied
        return _looked_up() if request.path == _SCOPES else self._post(request, imposed, now)

    def _post(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        if not (request.headers.get("content-type") or "").startswith("application/json"):
            return _refused(415, Fault("Content-Type should be application/json."))
        if len(request.body) > _MOST_BYTES:
            return _page(413, "Request Entity Too Large")
        if imposed is Fate.THROTTLED:
            return _throttled(now)
        return self._send(request.body, imposed, now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as what stands before a SendGrid that is down."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        return _page(status, "Service Unavailable", outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the arrays of events that follow the messages of one request."""
        return sendgrid_events.told(accepted, now)

    def _send(self, content: bytes, imposed: Fate | None, now: datetime) -> Reply:
        try:
            body = orjson.loads(content)
        except ValueError:
            body = None
        faults = faults_of(body)
        if faults:
            return _refused(400, *faults)
        if str(body["from"]["email"]).lower().endswith(_UNVERIFIED):
            return _refused(403, Fault("The from address does not match a verified Sender Identity.", "from"))
        if is_sandboxed(body):
            return Reply(status=200, body=b"", headers=(), outcome="sandbox")
        return self._take(body, imposed, now)

    def _take(self, body: Body, imposed: Fate | None, now: datetime) -> Reply:
        entries = sendgrid_events.entries_of(body)
        fates = [imposed or fate_of(entry.address) for entry in entries]
        if broken := next((fate for fate in fates if fate.broken), None):
            return self.broken(broken)
        if Fate.THROTTLED in fates:
            return _throttled(now)
        name = f"{token_of(next(self._serials))}_simulated"
        accepted = [
            Acceptance(
                serial=next(self._serials),
                tag=entry.tag,
                address=entry.address,
                fate=fate,
                mail=Mail(
                    external_id=name,
                    sender=str(body["from"]),
                    subject="",
                    size=0,
                    destination=(entry.address,),
                    tags=entry.tags,
                ),
            )
            for entry, fate in zip(entries, fates, strict=True)
        ]
        return Reply(
            status=202,
            body=b"",
            headers=(("x-message-id", name),),
            accepted=accepted,
            ending=Ending.CUT if Fate.LOST in fates else Ending.ANSWER,
            slow=Fate.SLOW in fates,
        )


def _looked_up() -> Reply:
    return Reply(status=200, body=_ALL_SCOPES, headers=_JSON, outcome="look-up")


def _denial(authorization: str | None) -> Reply | None:
    if authorization is None:
        return _refused(401, Fault("Permission denied, wrong credentials"))
    if not secrets.compare_digest(authorization.encode(), f"Bearer {SENDGRID_API_KEY}".encode()):
        return _refused(401, Fault("The provided authorization grant is invalid, expired, or revoked"))
    return None


def _throttled(now: datetime) -> Reply:
    headers = (
        ("date", now.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        ("x-ratelimit-limit", str(_LIMIT)),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", str(int(now.timestamp()) + _RESET_AFTER)),
    )
    return _refused(429, Fault("too many requests"), headers=headers, outcome=Fate.THROTTLED)


def _refused(
    status: int, *faults: Fault, headers: Sequence[tuple[str, str]] = (), outcome: str | None = None
) -> Reply:
    errors = [{"message": fault.message, "field": fault.field, "help": None} for fault in faults]
    return Reply(
        status=status,
        body=orjson.dumps({"errors": errors}),
        headers=(*_JSON, *headers),
        outcome=outcome or f"http_{status}",
    )


def _page(status: int, title: str, outcome: str | None = None) -> Reply:
    html = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return Reply(status=status, body=html.encode(), headers=_HTML, outcome=outcome or f"http_{status}")
