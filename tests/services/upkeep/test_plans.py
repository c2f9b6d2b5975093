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
