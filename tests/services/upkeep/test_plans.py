from datetime import timedelta

import psycopg
import pytest

from app.db.sql import statement
from app.queue import PACKAGE

PARTS = [f"message_queue_p{number}" for number in range(5)]
DUE = "message_queue_p1_channel_client_id_scheduled_for_id_idx"
FROM_BEGINNING = {"channels_at": [], "clients_at": [], "times_at": [], "ids_at": []}

STATEMENTS = {
    "lane_depth": ({"priority": "P1", "channel": None, "stopped_clients": [], "limit": 1001}, {DUE}),
    "next_due": ({"priority": "P1", "channels": ["email"]}, {DUE}),
    "recall_slice": (
        {
            "priority": "P1",
            "channel": "email",
            "client_id": 2,
            "at_time": "-infinity",
            "at_id": 0,
            "until": "infinity",
            "size": 5_000,
            "on_clock": True,
            "reasons": ["rate limit: %"],
            "seconds": [0.0],
            "shares": [0.5],
            "gateways": [None],
            "ours": [True],
            "retries": [True],
        },
        {DUE, "message_queue_p1_pkey"},
    ),
    "expire": (
        {"priority": "P1", "size": 20_000, **FROM_BEGINNING},
        {DUE, "message_queue_p1_pkey"},
    ),
    "review_held": (
        {
            "priority": "P1",
            "held_for": timedelta(hours=6),
            "resend": True,
            "on_clock": True,
            "limit": 1000,
        },
        {"message_queue_p1_status_id_idx", "message_queue_p1_pkey"},
    ),
    "remove_messages": (
        {"priority": "P1", "after": 0, "kept": timedelta(days=30), "limit": 1000},
        {"message_queue_p1_pkey"},
    ),
}


def nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.fixture
def backlog(table, owner_url):
    for priority in ("P0", "P1", "P2", "P3", "P4"):
        table.messages(priority, 10_000)
        table.messages(priority, 10_000, client=2, scheduled_for="now() + interval '1 day'")
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE message_queue")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_reads_one_lane_by_its_indexes_alone(table, backlog, name):
    parameters, indexes = STATEMENTS[name]
    [[[plan]]] = table.conn.execute(
        "EXPLAIN (FORMAT JSON) " + statement(PACKAGE, name), parameters
    ).fetchall()
    reads = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") in PARTS]
    scans = [node for node in reads if "Scan" in node["Node Type"]]
    assert {node["Relation Name"] for node in reads} == {"message_queue_p1"}
    assert {node.get("Index Name") for node in scans} <= indexes


EVENTS = """
INSERT INTO delivery_events (message_id, priority, event_type, source, gateway, recorded_at)
SELECT m.id, m.priority, 'sent', 'worker', 'postal', now() + n * interval '15 seconds'
FROM (SELECT id, priority, row_number() OVER (ORDER BY id) AS n FROM message_queue) AS m
"""
STRETCHES = {"tries_between": {}, "recipients_between": {"limit": 200_000}}


@pytest.fixture
def log(table, backlog, owner_url):
    """A hundred thousand tries, a week's and more."""
    table(EVENTS)
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE delivery_events")


def test_a_stretch_of_the_log_is_read_by_its_time_and_its_messages_by_their_numbers(table, log):
    [(since, until)] = table("SELECT now() + interval '2 days', now() + interval '2 days 1 minute'")
    for name, own in STRETCHES.items():
        parameters = {"since": since, "until": until, **own}
        explain = "EXPLAIN (FORMAT JSON, ANALYZE) " + statement(PACKAGE, name)
        [[[plan]]] = table.conn.execute(explain, parameters).fetchall()
        reads = [node for node in nodes(plan["Plan"]) if "Scan" in node["Node Type"] and node["Actual Loops"]]
        events = [node for node in reads if node.get("Relation Name", "").startswith("delivery_events")]
        assert [node["Node Type"] for node in events] == ["Bitmap Heap Scan"]
        messages = [node for node in reads if node.get("Relation Name", "").startswith("message_queue")]
        assert {node["Index Name"] for node in messages} <= {f"{part}_pkey" for part in PARTS}
        # Four tries a minute: each message is looked at once, in the one lane that it is in.
        assert sum(node["Actual Loops"] for node in messages) == 4


def test_the_newest_ranges_of_the_log_are_summarized_by_themselves(table):
    options = """
        SELECT c.reloptions FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'delivery_events_recorded_at_idx'::regclass
    """
    assert {tuple(row[0] or ()) for row in table(options)} == {("autosummarize=on",)}
    table("SELECT ensure_event_partitions(4)")
    assert {tuple(row[0] or ()) for row in table(options)} == {("autosummarize=on",)}
