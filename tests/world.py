"""A whole sending process for tests: real PostgreSQL, Valkey, transport and simulated gateways, no broker."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
import redis
import sqlalchemy as sa
import urllib3
from psycopg import sql
from sqlalchemy.dialects.postgresql import insert

from app.bootstrap import App, build
from app.db.tables import (
    api_clients,
    batch_deltas,
    channel_health,
    delivery_events,
    lane_flows,
    message_batches,
    message_queue,
    rate_limits,
    senders,
    suppression_list,
)
from app.db.tables import claims as claims_table
from app.domain.vocabulary import MessageType, Priority
from app.services.sending.tools import Tools
from app.settings import Settings
from app.simulator.background import simulating
from app.simulator.environment import environment
from app.simulator.simulator import Options
from bench.ports import free_base
from tests.given import Given

TYPES = dict(zip(Priority, MessageType, strict=True))
MAX_ATTEMPTS = {"P0": 5, "P1": 3, "P2": 3, "P3": 3, "P4": 5}
# Most tests are about two gateways of a channel, so that they can tell what follows the last.
FURTHER_GATEWAYS = ("SENDGRID_", "SMTP_")
TIMEOUT = 3.0  # seconds, for one request to a gateway; a busy machine must not take one for lost


@dataclass
class Wakes:
    """Remembers who was told of work, and tells nobody."""

    lanes: list[tuple[Priority, bool]] = field(default_factory=list)
    claims: list[tuple[Priority, UUID]] = field(default_factory=list)
    failed_over: list[tuple[Priority, list[int]]] = field(default_factory=list)
    batches: list[tuple[Priority, int]] = field(default_factory=list)
    inboxes: int = 0

    def lane(self, priority, *, sweep=False):
        self.lanes.append((priority, sweep))

    def claim(self, priority, claim):
        self.claims.append((priority, claim))

    def failover(self, priority, messages):
        self.failed_over.append((priority, list(messages)))

    def batch(self, priority, batch):
        self.batches.append((priority, batch))

    def release(self, priority): ...

    def parked(self): ...

    def topics(self): ...

    def inbox(self):
        self.inboxes += 1


@dataclass
class Clock:
    """The real time, moved by what a test says."""

    ahead: timedelta = timedelta(0)

    def __call__(self):
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Gateways:
    """The simulated gateways, and what they took."""

    base: int
    http: urllib3.PoolManager

    def control(self, method, path, **fields):
        body = orjson.dumps(fields) if fields else None
        answer = self.http.request(method, f"http://127.0.0.1:{self.base}/_simulator/{path}", body=body)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def taken(self, uuid):
        """List the gateways that took the message, in order."""
        return [entry["gateway"] for entry in self.control("GET", f"messages?uuid={uuid}")["messages"]]

    def accepted(self):
        """Count everything that was taken."""
        return self.control("GET", "counts")["accepted"]

    def entries(self):
        answer = self.http.request("GET", f"http://127.0.0.1:{self.base}/_simulator/accepted")
        return [orjson.loads(line) for line in answer.data.splitlines()]

    def requests(self, gateway):
        """Count the requests that reached a gateway, taken or not."""
        counts = self.control("GET", "counts")["gateways"].get(gateway, {"accepted": {}, "refused": {}})
        return sum(counts["accepted"].values()) + sum(counts["refused"].values())

    def break_(self, gateway, mode="error", **fields):
        self.control("POST", "faults", gateway=gateway, mode=mode, **fields)

    def mend(self):
        self.control("DELETE", "faults")

    def slow_down(self, milliseconds):
        self.control("POST", "latency", milliseconds=milliseconds)

    def reset(self):
        self.control("DELETE", "messages")
        self.mend()
        self.slow_down(0)


@dataclass
class World:
    """One process's tools, and short ways to put rows in and look at what became of them."""

    app: App
    tools: Tools
    wake: Wakes
    clock: Clock
    gateways: Gateways

    def add(self, priority="P3", count=1, *, due_in=timedelta(0), **columns) -> list[Any]:
        """Insert pending messages with their event and flow; gives rows with id and uuid."""
        tag = uuid4().hex[:8]
        rows = [
            {
                "priority": priority,
                "message_type": TYPES[Priority(priority)].value,
                "client_id": 1,
                "channel": "email",
                "recipient_address": f"reader-{tag}-{number}@example.com",
                "subject": "Hello",
                "body_text": "Spring is here.",
                "gateway": "postal",
                "scheduled_for": self.clock() + due_in - timedelta(seconds=1),
                "expires_at": self.clock() + due_in + timedelta(hours=1),
                "max_attempts": MAX_ATTEMPTS[priority],
                **columns,
            }
            for number in range(count)
        ]
        with self.tools.engine.begin() as conn:
            returned = (message_queue.c.id, message_queue.c.uuid)
            statement = sa.insert(message_queue).returning(*returned, sort_by_parameter_order=True)
            made = conn.execute(statement, rows).all()
            conn.execute(
                sa.insert(delivery_events),
                [
                    {"message_id": row.id, "priority": priority, "event_type": "queued", "source": "api"}
                    for row in made
                ],
            )
            flow = {"priority": priority, "channel": "email", "client_id": rows[0]["client_id"]}
            conn.execute(insert(lane_flows).values(flow).on_conflict_do_nothing())
        return list(made)

    def one(self, priority="P3", **columns):
        return self.add(priority, **columns)[0]

    def row(self, message):
        query = sa.select(message_queue).where(message_queue.c.id == message.id)
        with self.tools.engine.connect() as conn:
            return conn.execute(query).one()

    def statuses(self, messages) -> dict[str, int]:
        """Count the messages by status."""
        query = (
            sa.select(message_queue.c.status, sa.func.count())
            .where(message_queue.c.id.in_([message.id for message in messages]))
            .group_by(message_queue.c.status)
        )
        with self.tools.engine.connect() as conn:
            return dict(tuple(row) for row in conn.execute(query))

    def events(self, message):
        query = sa.select(delivery_events).where(delivery_events.c.message_id == message.id)
        with self.tools.engine.connect() as conn:
            return conn.execute(query.order_by(delivery_events.c.id)).all()

    def history(self, message) -> list[str]:
        return [event.event_type for event in self.events(message)]

    def change(self, message, **columns):
        """Change a message's row behind everybody's back."""
        self.execute(sa.update(message_queue).where(message_queue.c.id == message.id).values(columns))

    def execute(self, statement, parameters=None):
        with self.tools.engine.begin() as conn:
            return conn.execute(statement, parameters)

    def all(self, statement):
        with self.tools.engine.connect() as conn:
            return conn.execute(statement).all()

    def suppress(self, address, reason="manual", **columns):
        row = {"channel": "email", "address": address, "reason": reason, "source": "test", **columns}
        self.execute(sa.insert(suppression_list).values(row))

    def suppressed(self):
        return self.all(sa.select(suppression_list).order_by(suppression_list.c.id))

    def claims(self):
        return self.all(sa.select(claims_table).order_by(claims_table.c.created_at))

    def lapse(self):
        """Let every open claim's lease be over."""
        past = sa.func.now() - timedelta(seconds=1)
        self.execute(
            sa.update(claims_table)
            .where(claims_table.c.state != "closed")
            .values(lease_until=past, created_at=sa.func.now() - timedelta(hours=1))
        )

    def limit(self, limit_type, limit_key, **figures):
        self.execute(sa.insert(rate_limits).values(limit_type=limit_type, limit_key=limit_key, **figures))
        self.tools.catalog.forget()

    def batch(self, **columns):
        """Insert a batch that is wholly expanded; gives its id."""
        shared = {
            "client_id": self.client(),
            "priority": "P3",
            "message_type": "campaign",
            "channel": "email",
            "state": "expanded",
            **columns,
        }
        made = sa.insert(message_batches).values(shared).returning(message_batches.c.id)
        return self.execute(made).scalar_one()

    def client(self):
        made = sa.insert(api_clients).values(name=uuid4().hex).returning(api_clients.c.id)
        return self.execute(made).scalar_one()

    def counted(self, batch) -> dict[str, int]:
        """Add up what the trigger counted for a batch."""
        query = (
            sa.select(batch_deltas.c.status, sa.func.sum(batch_deltas.c.change))
            .where(batch_deltas.c.batch_id == batch)
            .group_by(batch_deltas.c.status)
        )
        return {status: int(count) for status, count in self.all(query) if count}

    def health(self, gateway):
        return self.all(sa.select(channel_health).where(channel_health.c.gateway == gateway))

    def with_tools(self, **changes) -> "World":
        """The same world seen by a process with other tools."""
        return replace(self, tools=replace(self.tools, **changes))


