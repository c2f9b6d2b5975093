"""webhooks: what gateways tell, from HTTP in to recorded in PostgreSQL."""

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pycurl

from app.simulator.accounts.ses import CONFIGURATION_SET
from app.simulator.environment import origin
from app.simulator.exchange import Post
from app.simulator.keys import signing_key
from app.simulator.sns import Topic, amazon_time
from app.simulator.vendors.sendgrid_events import signed
from bench import fill
from bench.ground import Ground, ground
from bench.ports import free_port, is_free
from bench.processes import Measured, cpu, family, tocsin
from bench.results import Result
from bench.sizes import Size
from bench.waiting import until

CLIENTS = 8
# Counting takes a while of its own, on the cores that are measured.
LOOK = 0.05  # seconds
IN_A_REQUEST = 1000
DUPLICATES = 0.2
OPENED = 0.4
_FACTS_OF_A_MESSAGE = 2 + OPENED
_SENT = """
INSERT INTO message_queue (
    priority, message_type, client_id, channel, recipient_address, subject, body_text, gateway, ip_pool,
    scheduled_for, expires_at, max_attempts, status, tries, sent_at, external_id)
SELECT
    'P3', 'campaign', %(client)s, 'email', 'reader' || i || '@mail' || i %% 50 || '.example.com', 'Offer',
    'Come.', %(gateway)s, 'campaigns', now(), now() + interval '1 day', 3, 'sent', 1, now(), 'x' || i
FROM generate_series(1, %(count)s) AS i
RETURNING uuid::text, recipient_address
"""
_CLEAR = "TRUNCATE message_queue, claims, batch_deltas, webhook_inbox, event_keys, parked_events"
_PROCESSED = "SELECT count(*) FROM webhook_inbox WHERE processed_at IS NOT NULL"
_DELIVERED = "SELECT count(*) FROM message_queue WHERE status = 'delivered'"
# What is opened before it is told as delivered is delivered by that, and the log says so besides.
_LOGGED = "SELECT count(*) FROM delivery_events WHERE id > %s AND data -> 'inferred' IS NULL"
_LAST = "SELECT coalesce(max(id), 0) FROM delivery_events"

