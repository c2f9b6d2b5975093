"""The Apple Push Notification service: one notification a request."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import orjson

from app.simulator.accounts.apns import TOPIC
from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import uuid_of
from app.simulator.vendors.apns_request import fault_of
from app.simulator.vendors.apns_token import ProviderTokens
from app.simulator.vendors.fcm_reports import reports

_PATH = re.compile(r"/3/device/(.*)")
_TOKEN = re.compile(r"[0-9a-fA-F]{64,200}")
_OUR_TAG = re.compile(r"[0-9a-f-]{36}_P[0-4]_\d+")
_GONE_SINCE = timedelta(days=1)


class Apns:
    """One app in one environment; reasons and statuses are Apple's."""

    name = "apns"
    stories: Mapping[Fate, str] = {
        Fate.DELIVERED: "200; the app reports it delivered",
        Fate.OPEN: "200; the app reports it delivered, then opened",
        Fate.CLICK: "the same",
        Fate.BOUNCE: "410 Unregistered, since yesterday",
        Fate.SUPPRESSED: "400 DeviceTokenNotForTopic",
        Fate.REJECTED: "413 PayloadTooLarge",
        Fate.HELD: "400 TopicDisallowed",
        Fate.THROTTLED: "429 TooManyRequests",
        Fate.DOWN: "503 ServiceUnavailable",
    }

    @classmethod
    def made(cls, parts: Parts) -> "Apns":
        """Make the double of a simulator."""
        return cls(parts.serials)

    def __init__(self, serials: Iterator[int]) -> None:
        self._serials = serials
        self._tokens = ProviderTokens()

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as Apple does; who sends it is looked at before anything else."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            return _refusal(404, "BadPath")
        if request.method != "POST":
            return _refusal(405, "MethodNotAllowed")
        fault = self._tokens.fault_of(request.headers.get("authorization") or "", now)
        fault = fault or (None if found[1] else (400, "MissingDeviceToken")) or fault_of(request)
        if fault is not None:
            return _refusal(*fault)
        if not _TOKEN.fullmatch(found[1]):
            return _refusal(400, "BadDeviceToken")
        return self._send(request, found[1], imposed or fate_of(found[1]), now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as Apple does when it cannot work."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        reason = "ServiceUnavailable" if status == 503 else "InternalServerError"  # noqa: PLR2004 - HTTP
        return _refusal(status, reason, outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List what the apps report; Apple itself tells nothing."""
        return [webhook for acceptance in accepted for webhook in reports(acceptance, now)]

    def _send(self, request: Request, token: str, fate: Fate, now: datetime) -> Reply:
        if fate is Fate.BOUNCE:
            return _refusal(410, "Unregistered", since=now - _GONE_SINCE, outcome=fate)
        if fate in _REFUSED_BY_FATE:
            return _refusal(*_REFUSED_BY_FATE[fate], outcome=fate)
        if fate.broken:
            return self.broken(fate)
        serial = next(self._serials)
        name = request.headers.get("apns-id") or uuid_of(serial)
        payload = orjson.loads(request.body)
        mail = Mail(
            external_id=name,
            sender=TOPIC,
            subject=_title(payload),
            size=len(request.body),
            destination=[token],
        )
        acceptance = Acceptance(serial=serial, tag=_tag(payload), address=token, fate=fate, mail=mail)
        return Reply(
            status=200,
            body=b"",
            headers=(("apns-id", name),),
            accepted=[acceptance],
            ending=Ending.CUT if fate is Fate.LOST else Ending.ANSWER,
            slow=fate is Fate.SLOW,
        )


_REFUSED_BY_FATE = {
    Fate.SUPPRESSED: (400, "DeviceTokenNotForTopic"),
    Fate.REJECTED: (413, "PayloadTooLarge"),
    Fate.HELD: (400, "TopicDisallowed"),
    Fate.THROTTLED: (429, "TooManyRequests"),
}


def _refusal(status: int, reason: str, *, since: datetime | None = None, outcome: str | None = None) -> Reply:
    told: dict[str, object] = {"reason": reason}
    if since is not None:
        told["timestamp"] = int(since.timestamp() * 1000)
    return Reply(
        status=status,
        body=orjson.dumps(told),
        headers=(("content-type", "application/json"),),
        outcome=outcome or reason,
    )


def _title(payload: Mapping[str, object]) -> str:
    aps = payload.get("aps")
    alert = aps.get("alert") if isinstance(aps, dict) else None
    return str(alert.get("title") or "") if isinstance(alert, dict) else str(alert or "")


def _tag(payload: Mapping[str, object]) -> str:
    """Find the tag that Tocsin wrote beside Apple's own part, under whatever name."""
    values = [value for value in payload.values() if isinstance(value, str)]
    return next((value for value in values if _OUR_TAG.fullmatch(value)), "")
