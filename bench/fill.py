"""Filling the queue for a bench, without going through accept."""

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bench.calling import TYPES

SUBJECT = "{{ first }}, your table for {{ day }}"
TEXT = f"""Hello {{{{ first }}}},

this week we kept a table for you at {{{{ place }}}} on {{{{ day }}}}. Come when it suits you; the kitchen is
open until ten, and with the code {{{{ code }}}} the first round is on the house.
{"We look forward to seeing you again. " * 12}"""
HTML = "<html><body><h1>Hello {{ first }}</h1><p>" + TEXT.replace("\n\n", "</p><p>") + "</p></body></html>"
VARIABLES = ("first", "day", "place", "code")

_CAMPAIGN = """
INSERT INTO message_queue (
    priority, message_type, client_id, batch_id, channel, recipient_type, recipient_id, recipient_address,
    content_data, gateway, ip_pool, scheduled_for, expires_at, max_attempts)
SELECT
    %(priority)s, %(kind)s, %(client)s, %(batch)s, 'email', 'smb', i, 'reader' || i || '@' ||
    replace(%(domain)s, '#', (i %% 50)::text),
    jsonb_build_object('first', 'Ada' || i, 'day', 'Friday', 'place', 'The Copper Kettle', 'code', 'K' || i),
    %(gateway)s, 'campaigns', clock_timestamp(), now() + interval '1 day', 3
FROM generate_series(1, %(count)s) AS i
"""
_BATCH = """
INSERT INTO message_batches (
    client_id, priority, message_type, channel, template, template_version, state, received, queued, pending)
VALUES (
    %(client)s, %(priority)s, %(kind)s, 'email', 'offer', 1, 'expanded', %(count)s, %(count)s, %(count)s)
RETURNING id
"""
_FLOW = """
INSERT INTO lane_flows (priority, channel, client_id) VALUES (%s, 'email', %s) ON CONFLICT DO NOTHING
"""
_SENDER = """
INSERT INTO senders (slug, channel, address, name, default_for)
SELECT 'bench', 'email', 'bench@example.com', 'Bench', %s
WHERE NOT EXISTS (SELECT FROM senders WHERE channel = 'email')
"""
_TEMPLATE = """
INSERT INTO message_templates (slug, name, channel, active_version) VALUES ('offer', 'Offer', 'email', 1)
RETURNING id
"""
_VERSION = """
INSERT INTO message_template_versions (
    template_id, version, subject, body_html, body_text, variables, created_by)
VALUES (%s, 1, %s, %s, %s, %s, 'bench')
"""


def prepare(database: psycopg.Connection) -> int:
    """Make a client, a sender and a template; returns the client's id."""
    database.execute(_SENDER, (list(TYPES.values()),))
    template = one(database, _TEMPLATE)
    variables = Jsonb([{"name": name} for name in VARIABLES])
    database.execute(_VERSION, (template, SUBJECT, HTML, TEXT, variables))
    return client(database, "bench")


def client(database: psycopg.Connection, name: str) -> int:
    """Make a calling module; returns its id."""
    return one(database, "INSERT INTO api_clients (name) VALUES (%s) RETURNING id", name)


def campaign(
    database: psycopg.Connection,
    client_id: int,
    count: int,
    *,
    priority: str = "P3",
    domain: str = "mail#.example.com",
    gateway: str = "postal",
    vacuum: bool = True,
) -> int:
    """Queue `count` templated emails as one batch; returns the batch's id. A `#` spreads over 50 domains."""
    facts = {"client": client_id, "priority": priority, "kind": TYPES[priority], "count": count}
    batch = database.execute(_BATCH, facts).fetchone()
    assert batch
    database.execute(_CAMPAIGN, {**facts, "batch": batch[0], "domain": domain, "gateway": gateway})
    database.execute(_FLOW, (priority, client_id))
    if vacuum:
        database.execute(sql.SQL("VACUUM ANALYZE {}").format(lane_table(priority)))
    return int(batch[0])


def clear(database: psycopg.Connection) -> None:
    """Empty the queue."""
    database.execute("TRUNCATE message_queue, claims, batch_deltas")


def lane_table(priority: str) -> sql.Identifier:
    """Name the partition of a lane."""
    return sql.Identifier(f"message_queue_{priority.lower()}")


def one(database: psycopg.Connection, query: str, *values: object) -> int:
    """Ask for one number."""
    row = database.execute(query.encode(), values).fetchone()
    assert row
    return int(row[0])
