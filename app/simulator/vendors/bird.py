"""Bird's Channels API: one call that takes a text by one of the workspace's SMS channels."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from app.simulator.accounts.bird import BIRD_ACCESS_KEY, BIRD_CHANNELS, BIRD_WORKSPACE_ID
from app.simulator.exchange import Acceptance, Reply, Request, Webhook
from app.simulator.parts import Parts
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
from app.simulator.vendors import bird_events

_PATH = re.compile(r"/workspaces/(?P<workspace>[^/]+)/channels/(?P<channel>[^/]+)/messages")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_SENDERS = {channel: sender for sender, channel in BIRD_CHANNELS.items()}


class Bird:
    """One workspace. `target` is the origin of its webhook subscriptions, which their proof covers."""

    name = "bird"
    stories = bird_events.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Bird":
        """Make the double of a simulator."""
        return cls(parts.serials, parts.target or "")

    def __init__(self, serials: Iterator[int], target: str) -> None:
        self._serials = serials
        self._url = f"{target}{bird_events.PATH}"

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request as Bird does."""
        known = f"AccessKey {BIRD_ACCESS_KEY}".encode()
        if not secrets.compare_digest((request.headers.get("authorization") or "").encode(), known):
            return _error(401, "Unauthorized", "The access key is not known.")
        if request.method == "GET":
            return _channel(request.path)
        place = _PATH.fullmatch(request.path)
        if place is None or request.method != "POST" or place["workspace"] != BIRD_WORKSPACE_ID:
            return _error(404, "NotFound", "There is nothing here.")
        if place["channel"] not in _SENDERS:
            return _error(404, "ChannelNotFound", "There is no such channel.")
        text = _text(fields_of(request.body) or {}, place["channel"])
        if text is None:
            return _error(422, "InvalidPayload", "One or more fields are invalid.")
        return self._take(text, imposed, now)

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as what stands before a Bird that is down."""
        return broken(fate, status)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the events that the subscriptions tell."""
        return [webhook for each in accepted for webhook in bird_events.told(each, self._url, now)]

    def inbound(self, sender: str, recipient: str, text: str, now: datetime) -> list[Webhook]:
        """List the one event about a text that somebody wrote; a number without a channel has the first's."""
        name = uuid_of(next(self._serials))
        incoming = Incoming(name=name, sender=sender, recipient=recipient, words=text)
        return [bird_events.received(incoming, self._url, now, step=1)]

    def _take(self, text: Text, imposed: Fate | None, now: datetime) -> Reply:
        if fate := broken_one(text.recipients):
            return self.broken(fate)
        if Fate.THROTTLED in {imposed or fate_of(each) for each in text.recipients}:
            return _error(429, "TooManyRequests", "Slow down.", outcome=Fate.THROTTLED)
        name = uuid_of(next(self._serials))
        acceptances = accepted(text, name, self._serials, imposed)
        return taken(202, bird_events.message(acceptances[0], "accepted", now), acceptances)


def _channel(path: str) -> Reply:
    """Describe one of the workspace's channels."""
    place = _PATH.fullmatch(f"{path}/messages")
    if place is None or place["workspace"] != BIRD_WORKSPACE_ID or place["channel"] not in _SENDERS:
        return _error(404, "ChannelNotFound", "There is no such channel.")
    return looked_up({"id": place["channel"], "status": "active", "identifier": _SENDERS[place["channel"]]})


def _text(fields: Mapping[str, object], channel: str) -> Text | None:
    contacts, words = _inside(fields, "receiver", "contacts"), _inside(fields, "body", "text", "text")
    if not (isinstance(contacts, list) and len(contacts) == 1 and isinstance(words, str) and words):
        return None
    number = contacts[0].get("identifierValue") if isinstance(contacts[0], dict) else None
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        return None
    return Text(
        recipients=[number],
        sender=_SENDERS[channel],
        words=words,
        tag=str(fields.get("reference") or ""),
        details={"channel": channel},
    )


def _inside(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _error(status: int, code: str, text: str, outcome: str | None = None) -> Reply:
    return refused(status, {"code": code, "message": text, "details": {}}, outcome or code)
