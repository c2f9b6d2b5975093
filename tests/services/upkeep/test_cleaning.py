from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from app.db.sql import statement
from app.domain.vocabulary import Priority
from app.queue import PACKAGE, claims
from app.services.upkeep import cleaning
from app.services.upkeep.cleaning import clean_up, drop_parked, forget_runs
from app.services.upkeep.partitions import ensure_partitions

MONTH = timedelta(days=30)
OLD = {"updated_at": "now() - interval '31 days'", "created_at": "now() - interval '32 days'"}
TIMES = {"sent_at": "now()", "delivered_at": "now()"}
LOCKED = {"locked_by": "gen_random_uuid()", "locked_at": "now()"}


@pytest.mark.parametrize(
    "status", ["sent", "delivered", "bounced", "failed", "expired", "cancelled", "suppressed"]
)
def test_a_message_that_rests_is_removed_after_its_time(table, tools, status):
    table.messages("P3", status=f"'{status}'", **TIMES, **OLD)
    clean_up(tools, MONTH)
    assert table.statuses() == {}


@pytest.mark.parametrize(("status", "more"), [("pending", {}), ("processing", LOCKED), ("held", {})])
def test_a_message_on_its_way_is_never_removed(table, tools, status, more):
    [message] = table.messages("P3", status=f"'{status}'", **OLD, **more)
    clean_up(tools, MONTH)
    assert table.statuses() == {message: status}


def test_a_message_that_came_to_rest_lately_is_kept(table, tools):
    [message] = table.messages("P3", status="'failed'", **OLD | {"updated_at": "now() - interval '29 days'"})
    clean_up(tools, MONTH)
    assert table.statuses() == {message: "failed"}


def test_the_walk_goes_past_old_messages_that_stay(table, tools, monkeypatch):
    monkeypatch.setattr(cleaning, "AT_A_TIME", 10)
    table.messages("P1", 25, **OLD)
    table.messages("P1", 5, status="'failed'", **OLD)
    assert clean_up(tools, MONTH) == "message_queue 5"


def test_every_lane_is_cleaned(table, tools):
    for priority in ("P0", "P1", "P2", "P3", "P4"):
        table.messages(priority, status="'failed'", **OLD)
    clean_up(tools, MONTH)
    assert table.statuses() == {}


def test_it_stops_when_the_process_does(table, tools):
    table.messages("P1", status="'failed'", **OLD)
    tools.stopping.set()
    clean_up(tools, MONTH)
    assert len(table.statuses()) == 1


def test_claims_go_a_day_after_they_were_closed(table, tools):
    for state, age in (("closed", "25 hours"), ("closed", "23 hours"), ("sending", "25 hours")):
        table(
            "INSERT INTO claims (uuid, priority, size, worker, state, lease_until)"
            " VALUES (gen_random_uuid(), 'P1', 1, %s, %s, now() - %s::interval)",
            *(age, state, age),
        )
    clean_up(tools, MONTH)
    assert table("SELECT state, worker FROM claims ORDER BY 1") == [
        ("closed", "23 hours"),
        ("sending", "25 hours"),
    ]


def test_keys_of_facts_outlive_messages_by_a_week(table, tools):
    for age in ("38 days", "36 days"):
        table("INSERT INTO event_keys VALUES (gen_random_uuid(), now() - %s::interval)", age)
    clean_up(tools, MONTH)
    assert table.one("SELECT count(*) FROM event_keys") == 1


def test_more_than_one_lot_of_what_is_old_goes_in_one_go(table, tools, monkeypatch):
    monkeypatch.setattr(cleaning, "AT_A_TIME", 10)
    for _ in range(25):
        table("INSERT INTO event_keys VALUES (gen_random_uuid(), now() - interval '38 days')")
    assert clean_up(tools, MONTH) == "event_keys 25"


def test_it_does_not_go_on_for_longer_than_it_may(table, tools, monkeypatch):
    monkeypatch.setattr(cleaning, "LONGEST", timedelta(0))
    table.messages("P1", status="'failed'", **OLD)
    table("INSERT INTO event_keys VALUES (gen_random_uuid(), now() - interval '38 days')")
    assert clean_up(tools, MONTH) == ""


def test_what_a_gateway_told_is_erased_after_retention_and_gone_a_week_later(table, tools):
    table.inbox(age="38 days", processed=True)
    erased = table.inbox(age="31 days", processed=True)
    clean_up(tools, MONTH)
    assert table("SELECT id, url, headers, body, erased_at IS NOT NULL FROM webhook_inbox") == [
        (erased, "", {}, None, True)
    ]


def test_a_webhook_that_nobody_processed_is_kept_as_it_came(table, tools):
    table.inbox(age="99 days")
    clean_up(tools, MONTH)
    assert table("SELECT body FROM webhook_inbox") == [(b"body",)]


def finished_batch(table, age="31 days"):
    batch = table.batch(state="finished")
    table("UPDATE message_batches SET finished_at = now() - %s::interval WHERE id = %s", age, batch)
    table("INSERT INTO batch_rejects VALUES (%s, 1, 'bad')", batch)
    return batch


def test_an_old_batch_goes_with_its_rejects_once_no_message_of_it_is_left(table, tools):
    finished_batch(table)
    clean_up(tools, MONTH)
    assert table.one("SELECT count(*) FROM message_batches") == 0
    assert table.one("SELECT count(*) FROM batch_rejects") == 0


def test_a_batch_with_a_message_stays(table, tools):
    batch = finished_batch(table)
    table.messages("P2", batch_id=str(batch))
    clean_up(tools, MONTH)
    assert table("SELECT id FROM message_batches") == [(batch,)]


