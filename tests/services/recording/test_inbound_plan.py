"""What people send us is matched by indexes alone, however many messages there are."""

from datetime import timedelta

import psycopg
import pytest

from app.db.sql import statement
from app.queue import PACKAGE

MESSAGES = """
    INSERT INTO message_queue (
        priority, message_type, client_id, channel, recipient_address, expires_at, max_attempts, status,
        sent_at, options)
    SELECT p, 'campaign', 1, 'sms', '+1555' || n, now(), 3, 'sent', now(), '{"sender": "desk"}'
    FROM generate_series(1, 5000) AS n CROSS JOIN unnest(ARRAY['P0', 'P1', 'P2', 'P3', 'P4']) AS p
"""
ASKED = {
    "numbers": [0, 1],
    "channels": ["sms", "voice"],
    "senders": ["+155542", "+155543"],
    "recipients": ["+15017122661"] * 2,
    "times": ["2026-01-01T00:00:00Z"] * 2,
    "uuids": [None, "0192f0c0-0000-7000-8000-000000000001"],
    "priorities": [None, "P3"],
    "within": timedelta(days=7),
}


def nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.fixture
def owner(owner_url):
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(MESSAGES)
        owner.execute("VACUUM ANALYZE message_queue")
        yield owner


def test_the_message_that_is_answered_is_found_by_its_address_or_uuid(owner):
    [[[plan]]] = owner.execute("EXPLAIN (FORMAT JSON) " + statement(PACKAGE, "answered"), ASKED).fetchall()
    reads = [
        node for node in nodes(plan["Plan"]) if node.get("Relation Name", "").startswith("message_queue_p")
    ]
    assert reads
    assert not [node for node in reads if node["Node Type"] == "Seq Scan"]
    indexes = {node["Index Name"] for node in nodes(plan["Plan"]) if "Index Name" in node}
    used = {index.split("_", 3)[3] for index in indexes if index.startswith("message_queue_p")}
    assert used == {"recipient_key_idx", "uuid_priority_idx"}
