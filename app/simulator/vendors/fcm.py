"""Firebase Cloud Messaging: access tokens, version 1 of the HTTP API, and subscribing to topics."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import orjson
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.simulator.accounts.fcm import PRIVATE_KEY, PROJECT
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import token_of
from app.simulator.vendors.fcm_errors import FcmError, error, plain_error
from app.simulator.vendors.fcm_message import Fields, fault_of, target_of
from app.simulator.vendors.fcm_oauth import refusal_of
from app.simulator.vendors.fcm_reports import reports

_JSON = (("content-type", "application/json; charset=UTF-8"),)
_HOLDS = timedelta(seconds=3599)
_MOST_TOKENS = 1000
_TOPIC = re.compile(r"/topics/[a-zA-Z0-9\-_.~%]{1,900}")
_OUR_TAG = re.compile(r"[0-9a-f-]{36}_P[0-4]_\d+")


class Fcm:
    """One project. Access tokens are forgotten with the double, as if they had been revoked."""

    name = "fcm"
    stories: Mapping[Fate, str] = {
        Fate.DELIVERED: "200; the app reports it delivered",
        Fate.OPEN: "200; the app reports it delivered, then opened",
        Fate.CLICK: "the same",
        Fate.BOUNCE: "404 UNREGISTERED",
        Fate.SUPPRESSED: "403 SENDER_ID_MISMATCH",
        Fate.REJECTED: "400 INVALID_ARGUMENT, with the field",
        Fate.HELD: "401 THIRD_PARTY_AUTH_ERROR",
        Fate.THROTTLED: "429 QUOTA_EXCEEDED",
        Fate.DOWN: "503 UNAVAILABLE",
    }

    @classmethod
    def made(cls, parts: Parts) -> "Fcm":
        """Make the double of a simulator."""
        return cls(parts.serials)

    def __init__(self, serials: Iterator[int]) -> None:
        self._serials = serials
        self._public_key = load_pem_private_key(PRIVATE_KEY.encode(), password=None).public_key()
        self._tokens: dict[str, datetime] = {}
        self._topics: dict[str, set[str]] = {}
        self._calls: dict[str, Callable[[Fields, Fate | None], Reply]] = {
            f"/v1/projects/{PROJECT}/messages:send": self._send,
            "/iid/v1:batchAdd": self._subscribe,
            "/iid/v1:batchRemove": self._unsubscribe,
        }

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as Google does; the access token is looked at before anything else."""
        if request.path == "/token":
            return self._token(request, now)
        if not self._is_known(request.headers.get("authorization") or "", now):
            return error(FcmError.UNAUTHENTICATED)
        call = self._calls.get(request.path) if request.method == "POST" else None
        if call is None:
            return error(FcmError.NOT_FOUND)
        try:
            fields = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return error(FcmError.INVALID_JSON)
        if "/iid/" in request.path and request.headers.get("access_token_auth") != "true":
            return plain_error(401, "Unauthorized")
        return call(fields, imposed) if isinstance(fields, dict) else error(FcmError.INVALID_JSON)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as Google does when it cannot work."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        return error(FcmError.UNAVAILABLE, status=status, outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List what the apps report; FCM itself tells nothing."""
        return [
            webhook
            for acceptance in accepted
            if acceptance.mail.publishes
            for webhook in reports(acceptance, now)
        ]

    def revoke(self) -> None:
        """Take back all access tokens."""
        self._tokens.clear()

    def subscribed(self, topic: str) -> set[str]:
        """Tell which tokens are subscribed to a topic."""
        return set(self._topics.get(topic, ()))

    def _is_known(self, authorization: str, now: datetime) -> bool:
        ends = self._tokens.get(authorization.removeprefix("Bearer "))
        return ends is not None and now < ends

    def _token(self, request: Request, now: datetime) -> Reply:
        refusal = refusal_of(request, self._public_key, now)
        if refusal is not None:
            return refusal
        text = f"ya29.{token_of(next(self._serials))}"
        self._tokens[text] = now + _HOLDS
        told = {"access_token": text, "expires_in": _HOLDS // timedelta(seconds=1), "token_type": "Bearer"}
        return _ok(told, outcome="access token")

    def _send(self, fields: Fields, imposed: Fate | None) -> Reply:
        message = fields.get("message")
        fault = fault_of(message)
        if fault is not None or not isinstance(message, dict):
            return error(FcmError.WRONG_FIELD, field=fault or "message")
        kind, target = target_of(message)
        if kind == "token" and len(target) < 100:  # noqa: PLR2004 - all real ones are longer
            return error(FcmError.WRONG_TOKEN)
        address = target if kind == "token" else f"{kind}:{target}"
        fate = imposed or fate_of(address)
        if fate in _REFUSED_BY_FATE:
            return error(_REFUSED_BY_FATE[fate], outcome=fate)
        if fate.broken:
            return self.broken(fate)
        return self._take(message, address, fate, trial=fields.get("validate_only") is True)

    def _take(self, message: Fields, address: str, fate: Fate, *, trial: bool) -> Reply:
        if trial:
            return _ok({"name": f"projects/{PROJECT}/messages/fake_message_id"}, outcome="dry run")
        serial = next(self._serials)
        name = f"projects/{PROJECT}/messages/0:{serial}%{token_of(serial)}"
        notification = message.get("notification")
        shown = notification if isinstance(notification, dict) else {}
        mail = Mail(
            external_id=name,
            sender=PROJECT,
            subject=str(shown.get("title") or ""),
            size=len(orjson.dumps(message)),
            destination=[address],
            # Of a topic's devices nobody knows which one reports.
            publishes="token" in message,
        )
        return _ok(
            {"name": name},
            accepted=[Acceptance(serial=serial, tag=_tag(message), address=address, fate=fate, mail=mail)],
            ending=Ending.CUT if fate is Fate.LOST else Ending.ANSWER,
            slow=fate is Fate.SLOW,
        )

    def _subscribe(self, fields: Fields, imposed: Fate | None) -> Reply:
        return self._change(fields, imposed, lambda members, token: members.add(token))

    def _unsubscribe(self, fields: Fields, imposed: Fate | None) -> Reply:
        return self._change(fields, imposed, lambda members, token: members.discard(token))

    def _change(self, fields: Fields, imposed: Fate | None, change: Callable[[set[str], str], None]) -> Reply:
        topic, tokens = fields.get("to"), fields.get("registration_tokens")
        if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
            return plain_error(400, "InvalidTopicName")
        if not isinstance(tokens, list) or not 0 < len(tokens) <= _MOST_TOKENS:
            return plain_error(400, "InvalidArgument")
        if imposed is Fate.THROTTLED:
            return plain_error(429, "RESOURCE_EXHAUSTED")
        members = self._topics.setdefault(topic.removeprefix("/topics/"), set())
        results: list[Fields] = []
        for token in tokens:
            refused = _OF_TOKEN.get(imposed or fate_of(str(token)))
            if refused is None:
                change(members, str(token))
            results.append({"error": refused} if refused else {})
        return _ok({"results": results}, outcome="topics")


_REFUSED_BY_FATE = {
    Fate.BOUNCE: FcmError.UNREGISTERED,
    Fate.SUPPRESSED: FcmError.SENDER_ID_MISMATCH,
    Fate.REJECTED: FcmError.WRONG_FIELD,
    Fate.HELD: FcmError.THIRD_PARTY_AUTH_ERROR,
    Fate.THROTTLED: FcmError.QUOTA_EXCEEDED,
}
_OF_TOKEN = {
    Fate.BOUNCE: "NOT_FOUND",
    Fate.SUPPRESSED: "INVALID_ARGUMENT",
    Fate.HELD: "TOO_MANY_TOPICS",
    Fate.THROTTLED: "RESOURCE_EXHAUSTED",
    Fate.DOWN: "INTERNAL",
}


def _tag(message: Fields) -> str:
    """Find the tag that Tocsin wrote into the data, under whatever name; else the label."""
    data, options = message.get("data"), message.get("fcm_options")
    values = [str(value) for value in data.values()] if isinstance(data, dict) else []
    label = str(options.get("analytics_label") or "") if isinstance(options, dict) else ""
    return next((value for value in values if _OUR_TAG.fullmatch(value)), label)


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
        headers=_JSON,
        outcome=outcome,
        accepted=accepted,
        ending=ending,
        slow=slow,
    )
