"""Tools of a process whose wakes are written down, on real servers, and rows as old as a test wants."""

from dataclasses import dataclass, field, replace

import psycopg
import pytest
from psycopg.types.json import Jsonb

from app.bootstrap import build
from tests.given import Given


@dataclass
class RecordingWake:
    """Writes down who was told of what, in order."""

    told: list[tuple] = field(default_factory=list)

    def lane(self, priority, *, sweep=False):
        self.told.append(("lane", priority.value, sweep))

    def claim(self, priority, claim):
        self.told.append(("claim", priority.value, claim))

    def failover(self, priority, messages):
        self.told.append(("failover", priority.value, tuple(messages)))

    def batch(self, priority, batch):
        self.told.append(("batch", priority.value, batch))

    def release(self, priority):
        self.told.append(("release", priority.value))

    def inbox(self):
        self.told.append(("inbox",))

    def parked(self):
        self.told.append(("parked",))

    def topics(self):
        self.told.append(("topics",))


class Table:
    """Rows of one test's database."""

    def __init__(self, url):
        self.conn = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self.conn.execute("INSERT INTO api_clients (id, name) VALUES (1, 'first'), (2, 'second')")

    def __call__(self, statement, *parameters):
        cursor = self.conn.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def one(self, statement, *parameters):
        return self(statement, *parameters)[0][0]

    def messages(self, priority, count=1, *, client=1, channel="email", flow=True, **columns):
        """Add pending messages; a column's value is SQL."""
        columns = {
            "message_type": "'alert'",
            "recipient_address": "'reader' || n || '@example.com'",
            "scheduled_for": "now()",
            "expires_at": "now() + interval '1 hour'",
            "max_attempts": "3",
            **columns,
        }
        if flow:
            self(
                "INSERT INTO lane_flows VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", priority, channel, client
            )
        names, values = ", ".join(columns), ", ".join(columns.values())
        rows = self(
            f"INSERT INTO message_queue (priority, client_id, channel, {names})"
            f" SELECT '{priority}', {client}, '{channel}', {values} FROM generate_series(1, {count}) AS n"
            " RETURNING id"
        )
        return [row[0] for row in rows]

    def statuses(self):
        return dict(self("SELECT id, status FROM message_queue"))

    def event(self, message, priority, event_type, outcome=None, age="0 s"):
        self(
            "INSERT INTO delivery_events (message_id, priority, event_type, outcome, gateway, source,"
            " recorded_at) VALUES (%s, %s, %s, %s, 'postal', 'postal', now() - %s::interval)",
            *(message, priority, event_type, outcome, age),
        )

    def events(self, message):
        return self(
            "SELECT event_type, outcome, data FROM delivery_events WHERE message_id = %s ORDER BY id", message
        )

    def batch(self, state="accepted", priority="P2", **columns):
        columns = {"client_id": 1, "message_type": "newsletter", "channel": "email", **columns}
        names = ", ".join(columns)
        marks = ", ".join(["%s"] * len(columns))
        return self.one(
            f"INSERT INTO message_batches (priority, state, {names}) VALUES (%s, %s, {marks}) RETURNING id",
            *(priority, state, *columns.values()),
        )

    def inbox(self, *, age="0 s", processed=False):
        return self.one(
            "INSERT INTO webhook_inbox (gateway, url, headers, body, received_at, processed_at)"
            " VALUES ('postal', 'https://x/?k=1', %s, 'body', now() - %s::interval,"
            " CASE WHEN %s THEN now() END) RETURNING id",
            *(Jsonb({"a": "b"}), age, processed),
        )


@pytest.fixture
def wake():
    return RecordingWake()


@pytest.fixture
def table(database_url):
    table = Table(database_url)
    yield table
    table.conn.close()


@pytest.fixture
def make_tools(database_url, redis_url, wake):
    apps = []

    def make(**changes):
        configured = Given(
            database_url=database_url,
            redis_url=redis_url,
            postal_url="http://127.0.0.1:9",
            postal_api_key="key",
        )
        apps.append(build(configured, "test", connections=5))
        return replace(apps[-1].tools, wake=wake, **changes)

    yield make
    for app in apps:
        app.engine.dispose()
        app.redis.close()


@pytest.fixture
def tools(make_tools):
    return make_tools()
