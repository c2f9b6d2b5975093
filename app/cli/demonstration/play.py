"""Playing the scenario: who sends what and when, and what goes wrong on purpose meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from uuid import uuid4

import orjson

from app.cli.demonstration import texts
from app.cli.demonstration.scenario import Audience, Crowd, Scenario, rows
from app.cli.demonstration.system import Report, System
from app.domain.vocabulary import Channel

_BULK = "/v1/messages/bulk"
_SINGLE = "/v1/messages"
_NOT_FOUND = 404
CODES = "P4 email"
_SHORTLY = timedelta(seconds=0.2)
# So many codes are asked for once more with the same key, as a client does that heard no answer.
_EVERY = 10


@dataclass
class Played:
    """What was accepted, as the API answered, and when the primary gateway was gone."""

    batches: dict[str, str] = field(default_factory=dict)
    """audience → batch"""
    codes: dict[str, str] = field(default_factory=dict)
    """uuid → address"""
    repeated: int = 0
    repeated_wrongly: int = 0
    outage_began: datetime | None = None
    outage_ended: datetime | None = None


class Show:
    """One run of the scenario on a system."""

    def __init__(self, system: System, scenario: Scenario, report: Report) -> None:
        self.system = system
        self.scenario = scenario
        self.played = Played()
        self._report = report
        self._lock = Lock()
        self._began = time.monotonic()

    def prepare(self) -> None:
        """Save sender and templates, and suppress those who must not be contacted."""
        api, blocked = self.system.api, self.scenario.blocked
        api.write("PUT", f"/v1/senders/email/{texts.SENDER}", texts.SENDER_IDENTITY)
        for template in texts.TEMPLATES:
            if api.call("GET", f"/v1/templates/email/{template['slug']}").status == _NOT_FOUND:
                api.write("POST", "/v1/templates", template)
        lines = [
            orjson.dumps({"channel": channel, "address": address, "reason": "manual"})
            for channel, address in blocked
        ]
        headers = {"Content-Type": "application/x-ndjson"}
        response = api.call("POST", "/v1/suppressions/import?why=demo", b"\n".join(lines), headers=headers)
        imported = orjson.loads(response.data)
        self._report(f"{imported.get('added', 0)} addresses are suppressed: nothing may reach them")
        self._excuse()

    def _excuse(self) -> None:
        """Lift what earlier complaints of the same people bring on the demo's domain: all of it is play."""
        api, domain = self.system.api, texts.SENDER_IDENTITY["address"].partition("@")[2]
        known = {each["key"] for each in api.get("/v1/reputation")["items"] if each["kind"] == "domain"}
        if domain in known:
            lift = {"why": "demo: people complain on purpose", "hours": 1}
            api.write("POST", f"/v1/reputation/domains/{domain}/lift", lift)

    def start(self, pool: ThreadPoolExecutor) -> list[Future[None]]:
        """Begin; the show is over when all futures are done."""
        self._began = time.monotonic()
        pace = self.scenario.pace
        acts: list[tuple[timedelta, Callable[[], None]]] = [
            (timedelta(0), self._ask_for_codes),
            (pace.newsletter, lambda: self._upload("P2 email")),
            (pace.alerts, lambda: self._upload("P1 email", "P4 whatsapp")),
            (pace.campaign, lambda: self._upload("P3 email", "P3 push fcm", "P3 push apns")),
            (pace.outage, self._break_primaries),
            (pace.outage + _SHORTLY, lambda: self._upload("P1 sms")),
            (pace.emergency, lambda: self._upload("P0 email", "P0 voice")),
        ]
        return [pool.submit(self._at, after, act) for after, act in acts]

    def _at(self, after: timedelta, act: Callable[[], None]) -> None:
        self._wait_until(after)
        act()

    def _wait_until(self, after: timedelta) -> None:
        time.sleep(max(0.0, self._began + after.total_seconds() - time.monotonic()))

    def _upload(self, *names: str) -> None:
        for name in names:
            self._upload_one(self.scenario.crowd(name))

    def _upload_one(self, crowd: Crowd) -> None:
        audience = crowd.audience
        head = {**self._shared(audience), **texts.WORDS[audience.name]}
        began = time.monotonic()
        answer = self.system.api.upload(_BULK, head, rows(audience, crowd.people), key=str(uuid4()))
        with self._lock:
            self.played.batches[audience.name] = answer["batch"]
        took = time.monotonic() - began
        self._report(f"{audience.name}: {answer['received']:,} recipients accepted in {took:.1f} s")

    def _ask_for_codes(self) -> None:
        people = self.scenario.crowd(CODES).people
        pause = self.scenario.pace.codes_last / len(people)
        self._report(f"P4 one-time codes: {len(people)} of them, one after the other")
        for number, person in enumerate(people):
            self._wait_until(number * pause)
            self._ask_for_code(number, person.address)

    def _ask_for_code(self, number: int, address: str) -> None:
        message = {
            **self._shared(self.scenario.crowd(CODES).audience),
            "recipient_address": address,
            "subject": "Your code",
            "body_text": f"Your code is {number * 7919 % 1_000_000:06}. It is good for ten minutes.",
        }
        key, body = f"demo-{self.scenario.number}-{number}", orjson.dumps(message)
        answer, _ = self.system.api.send(_SINGLE, body, key=key)
        self.played.codes[answer["uuid"]] = address
        if number % _EVERY == 0:
            again, is_replay = self.system.api.send(_SINGLE, body, key=key)
            self.played.repeated += 1
            self.played.repeated_wrongly += not (is_replay and again["uuid"] == answer["uuid"])

    def _break_primaries(self) -> None:
        """Take the first gateway of every channel down that has a second one."""
        primaries, lasts = self.system.primaries.values(), self.scenario.pace.outage_lasts
        for primary in primaries:
            order = {"gateway": primary, "mode": "refuse", "seconds": lasts.total_seconds()}
            self.system.simulator.write("POST", "/_simulator/faults", order)
        self.played.outage_began = datetime.now(UTC)
        names = " and ".join(primaries)
        self._report(f"{names}: down, refusing every connection for {lasts.total_seconds():.0f} s")
        time.sleep(lasts.total_seconds())
        self.played.outage_ended = datetime.now(UTC)
        self._report(f"{names}: back")

    def _shared(self, audience: Audience) -> dict[str, Any]:
        shared = {
            "channel": audience.channel,
            "priority": audience.priority,
            "message_type": audience.message_type,
            **self.scenario.source,
        }
        if audience.channel is Channel.EMAIL:
            shared["sender"] = texts.SENDER
        if audience.platform:
            shared["platform"] = audience.platform
        return shared
