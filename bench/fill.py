"""Filling the queue for a bench, without going through accept."""

import psycopg
from psycopg.types.json import Jsonb

SUBJECT = "{{ first }}, your table for {{ day }}"
TEXT = """Hello {{ first }},

this week we kept a table for you at {{ place }} on {{ day }}. Come when it suits you; the kitchen is open
until ten, and with the code {{ code }} the first round is on the house.
""" + "We look forward to seeing you again. " * 12
HTML = "<html><body><h1>Hello {{ first }}</h1><p>" + TEXT.replace("\n\n", "</p><p>") + "</p></body></html>"

DATA = """jsonb_build_object('first', 'Ada' || i, 'day', 'Friday', 'place', 'The Copper Kettle', 'code', 'K' || i)"""


def prepare(database: psycopg.Connection) -> int:
    """Make a client, senders and a template; returns the client's id."""
    client = database.execute("INSERT INTO api_clients (name) VALUES ('bench') RETURNING id").fetchone()
    database.execute(
        "INSERT INTO senders (slug, channel, address, name, default_for) VALUES ('bench', 'email', "
        "'bench@example.com', 'Bench', '{emergency,alert,newsletter,campaign,transactional}')"
    )
    template = database.execute(
        "INSERT INTO message_templates (slug, name, channel, active_version) "
        "VALUES ('offer', 'Offer', 'email', 1) RETURNING id"
    ).fetchone()
    variables = [{"name": name} for name in ("first", "day", "place", "code")]
    database.execute(
        "INSERT INTO message_template_versions (template_id, version, subject, body_html, body_text, variables, "
        "created_by) VALUES (%s, 1, %s, %s, %s, %s, 'bench')",
        (template[0], SUBJECT, HTML, TEXT, Jsonb(variables)),
    )
    return int(client[0])


def campaign(
    database: psycopg.Connection, client: int, count: int, *, priority: str = "P3", domains: int = 50
) -> int:
    """Queue `count` campaign emails as one batch; returns the batch's id."""
    kind = {"P0": "emergency", "P1": "alert", "P2": "newsletter", "P3": "campaign", "P4": "transactional"}[priority]
    batch = database.execute(
        "INSERT INTO message_batches (client_id, priority, message_type, channel, template, template_version, "
        "state, received, queued, pending) "
        "VALUES (%s, %s, %s, 'email', 'offer', 1, 'expanded', %s, %s, %s) RETURNING id",
        (client, priority, kind, count, count, count),
    ).fetchone()
    database.execute(
        "INSERT INTO lane_flows (priority, channel, client_id) VALUES (%s, 'email', %s) ON CONFLICT DO NOTHING",
        (priority, client),
    )
    database.execute(
        f"""
        INSERT INTO message_queue (
            priority, message_type, client_id, batch_id, channel, recipient_type, recipient_id,
            recipient_address, content_data, gateway, ip_pool, expires_at, max_attempts)
        SELECT %s, %s, %s, %s, 'email', 'smb', i, 'reader' || i || '@mail' || i %% %s || '.example.com', {DATA},
               'postal', 'campaigns', now() + interval '1 day', 3
        FROM generate_series(1, %s) AS i
        """,
        (priority, kind, client, batch[0], domains, count),
    )
    database.execute("VACUUM ANALYZE message_queue")
    return int(batch[0])


def clear(database: psycopg.Connection) -> None:
    """Empty the queue."""
    database.execute("TRUNCATE message_queue, claims, batch_deltas")
