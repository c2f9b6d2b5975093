"""console: every page of the menu, and a message's own, with ten million messages in the table."""

import http.client
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from admin.menu import GROUPS
from app.db.engine import make_engine
from app.services.audit import Who
from app.services.users import create_user
from bench import fill
from bench.ground import Ground, ground
from bench.ports import free_port, is_free
from bench.processes import tocsin
from bench.results import Result, percentile
from bench.sizes import Size
from bench.waiting import until

MESSAGES = 10_000_000
PRIORITY = "P3"
# So many webhooks, suppressions, devices and lines of the audit log there are for a hundred messages.
BESIDE = 5
LOOKS = 60
SLOWEST = 300  # ms
_AT_ONCE = 250_000
_EMAIL, _PASSWORD = "bench@example.com", "correct horse battery staple"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')

_MESSAGES = """
INSERT INTO message_queue (
    priority, message_type, client_id, channel, recipient_type, recipient_id, recipient_address, subject,
    body_text, gateway, ip_pool, status, attempts, max_attempts, scheduled_for, expires_at, created_at,
    sent_at, delivered_at, last_error, last_error_class, external_id)
SELECT
    %(priority)s, 'campaign', %(client)s, 'email', 'smb', i, 'reader' || i || '@mail' || i %% 50 ||
    '.example.com', 'Your table', 'We kept a table for you.',
    CASE WHEN i %% 4 = 0 THEN 'ses' ELSE 'postal' END,
    'campaigns', s.status, CASE WHEN s.status = 'pending' THEN 0 ELSE 1 END, 3, s.at, s.at + interval '1 day',
    s.at, CASE WHEN s.status IN ('sent', 'delivered', 'bounced') THEN s.at END,
    CASE WHEN s.status = 'delivered' THEN s.at END,
    CASE WHEN s.status IN ('bounced', 'failed') THEN '550 5.1.1 No such user' END,
    CASE WHEN s.status IN ('bounced', 'failed') THEN 'recipient' END,
    CASE WHEN s.status IN ('sent', 'delivered', 'bounced') THEN i::text END
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN i %% 500 = 0 THEN 'pending' WHEN i %% 100 < 90 THEN 'delivered'
            WHEN i %% 100 < 95 THEN 'bounced' WHEN i %% 100 < 98 THEN 'failed' ELSE 'sent' END AS status,
        now() - (%(count)s::int - i) * interval '1 s' / 4 AS at
) AS s
"""
_WEBHOOKS = """
INSERT INTO webhook_inbox (gateway, url, headers, body, received_at, processed_at, tries, result)
SELECT
    CASE WHEN i %% 4 = 0 THEN 'ses' ELSE 'postal' END, 'https://mail.example.com/webhooks', '{}', '{}',
    now() - (%(count)s::int - i) * interval '1 s',
    now() - (%(count)s::int - i) * interval '1 s' + interval '90 ms', 1,
    CASE WHEN i %% 1000 = 0 THEN 'failed: ValueError' ELSE 'recorded 1, repeated 0, parked 0' END
FROM generate_series(1, %(count)s::int) AS i
"""
_BESIDE = (
    """
    INSERT INTO suppression_list (channel, address, reason, source)
    SELECT 'email', 'gone' || i || '@example.com', 'manual', 'bench'
    FROM generate_series(1, %(count)s::int) AS i
    """,
    """
    INSERT INTO device_tokens (token, platform, recipient_id)
    SELECT 'token' || i, 'fcm', i FROM generate_series(1, %(count)s::int) AS i
    """,
    """
    INSERT INTO audit_log (actor, action, target, why, at)
    SELECT 'console/anna@example.com', 'message.open', 'message:' || i, 'A customer asked', now()
    FROM generate_series(1, %(count)s::int) AS i
    """,
    # A month of a busy service: these are as many whatever the table of messages holds.
    """
    INSERT INTO throughput (grain, slot, priority, queued, sent, delivered, bounced, failed, expired)
    SELECT g.grain, at, 'P' || p, 900, 880, 870, 10, 5, 1
    FROM (VALUES ('minute', interval '2 days'), ('hour', interval '31 days')) AS g (grain, length)
    CROSS JOIN LATERAL generate_series(
        date_trunc(g.grain, now() - g.length), now(), ('1 ' || g.grain)::interval) AS at
    CROSS JOIN generate_series(0, 4) AS p
    """,
    """
    INSERT INTO delivery_counts (slot, priority, gateway, sent, delivered, bounced, failed)
    SELECT at, 'P' || p, gateway, 400, 390, 5, 5
    FROM generate_series(date_trunc('minute', now() - interval '1 day'), now(), '1 minute') AS at
    CROSS JOIN generate_series(0, 4) AS p CROSS JOIN unnest(ARRAY['postal', 'ses', 'twilio']) AS gateway
    """,
)
_FILLED = (
    "message_queue", "webhook_inbox", "suppression_list", "device_tokens", "audit_log", "throughput",
    "delivery_counts", "delivery_events",
)  # fmt: skip
_FLOW = "INSERT INTO lane_flows (priority, channel, client_id) VALUES (%s, 'email', %s)"
_BOUNCED = "SELECT uuid FROM message_queue WHERE status = 'bounced' ORDER BY id LIMIT 1"
_EVENTS = """
INSERT INTO delivery_events (message_id, priority, event_type, gateway, source, attempt)
SELECT id, priority, unnest(ARRAY['queued', 'sent', 'bounced']), gateway, 'worker', 1
FROM message_queue WHERE uuid = %s
"""


