"""What the statements of the send path touch: one partition of the queue, by an index, never all of it."""

import json
import re
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from app.db.sql import statement
from app.embedded.postgres import create_database
from app.queue import PACKAGE

FILL = """
    INSERT INTO message_queue (
        priority, message_type, client_id, channel, recipient_address, gateway, scheduled_for, expires_at,
        max_attempts, status, sent_at, external_id)
    SELECT 'P' || p, 'campaign', 1 + n % 3, 'email', 'r' || n || '@example.com', 'postal',
           now() - n * interval '1 s', now() + interval '1 day', 3,
           CASE WHEN n % 3 = 0 THEN 'pending' ELSE 'sent' END, now(), p || '-' || n
    FROM generate_series(1, 6000) AS n, generate_series(1, 3, 2) AS p;
    INSERT INTO lane_flows SELECT DISTINCT priority, channel, client_id FROM message_queue;
    INSERT INTO suppression_list (channel, address, reason, source)
    SELECT 'email', 'blocked' || n || '@example.com', 'manual', 'test' FROM generate_series(1, 60000) AS n;
"""
CLAIM = {
    "priority": "P3",
    "channels": ["email"],
    "stopped_clients": [],
    "on_clock": False,
    "claim": uuid4(),
    "size": 500,
    "worker": "test",
    "lease": timedelta(seconds=60),
    "channels_at": [],
    "clients_at": [],
    "times_at": [],
    "ids_at": [],
}
IDS = "{" + ",".join(map(str, range(100, 120))) + "}"
SETTLE = {
    "priority": "P3",
    "claim": uuid4(),
    "worker": "test",
    "lease": timedelta(seconds=60),
    "finished": False,
    "source": "worker",
    "ids": IDS,
    **dict.fromkeys(("try_numbers", "delays", "extensions", "rounds", "duplicates"), "{1}"),
    **dict.fromkeys(("statuses", "gateways", "external_ids", "tried", "errors", "error_classes"), "{sent}"),
    **dict.fromkeys(("event_ids", "event_attempts"), "{}"),
    **dict.fromkeys(("event_types", "event_gateways", "event_outcomes", "event_codes"), "{}"),
    **dict.fromkeys(("event_details", "event_external_ids", "event_data"), "{}"),
}
STATEMENTS = {
    "claim": CLAIM,
    "claim_these": {**CLAIM, "ids": list(range(100, 120))},
    "take_over": {"priority": "P3", "claim": uuid4(), "worker": "x", "lease": timedelta(seconds=60)},
    "still_processing": {"priority": "P3", "claim": uuid4()},
    "settle": SETTLE,
    "lane_depth": {"priority": "P3", "channel": "email", "stopped_clients": [], "limit": 1000},
    "lane_load": {"priority": "P3", "limit": 1000},
    "expire": {**CLAIM, "size": 500},
}


@pytest.fixture(scope="module")
def filled(databases, template_database):
    """A database with enough rows that walking over all of them would be dear."""
    databases.connection.execute("DROP DATABASE IF EXISTS filled_for_plans WITH (FORCE)")
    create_database(databases.connection, "filled_for_plans", template=template_database)
    url = sa.make_url(databases.urls("filled_for_plans").owner).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("ANALYZE")
        yield connection
    databases.connection.execute("DROP DATABASE filled_for_plans WITH (FORCE)")


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def plan_of(connection, name, parameters, mode):
    """Run a statement with what PostgreSQL would do at its first, or at its hundredth time."""
    text = statement(PACKAGE, name)
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", text).replace("%%", "%")
    types = ", ".join("unknown" for _ in names)
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        connection.execute(f"PREPARE it ({types}) AS {numbered}" if names else f"PREPARE it AS {numbered}")
        values = psycopg.ClientCursor(connection).mogrify(
            ", ".join(["%s"] * len(names)), [parameters[each] for each in names]
        )
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE it ({values})").fetchone()
        connection.execute("DEALLOCATE it")
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(nodes(found[0]["Plan"]))


def touched(plan):
    """Tell which partitions were really looked into, and how."""
    reads = [node for node in plan if str(node.get("Relation Name", "")).startswith("message_queue")]
    return [node for node in reads if node["Node Type"].endswith("Scan") and node["Actual Loops"] > 0]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_touches_one_partition_and_never_all_of_it(filled, name, mode):
    reads = touched(plan_of(filled, name, STATEMENTS[name], mode))
    assert {node["Relation Name"] for node in reads} <= {"message_queue_p3"}
    assert "Seq Scan" not in {node["Node Type"] for node in reads}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_claiming_finds_due_work_by_one_index_without_sorting_the_lane(filled, mode):
    plan = plan_of(filled, "claim", CLAIM, mode)
    finding = [
        node for node in touched(plan) if "due_idx" in str(node) or "channel" in node.get("Index Name", "")
    ]
    assert finding
    assert {node["Node Type"] for node in finding} <= {"Index Scan", "Index Only Scan"}
    # Each of three flows is read for one row to see whether it has any, and then for its share.
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in finding) <= 501


def test_suppressions_are_looked_up_by_their_address(filled):
    count = 500
    parameters = {
        "ids": "{" + ",".join(map(str, range(count))) + "}",
        "channels": "{" + ",".join(["email"] * count) + "}",
        "keys": "{" + ",".join(f"blocked{n}@example.com" for n in range(count)) + "}",
        "communities": "{" + ",".join(["NULL"] * count) + "}",
        "categories": "{" + ",".join(["NULL"] * count) + "}",
        "senders": "{" + ",".join(["NULL"] * count) + "}",
        "marketing": "{" + ",".join(["t"] * count) + "}",
        "reasons": ["manual"],
    }
    plan = plan_of(filled, "blocked", parameters, "force_custom_plan")
    reads = [node for node in plan if node.get("Relation Name") == "suppression_list"]
    assert reads
    assert "Seq Scan" not in {node["Node Type"] for node in reads}


@pytest.mark.parametrize("by", ["tag", "external id"])
def test_facts_find_their_messages_by_index(filled, by):
    (uuid,) = filled.execute("SELECT uuid FROM message_queue WHERE priority = 'P3' LIMIT 1").fetchone()
    parameters = {
        "numbers": [0],
        "uuids": [uuid if by == "tag" else None],
        "priorities": ["P3" if by == "tag" else None],
        "gateways": ["postal"],
        "external_ids": ["3-7"],
    }
    reads = touched(plan_of(filled, "matching", parameters, "force_custom_plan"))
    # Partitions without a row are walked over as a whole, and rightly so.
    reads = [node for node in reads if node["Relation Name"] in {"message_queue_p1", "message_queue_p3"}]
    assert reads
    assert "Seq Scan" not in {node["Node Type"] for node in reads}
