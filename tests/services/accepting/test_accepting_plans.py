"""The accepting statements read by index, however full the tables are."""

from datetime import timedelta
from importlib import import_module

import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.sql import statement
from app.queue import PACKAGE
from app.services.requests import Filters, Row
from tests.accepting import email, newsletter

# Newsletters fill their own partition; an empty one may be scanned as well as not.
BIG = ("message_queue_p2", "suppression_list", "idempotency_keys", "batch_staging")


@pytest.fixture
def full(place, owner_url):
    """A place with enough of everything that a scan of it would be a mistake."""
    rows = [Row(line, f"user{line}@example.com") for line in range(1, 3001)]
    head = newsletter(source_type="newsletters", source_id=1)
    batch = place.service.send_bulk(place.caller, head, rows).batch
    place.expand(batch)
    place.do(
        "INSERT INTO suppression_list (channel, address, reason, source)"
        " SELECT 'email', 'u' || n || '@example.com', 'manual', 'test' FROM generate_series(1, 3000) AS n"
    )
    place.do(
        "INSERT INTO idempotency_keys (client_id, key, request_hash, state, answer, expires_at)"
        " SELECT 1, 'k' || n, '', 'done', '{}', now() + interval '1 day' FROM generate_series(1, 3000) AS n"
    )
    place.service.send_bulk(place.caller, newsletter(), rows)
    owner = make_engine(owner_url, pool=1, name="test")
    with owner.begin() as conn:
        conn.execute(sa.text("ANALYZE message_queue, suppression_list, idempotency_keys"))
    owner.dispose()
    return place


def plan_of(place, name: str, parameters) -> str:
    with place.engine.connect() as conn:
        rows = conn.exec_driver_sql("EXPLAIN (COSTS OFF) " + statement(PACKAGE, name), parameters)
        return "\n".join(row[0] for row in rows)


def sequential(plan: str) -> list[str]:
    return [line for line in plan.splitlines() if "Seq Scan" in line and any(name in line for name in BIG)]


def parameters_of(place, monkeypatch, call) -> dict[str, dict]:
    """Record what the services give to their statements."""
    seen = {}
    runners = {"accepting": "run_bare"} | dict.fromkeys(
        ("reporting", "cancelling", "expansion", "bulk"), "run"
    )
    for module, runner in runners.items():
        run = getattr(import_module(f"app.services.{module}"), runner)

        def record(conn, package, name, parameters, run=run):
            seen.setdefault(name, dict(parameters))
            return run(conn, package, name, parameters)

        monkeypatch.setattr(f"app.services.{module}.{runner}", record)
    call()
    return seen


def test_accepting_scans_no_table(full, monkeypatch):
    seen = parameters_of(
        full, monkeypatch, lambda: full.service.send(full.caller, email(), idempotency_key="k")
    )
    assert sequential(plan_of(full, "accept", seen["accept"])) == []


def test_cancelling_scans_no_table(full, monkeypatch):
    uuid = full.service.send(full.caller, email()).uuid
    seen = parameters_of(full, monkeypatch, lambda: full.service.cancel(full.caller, uuid))
    assert sequential(plan_of(full, "cancel", seen["cancel"])) == []


def test_a_slice_scans_no_table(full, monkeypatch):
    batch = full.value("SELECT uuid FROM message_batches WHERE state = 'accepted'")
    seen = parameters_of(full, monkeypatch, lambda: full.expand(batch))
    assert sequential(plan_of(full, "expand_slice", seen["expand_slice"])) == []


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"recipient_address": "user5@example.com"},
        {"source_type": "newsletters", "source_id": 1},
    ],
)
def test_searching_scans_no_table(full, filters, monkeypatch):
    plans = []

    def explain(_conn, _cursor, text, parameters, *_):
        if text.startswith("SELECT") and "ORDER BY message_queue.id DESC" in text:
            plans.append((text, parameters))

    sa.event.listen(full.engine, "before_cursor_execute", explain)
    full.service.search(full.caller, Filters(**filters))
    sa.event.remove(full.engine, "before_cursor_execute", explain)
    ((text, parameters),) = plans
    with full.engine.connect() as conn:
        plan = "\n".join(row[0] for row in conn.exec_driver_sql("EXPLAIN (COSTS OFF) " + text, parameters))
    assert "message_queue_p2" in plan
    assert sequential(plan) == []


def test_the_statements_are_short_enough_for_the_driver_to_keep():
    assert len(statement(PACKAGE, "accept")) <= 4096


def test_keys_are_kept_for_a_day(full, monkeypatch):
    seen = parameters_of(
        full, monkeypatch, lambda: full.service.send(full.caller, email(), idempotency_key="k")
    )
    assert seen["accept"]["kept"] == timedelta(hours=24)