@pytest.fixture(scope="session")
def gateways() -> Iterator[Gateways]:
    """Simulated gateways that tell nothing by webhook."""
    options = Options(port=free_base(), slow=timedelta(seconds=1), seed=1)
    with simulating(options), urllib3.PoolManager(retries=False, timeout=10, maxsize=8) as http:
        yield Gateways(options.port, http)


@pytest.fixture
def settings(database_url, redis_url, gateways) -> Settings:
    simulator = {
        name.lower(): value
        for name, value in environment(gateways.base).items()
        if not name.startswith(FURTHER_GATEWAYS)
    }
    return Given(
        database_url=database_url,
        redis_url=redis_url,
        gateway_timeout_seconds=TIMEOUT,
        gateway_concurrency=16,
        **simulator,
    )


@pytest.fixture
def world(settings, gateways) -> Iterator[World]:
    """One process, with a sender for every kind of message."""
    gateways.reset()
    app = build(settings, "test", connections=12)
    wake, clock = Wakes(), Clock()
    tools = replace(app.tools, wake=wake, now=clock, chance=lambda: 0.0)
    world = World(app=app, tools=tools, wake=wake, clock=clock, gateways=gateways)
    house = {
        "slug": "house",
        "channel": "email",
        "address": "house@example.com",
        "name": "The House",
        "default_for": [kind.value for kind in MessageType],
    }
    world.execute(sa.insert(senders).values(house))
    yield world
    gateways.mend()
    # A connection that comes back to a pool which is gone is closed by nobody.
    wait_for(lambda: not app.catalog._renewing)
    app.engine.dispose()
    app.redis.close()
    if "broker" in app.__dict__:
        app.broker.client.close()