def test_young_and_unfinished_batches_stay(table, tools):
    finished_batch(table, age="29 days")
    table.batch(state="expanded")
    clean_up(tools, MONTH)
    assert table.one("SELECT count(*) FROM message_batches") == 2


def test_idempotency_keys_go_when_their_time_is_over(table, tools):
    table(
        "INSERT INTO idempotency_keys (client_id, key, request_hash, state, expires_at)"
        " VALUES (1, 'old', '', 'in_flight', now() - interval '1 s'),"
        " (1, 'new', '', 'in_flight', now() + interval '1 h')"
    )
    clean_up(tools, MONTH)
    assert table("SELECT key FROM idempotency_keys") == [("new",)]


def test_holds_that_are_long_over_are_forgotten_and_an_open_one_is_not(table, tools):
    table(
        "INSERT INTO lane_holds (priority, channel, held_from, held_until) VALUES"
        " ('P2', 'email', now() - interval '40 days', now() - interval '31 days'),"
        " ('P3', 'email', now() - interval '40 days', now() - interval '29 days'),"
        " ('P2', 'sms', now() - interval '40 days', NULL)"
    )
    clean_up(tools, MONTH)
    assert table("SELECT priority, channel FROM lane_holds ORDER BY 1") == [("P2", "sms"), ("P3", "email")]


def test_parked_facts_are_dropped_after_a_week(table, tools):
    for age in ("8 days", "6 days"):
        table(
            "INSERT INTO parked_events (gateway, fact, recorded_at)"
            " VALUES ('postal', '{}', now() - %s::interval)",
            age,
        )
    assert drop_parked(tools) == 1


def test_runs_of_frequent_jobs_are_forgotten_after_an_hour_and_others_are_not(table, tools):
    for job, age in (("often", "61 minutes"), ("often", "59 minutes"), ("seldom", "61 minutes")):
        table("INSERT INTO job_runs (job, slot, holder) VALUES (%s, now() - %s::interval, 'h')", job, age)
    assert forget_runs(tools, ["often"]) == 1
    assert table("SELECT job FROM job_runs ORDER BY 1") == [("often",), ("seldom",)]


def test_partitions_that_are_missing_are_made_as_the_application(table, tools, owner_url):
    assert ensure_partitions(tools) == 0
    last = table.one(
        "SELECT max(relname) FROM pg_class WHERE relname ~ '^delivery_events_y....m..$' AND relkind = 'r'"
    )
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(f"DROP TABLE {last}")
    assert ensure_partitions(tools) == 1


def test_what_people_sent_goes_after_the_retention(table, tools):
    for age in ("31 days", "29 days"):
        table(
            "INSERT INTO inbound_messages (channel, gateway, sender_address, recipient_address, received_at)"
            f" VALUES ('sms', 'twilio', '+1', '+2', now() - interval '{age}')"
        )
    clean_up(tools, timedelta(days=30))
    assert table.one("SELECT count(*) FROM inbound_messages") == 1


def test_devices_out_of_use_go_after_the_retention(table, tools):
    ages = {"long": "now() - interval '31 days'", "lately": "now() - interval '29 days'", "never": "NULL"}
    for token, at in ages.items():
        why = "NULL" if at == "NULL" else "'gateway'"
        table(
            "INSERT INTO device_tokens (token, platform, recipient_id, deactivated_at, deactivated_why)"
            f" VALUES ('{token}', 'fcm', 1, {at}, {why})"
        )
    clean_up(tools, timedelta(days=30))
    assert table("SELECT token FROM device_tokens ORDER BY token") == [("lately",), ("never",)]


def test_while_messages_are_removed_others_are_claimed(table, tools, database_url):
    table.messages("P3", 50, status="'failed'", **OLD)
    due = table.messages("P3", 5)
    parameters = {"priority": "P3", "after": 0, "kept": MONTH, "limit": 1000}
    with psycopg.connect(database_url.replace("+psycopg", "")) as cleaner:
        # Not committed yet: as long as it can take.
        removed, _ = cleaner.execute(statement(PACKAGE, "remove_messages"), parameters).fetchone()
        assert removed == 50
        table("SET statement_timeout = '2s'")
        with tools.once.connect() as conn:
            claimed = claims.claim_these(conn, tools.lanes[Priority.P3], uuid4(), due, worker="beside")
    assert len(claimed.messages) == 5


def test_what_is_known_of_look_ups_and_replays_goes_in_time(table, tools):
    for age, name in (("8 days", 1), ("6 days", 2)):
        table(
            "INSERT INTO lookups (message_id, priority, result, asked_at, next_at)"
            " VALUES (%s, 'P3', 'not found yet', now() - %s::interval, now())",
            *(name, age),
        )
    for state, age in (("finished", "31 days"), ("finished", "29 days"), ("running", None)):
        table(
            "INSERT INTO replays (who, why, source, criteria, per_second, state, finished_at)"
            " VALUES (%s, '', 'api', '{}', 1, %s, now() - %s::interval)",
            *(state, state, age),
        )
    clean_up(tools, MONTH)
    assert table("SELECT message_id FROM lookups") == [(2,)]
    assert table("SELECT state FROM replays ORDER BY 1") == [("finished",), ("running",)]


def test_the_audit_log_is_kept(table, tools):
    table(
        "INSERT INTO audit_log (actor, action, target, at) VALUES ('a', 'b', 'c', now() - interval '9 years')"
    )
    clean_up(tools, MONTH)
    assert table.one("SELECT count(*) FROM audit_log") == 1