@dataclass
class Visitor:
    """Somebody who is signed in, over one connection that stays open."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def sign_in(self) -> None:
        """Come in by the form, as people do."""
        found = _TOKEN.search(self.get("/admin/sign-in"))
        assert found, "the door has no form"
        fields = {"csrf_token": found[1], "email": _EMAIL, "password": _PASSWORD}
        self._ask("POST", "/admin/sign-in", urlencode(fields), expected=302)

    def get(self, path: str) -> str:
        """Read a page; raises AssertionError where it is none."""
        return self._ask("GET", path, expected=200)

    def _ask(self, method: str, path: str, body: str | None = None, *, expected: int) -> str:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body=body, headers=headers)
        answer = self._connection.getresponse()
        content = answer.read().decode()
        assert answer.status == expected, f"{path}: {answer.status} {content[:300]}"
        for line in answer.headers.get_all("Set-Cookie", []):
            self.cookies.update({name: each.value for name, each in SimpleCookie(line).items()})
        return content


def run(size: Size) -> Result:
    """Open each page in turn, so that none has the caches to itself."""
    count, looks = size.of(MESSAGES, least=500), size.of(LOOKS, least=2)
    result = Result(bench="console", what=f"pages with {count:,} messages, signed in, over HTTP")
    result.note("one web process; pages are opened in turn by one person, the first round is not counted")
    with ground() as stage, stage.connect() as database:
        uuid = _fill(database, count)
        _sign_up(stage)
        port = free_port()
        with stage.running(*tocsin("web"), HOST="127.0.0.1", PORT=str(port)):
            until(lambda: not is_free(port), "the web process listens")
            with closing(Visitor(port)) as visitor:
                visitor.sign_in()
                taken = _look(visitor, dict(_places(uuid)), looks)
    for name, seconds in taken.items():
        result.add(f"{name}, p95", "ms", percentile(seconds, 95) * 1000, at_most=SLOWEST)
    return result


def _look(visitor: Visitor, places: Mapping[str, str], looks: int) -> dict[str, list[float]]:
    taken = defaultdict(list)
    for number in range(looks + 1):
        for name, path in places.items():
            began = time.perf_counter()
            visitor.get(path)
            if number:
                taken[name].append(time.perf_counter() - began)
    return taken


def _places(uuid: str) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        for page in group.pages:
            path = page.key.replace("_", "-")
            yield page.title, "/admin/" if page.key == "home" else f"/admin/{path}/"
    yield "a message", f"/admin/messages/{uuid}"
    yield "messages to one address", "/admin/messages/?address=reader77%40mail27.example.com"
    yield "messages that failed", "/admin/messages/?status=failed"
    yield "messages by a rare gateway", "/admin/messages/?gateway=sendgrid"
    yield "webhooks put aside", "/admin/webhooks/?state=failed"


def _fill(database: psycopg.Connection, count: int) -> str:
    """Put messages and what comes with them into the tables; gives the uuid of one that bounced."""
    client = fill.prepare(database)
    for first in range(1, count + 1, _AT_ONCE):
        part = {"first": first, "last": min(first + _AT_ONCE - 1, count)}
        database.execute(_MESSAGES, {**part, "count": count, "client": client, "priority": PRIORITY})
    database.execute(_FLOW, (PRIORITY, client))
    few = {"count": max(count * BESIDE // 100, 10)}
    database.execute(_WEBHOOKS, few)
    for statement in _BESIDE:
        database.execute(statement, few)
    row = database.execute(_BOUNCED).fetchone()
    assert row
    database.execute(_EVENTS, row)
    for table in _FILLED:
        database.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
    return str(row[0])


def _sign_up(stage: Ground) -> None:
    engine = make_engine(stage.variables["DATABASE_URL"], pool=1, name="bench")
    try:
        create_user(engine, Who(actor="bench"), _EMAIL, role="admin", password=_PASSWORD)
    finally:
        engine.dispose()
