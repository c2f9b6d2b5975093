"""How PostgreSQL finds what sequences ask for, however many there are and however full the queue is."""

import pytest
import sqlalchemy as sa

from app.db.sql import statement
from app.queue import PACKAGE

FILL = """
INSERT INTO message_queue (
    priority, message_type, client_id, channel, recipient_address, expires_at, max_attempts)
SELECT 'P1', 'alert', :client, 'email', 'reader' || n || '@example.com', now() + interval '1 hour', 3
FROM generate_series(1, 20000) AS n;
INSERT INTO delivery_events (message_id, priority, event_type, source)
SELECT id, priority, 'queued', 'test' FROM message_queue;
INSERT INTO sequences (client_id, scopes) SELECT :client, '{}' FROM generate_series(1, 5000);
INSERT INTO sequence_steps (sequence_id, position, channel, after, due_at, state, request)
SELECT s.id, p, 'email', '1 min', now() + (s.id || ' min')::interval - interval '2 min',
    CASE WHEN p = 1 THEN 'sent' ELSE 'waiting' END, CASE WHEN p > 1 THEN '{}'::jsonb END
FROM sequences AS s CROSS JOIN generate_series(1, 3) AS p;
INSERT INTO sequence_messages (sequence_id, position, message_id, message_priority, message_uuid)
SELECT s.id, 1, m.id, m.priority, m.uuid
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM sequences) AS s
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS n FROM message_queue) AS m USING (n);
"""


@pytest.fixture
def full(place, owner_url):
    for part in FILL.split(";\n"):
        if part.strip():
            place.do(part, **({"client": place.caller.client_id} if ":client" in part else {}))
    url = sa.make_url(owner_url).set(drivername="postgresql+psycopg")
    owner = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with owner.connect() as conn:
        conn.execute(sa.text("VACUUM ANALYZE"))
    owner.dispose()
    return place


def nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def scans(place, name, **parameters):
    with place.engine.begin() as conn:
        query = "EXPLAIN (FORMAT JSON) " + statement(PACKAGE, name)
        (plan,) = conn.exec_driver_sql(query, parameters).scalar_one()
    return [node for node in nodes(plan["Plan"]) if "Relation Name" in node and "Scan" in node["Node Type"]]


def test_due_steps_are_found_by_their_index(full):
    (scan,) = scans(full, "due_steps", limit=100)
    assert scan["Index Name"] == "sequence_steps_due_idx"


def test_taking_a_step_reads_nothing_from_one_end_to_the_other(full):
    sequence = full.value("SELECT min(id) FROM sequences")
    found = scans(full, "take_step", sequence=sequence, position=2)
    filled = {row[0] for row in full.all("SELECT relname FROM pg_class WHERE reltuples > 100")}
    read = {scan["Relation Name"]: scan["Node Type"] for scan in found if scan["Relation Name"] in filled}
    assert {"message_queue_p1", "sequence_steps", "sequence_messages", "sequences"} <= set(read)
    assert "Seq Scan" not in read.values()