Message = tuple[str, str]  # tag and address


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is posted: requests, and how many events and different facts are in them."""

    posts: Sequence[Post]
    events: int
    facts: int
    messages: int


@dataclass(kw_only=True)
class Measures:
    """What the rounds came to: events a second, CPU by whose it is, facts that are missing or too many."""

    rates: list[float] = field(default_factory=list)
    cpus: dict[str, list[float]] = field(default_factory=dict)
    amiss: int = 0


def run(size: Size) -> Result:
    """Post SendGrid's arrays and SES's single notifications, in turn; then look at what was recorded."""
    many, single = size.of(300_000, 600), size.of(30_000, 60)
    what = f"{many:,} events by SendGrid, {single:,} by SES; 20 % twice, out of order"
    result = Result(bench="webhooks", what=what)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-keys-") as keys, ground("--keys", keys) as stage:
        webhooks = _Webhooks(stage, Path(keys))
        with stage.connect() as database:
            client = fill.prepare(database)
            for _ in range(size.rounds):
                webhooks.measure(database, client, "sendgrid", many // size.rounds)
                webhooks.measure(database, client, "ses", single // size.rounds)
    _report(result, webhooks.measures)
    return result


def _report(result: Result, measures: dict[str, Measures]) -> None:
    bars = {"sendgrid": ("SendGrid, 1,000 a request", 20_000), "ses": ("SES, one a request", 1_500)}
    for gateway, (name, bar) in bars.items():
        result.add(name, "events/s", *measures[gateway].rates, at_least=bar)
        for whose, used in measures[gateway].cpus.items():
            result.add(f"CPU of {whose}, {gateway}", "µs/event", *used)
    amiss = sum(each.amiss for each in measures.values())
    result.add("facts lost or counted twice", "facts", amiss, at_most=0)
    result.note(
        "one web process and one process that records; both, the database and the caller share the cores"
    )


class _Webhooks:
    """Measures with a web process and a recording process that are fresh each time."""

    def __init__(self, stage: Ground, keys: Path) -> None:
        self.measures = {"sendgrid": Measures(), "ses": Measures()}
        self._stage = stage
        self._dice = random.Random(1)  # noqa: S311 - it decides about duplicates and order
        self._topic = Topic(signing_key("sns", keys), origin(stage.gateways.port), datetime.now(UTC))
        self._tell = {"sendgrid": self._sendgrid, "ses": self._ses}

    def measure(self, database: psycopg.Connection, client: int, gateway: str, events: int) -> None:
        port = free_port()
        with (
            self._stage.running(*tocsin("web"), HOST="127.0.0.1", PORT=str(port)) as web,
            self._stage.running(*tocsin("workers", "--only", "events")) as worker,
        ):
            until(lambda: not is_free(port), "the web process listens")
            url = f"http://127.0.0.1:{port}/webhooks/{gateway}"
            warm_up = self._prepare(database, client, gateway, events // 10)
            self._record(database, url, warm_up)
            told = self._prepare(database, client, gateway, events)
            last = fill.one(database, _LAST)
            parts = {"web": web, "recording": worker}
            self._count(database, url, told, parts, gateway)
            self._look(database, told, last, gateway)

    def _count(
        self, database: psycopg.Connection, url: str, told: Told, parts: dict[str, Measured], gateway: str
    ) -> None:
        before = {name: part.cpu() for name, part in parts.items()} | {"database": _cpu_of(database)}
        began = time.monotonic()
        self._record(database, url, told)
        took = time.monotonic() - began
        after = {name: part.cpu() for name, part in parts.items()} | {"database": _cpu_of(database)}
        measures = self.measures[gateway]
        measures.rates.append(told.events / took)
        for name, used in after.items():
            measures.cpus.setdefault(name, []).append((used - before[name]) / told.events * 1e6)

    def _record(self, database: psycopg.Connection, url: str, told: Told) -> None:
        _post(url, told.posts)
        recorded = partial(fill.one, database, _PROCESSED)
        until(lambda: recorded() >= len(told.posts), "all is recorded", within=300, pause=LOOK)

    def _look(self, database: psycopg.Connection, told: Told, last: int, gateway: str) -> None:
        measures = self.measures[gateway]
        measures.amiss += abs(fill.one(database, _DELIVERED) - told.messages)
        measures.amiss += abs(fill.one(database, _LOGGED, last) - told.facts)

    def _prepare(self, database: psycopg.Connection, client: int, gateway: str, events: int) -> Told:
        database.execute(_CLEAR)
        count = max(round(events / _FACTS_OF_A_MESSAGE / (1 + DUPLICATES)), 1)
        facts = {"client": client, "gateway": gateway, "count": count}
        rows = database.execute(_SENT, facts).fetchall()
        database.execute("VACUUM ANALYZE message_queue_p3")
        told = self._tell[gateway]([(f"{uuid}_P3_1", address) for uuid, address in rows])
        repeated = self._dice.sample(told, round(len(told) * DUPLICATES))
        shuffled = [*told, *repeated]
        self._dice.shuffle(shuffled)
        posts = self._posts(gateway, shuffled)
        return Told(posts=posts, events=len(shuffled), facts=len(told), messages=count)

    def _sendgrid(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        now = int(time.time())
        return [
            {
                "email": address,
                "timestamp": now,
                "smtp-id": "<14c5d75ce93.dfd.64b469@geopod-ismtpd-1-0>",
                "event": kind,
                "category": ["campaign"],
                "sg_event_id": f"{kind}-{tag[:36]}",
                "sg_message_id": "14c5d75ce93.recvd-5c8d9f7b4-abcde-1-6560A1B2-17.0",
                "tocsin": tag,
                **more,
            }
            for number, (tag, address) in enumerate(messages)
            for kind, more in _SENDGRID_EVENTS[: 3 if number % 10 < OPENED * 10 else 2]
        ]

    def _ses(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        now = amazon_time(datetime.now(UTC))
        return [
            {
                "eventType": kind,
                "mail": {
                    "timestamp": now,
                    "source": "bench@example.com",
                    "messageId": f"0100-{tag[:36]}-000000",
                    "destination": [address],
                    "headersTruncated": False,
                    "headers": [{"name": "Subject", "value": "Offer"}, {"name": "To", "value": address}],
                    "commonHeaders": {"to": [address], "subject": "Offer"},
                    "tags": {"ses:configuration-set": [CONFIGURATION_SET], "tocsin": [tag]},
                },
                kind.lower(): {"timestamp": now, "recipients": [address], "smtpResponse": "250 2.0.0 OK"},
            }
            for number, (tag, address) in enumerate(messages)
            for kind in _SES_EVENTS[: 3 if number % 10 < OPENED * 10 else 2]
        ]

    def _posts(self, gateway: str, events: Sequence[dict[str, Any]]) -> list[Post]:
        now = datetime.now(UTC)
        if gateway == "ses":
            notify = (self._topic.notification(orjson.dumps(event).decode(), 0) for event in events)
            return [webhook.compose(now) for webhook in notify]
        rest = iter(events)
        requests = iter(lambda: list(islice(rest, IN_A_REQUEST)), [])
        return [signed(orjson.dumps(request) + b"\r\n", now) for request in requests]


_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_SENDGRID_EVENTS: Sequence[tuple[str, dict[str, Any]]] = (
    ("processed", {}),
    ("delivered", {"response": "250 2.0.0 OK 1764000000 a1b2c3 - gsmtp", "ip": "192.0.2.9", "tls": 1}),
    ("open", {"useragent": _AGENT, "ip": "192.0.2.1", "sg_machine_open": False}),
)
_SES_EVENTS = ("Send", "Delivery", "Open")


def _cpu_of(database: psycopg.Connection) -> float:
    """Tell the seconds of CPU that the server and what it has started have used."""
    backend = fill.one(database, "SELECT pg_backend_pid()")
    status = Path(f"/proc/{backend}/status").read_text().splitlines()
    server = int(next(line.split()[1] for line in status if line.startswith("PPid:")))
    return sum(cpu(pid) for pid in family(server))


def _post(url: str, posts: Sequence[Post]) -> None:
    """Post them all, some at a time, each over a kept-alive connection; all must be taken."""
    multi, waiting = pycurl.CurlMulti(), iter(posts)
    free = [_handle(url) for _ in range(CLIENTS)]
    flying = 0
    while True:
        while free and (following := next(waiting, None)):
            curl = free.pop()
            curl.setopt(pycurl.HTTPHEADER, [*(f"{n}: {v}" for n, v in following.headers.items()), "Expect:"])
            curl.setopt(pycurl.POSTFIELDS, following.body)
            multi.add_handle(curl)
            flying += 1
        if not flying:
            return
        multi.perform()
        _, done, failed = multi.info_read()
        assert not failed, failed
        for curl in done:
            assert curl.getinfo(pycurl.RESPONSE_CODE) == 200, curl.getinfo(pycurl.RESPONSE_CODE)
            multi.remove_handle(curl)
            free.append(curl)
        flying -= len(done)
        if not done:
            multi.select(0.1)


def _handle(url: str) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.WRITEFUNCTION, len)
    return curl