def wait_for(condition, within=15.0):
    """Wait until a condition holds; give what it came to."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.005)
    return found


def only(things: Sequence[Any]) -> Any:
    (thing,) = things
    return thing


@contextlib.contextmanager
def meanwhile(condition, action):
    """Do something in another thread as soon as a condition holds, while the block runs."""
    failures = []

    def watch():
        try:
            wait_for(condition)
            action()
        except BaseException as exc:  # noqa: BLE001 - raised in the test's own thread
            failures.append(exc)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


@dataclass
class Outages:
    """Takes PostgreSQL or Valkey away from everybody, and gives them back."""

    superuser: psycopg.Connection[Any]
    database: str
    valkey: Any

    @contextlib.contextmanager
    def without_postgres(self):
        self.cut_postgres()
        try:
            yield
        finally:
            self.restore_postgres()

    def cut_postgres(self):
        self._allow(False)
        self.superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.database]
        )

    def restore_postgres(self):
        self._allow(True)

    def _allow(self, allowed):
        name = sql.Identifier(self.database)
        self.superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, allowed))

    @contextlib.contextmanager
    def without_valkey(self):
        self.cut_valkey()
        try:
            yield
        finally:
            self.restore_valkey()

    def cut_valkey(self):
        # Nobody finds the server any more; who is connected is thrown out.
        with redis.Redis.from_url(self.valkey.url(), single_connection_client=True) as client:
            client.ping()
            self.valkey.socket.rename(self._hidden)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def restore_valkey(self):
        if self._hidden.exists():
            self._hidden.rename(self.valkey.socket)

    @property
    def _hidden(self):
        return self.valkey.socket.with_suffix(".away")


@pytest.fixture
def outages(world, databases, valkey) -> Iterator[Outages]:
    """The means to take servers away; both are back at the end."""
    outages = Outages(superuser=databases.connection, database=databases.used[0], valkey=valkey)
    yield outages
    outages.restore_postgres()
    outages.restore_valkey()
