"""Lanes, workers, scheduler, gateways, webhooks, deliveries, templates, limits."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import rate_limits
from app.domain.vocabulary import Channel, Priority
from app.limits.tokens import Ask
from app.services.deliveries import count_deliveries
from app.services.diagnostics import (
    contents,
    delivery,
    gateways,
    limits,
    queues,
    scheduling,
    webhooks,
    workers,
)
from app.services.diagnostics.findings import Severity
from app.services.limit_counts import recount
from app.services.rejects import note_reject, rejects

LANES = ("emergency", "alerts", "newsletters", "campaigns", "transactional", "events")


def test_a_lane_in_time_is_well_and_one_too_late_is_critical(scene, look, table):
    table.messages("P0", scheduled_for="now() - interval '20 s'")
    table.messages("P3", scheduled_for="now() - interval '5 h'")
    assert look(queues.lanes, scene) == {}
    table.messages("P0", scheduled_for="now() - interval '400 s'")
    found = look(queues.lanes, scene)["lane_over_limit"]
    assert (found.target, found.priority) == ("P0", Severity.CRITICAL)


def test_a_lane_that_has_used_half_of_its_time_is_warned_of(scene, look, table):
    table.messages("P2", scheduled_for="now() - interval '40 min'")
    assert look(queues.lanes, scene)["lane_near_limit"].priority is Severity.MEDIUM


def test_a_claim_that_nobody_releases_is_found(scene, look, table):
    claim = (
        "INSERT INTO claims (uuid, priority, size, worker, state, lease_until)"
        " VALUES (new_uuid(), 'P1', 7, 'w',"
    )
    table(claim + " 'sending', now() - interval '1 min')")
    table(claim + " 'closed', now() - interval '1 h')")
    assert look(queues.stuck, scene) == {}
    table(claim + " 'sending', now() - interval '10 min')")
    assert look(queues.stuck, scene)["claims_stuck"].evidence == {"claims": 1, "messages": 7}


def test_held_messages_are_found(scene, look, table):
    (message,) = table.messages("P2")
    assert look(queues.held, scene) == {}
    table("UPDATE message_queue SET status = 'held' WHERE id = %s", message)
    assert look(queues.held, scene)["held_messages"].evidence == {"count": 1}


def test_what_was_given_up_within_the_hour_by_no_fault_of_its_recipient_is_found(scene, look, table):
    give_up = (
        "UPDATE message_queue SET status = %s, last_error_class = %s, gateway = 'postal', updated_at = %s"
    )
    (message,) = table.messages("P2")

    def given_up(status, error_class=None, ago=timedelta(minutes=59)):
        table(give_up + " WHERE id = %s", status, error_class, scene.now() - ago, message)
        return look(queues.lost, scene)

    assert given_up("expired")["messages_expired"].evidence == {"count": 1}
    assert given_up("expired", ago=timedelta(minutes=61)) == {}
    assert given_up("failed", "recipient") == given_up("failed", "unreachable") == {}
    assert given_up("failed", "config")["messages_failed"].evidence == {
        "count": 1,
        "class": "config",
        "gateway": "postal",
    }


def test_a_batch_that_nobody_expands_is_found(scene, look, table):
    batch = table.batch(state="accepted")
    table("UPDATE message_batches SET accepted_at = now() WHERE id = %s", batch)
    assert look(queues.batches, scene) == {}
    table("UPDATE message_batches SET accepted_at = now() - interval '11 min' WHERE id = %s", batch)
    assert "batches_not_expanded" in look(queues.batches, scene)


@pytest.fixture
def everybody(beats):
    for lane in LANES:
        beats(f"here:{lane}", lanes=[lane])
    beats("here:web", kind="web")


def test_where_everybody_is_alive_nothing_is_found(scene, look, everybody):
    assert look(workers.processes, scene) == {}


def test_a_system_that_has_just_been_started_is_given_a_minute(scene, look, beats, table):
    beats("here:scheduler", kind="scheduler")
    assert "lane_without_workers" in look(workers.processes, scene)
    table("UPDATE process_beats SET started_at = now() - interval '20 s'")
    assert look(workers.processes, scene) == {}


def test_a_lane_without_workers_is_found(scene, look, everybody, table):
    table("UPDATE process_beats SET beat_at = now() - interval '1 min' WHERE name = 'here:emergency'")
    found = look(workers.processes, scene)
    assert found["lane_without_workers"].priority is Severity.CRITICAL
    assert found["process_lost"].target == "here:emergency"


def test_who_was_followed_by_another_is_not_missed(scene, look, everybody, beats):
    beats("here:old", lanes=["alerts"], age="5 min")
    assert look(workers.processes, scene) == {}


def test_a_stuck_process_is_found_and_a_busy_one_is_not(scene, look, everybody, beats):
    beats("here:busy", lanes=["alerts"], still="5 s")
    assert look(workers.processes, scene) == {}
    beats("here:stuck", lanes=["alerts"], still="5 min")
    assert look(workers.processes, scene)["process_stuck"].target == "here:stuck"


def test_processes_of_two_versions_are_found(scene, look, everybody, beats):
    beats("there:new", lanes=["alerts"], version="2.0")
    assert look(workers.processes, scene)["versions_differ"].evidence == {"1.0": 7, "2.0": 1}


def test_a_machine_with_another_time_is_found(scene, look, everybody, beats):
    beats("there:late", lanes=["alerts"], skew="-20 s")
    assert look(workers.processes, scene)["clock_skew"].target == "there:late"


def test_a_missing_web_process_is_found(scene, look, everybody, table):
    table("DELETE FROM process_beats WHERE kind = 'web'")
    assert look(workers.processes, scene).keys() == {"no_web_process"}


def test_a_leader_is_missed_once_its_lease_has_been_over_for_a_while(scene, look, table):
    assert look(scheduling.leader, scene)["no_scheduler"].priority is Severity.CRITICAL
    table("INSERT INTO job_leader VALUES ('scheduler', 'me', now() + interval '3 s')")
    assert look(scheduling.leader, scene) == {}
    table("UPDATE job_leader SET lease_until = now() - interval '20 s'")
    assert "no_scheduler" in look(scheduling.leader, scene)


def job(table, name, slot, *, late="0 s", ran="1 s", result=""):
    table(
        "INSERT INTO job_runs (job, slot, holder, started_at, finished_at, result) VALUES (%s,"
        " now() - %s::interval, 'me', now() - %s::interval + %s::interval,"
        " now() - %s::interval + %s::interval + %s::interval, %s)",
        *(name, slot, slot, late, slot, late, ran, result),
    )


def test_jobs_in_time_are_well(scene, look, table):
    for minutes in (1, 2, 3):
        job(table, "expire", f"{minutes} min")
    job(table, "clean up", "2 min", late="90 s")
    assert look(scheduling.ticks, scene) == {}


def tick(table, name, seconds, *, holder="h"):
    """Insert runs of a job whose time comes every second, this many seconds ago."""
    for ago in seconds:
        table(
            "INSERT INTO job_runs (job, slot, holder, started_at, finished_at)"
            " VALUES (%s, date_trunc('second', now()) - %s::interval, %s,"
            " date_trunc('second', now()) - %s::interval + interval '0.1 s', now())",
            *(name, f"{ago} s", holder, f"{ago} s"),
        )


def test_ticks_that_were_left_out_count_as_late(scene, look, table):
    tick(table, "dispatch urgent", [20, 19, 18, 17, 10, 9, 8])
    assert look(scheduling.ticks, scene)["job_late"].evidence == {
        "jobs": {"dispatch urgent": {"times": 1, "worst_seconds": 6.1}}
    }


def test_ticks_that_often_come_a_little_late_are_found_and_a_few_are_not(scene, look, table):
    tick(table, "expire", [50, 49, 45, 41])
    assert look(scheduling.ticks, scene) == {}
    tick(table, "expire", [37, 33, 29, 25])
    assert look(scheduling.ticks, scene)["job_late"].evidence["jobs"]["expire"]["times"] == 6


def test_where_another_led_or_nobody_did_no_tick_was_late(scene, look, table):
    tick(table, "dispatch", [60, 59, 58, 57])
    tick(table, "dispatch", [20, 19, 18], holder="other")
    assert look(scheduling.ticks, scene) == {}


def test_the_first_tick_of_a_scheduler_that_has_just_begun_was_not_late(scene, look, table):
    job(table, "count deliveries", "1 min", late="42 s")
    assert look(scheduling.ticks, scene) == {}


def test_late_failed_and_endless_jobs_are_found(scene, look, table):
    for minutes in (1, 2, 3):
        job(table, "expire", f"{minutes} min", late="20 s")
        job(table, "dispatch", f"{minutes} min", late="8 s")
    job(table, "rate counters", "30 min", result="failed")
    job(table, "clean up", "40 min", ran=None)
    found = look(scheduling.ticks, scene)
    assert found["job_late"].evidence == {
        "jobs": {
            "expire": {"times": 2, "worst_seconds": 20.0},
            "dispatch": {"times": 2, "worst_seconds": 8.0},
        }
    }
    assert (found["job_failed"].target, found["job_endless"].target) == ("rate counters", "clean up")


def test_a_second_gateway_is_recommended(scene, look):
    assert look(gateways.configured, scene)["no_failover"].target == "email"


def test_a_channel_whose_gateways_are_all_disabled_is_found(scene, look, table):
    table("INSERT INTO gateways (channel, gateway, enabled) VALUES ('email', 'postal', false)")
    scene.catalog.forget()
    assert look(gateways.configured, scene).keys() == {"channel_without_gateway"}


def test_an_open_breaker_is_found_and_a_closed_one_is_not(scene, look):
    assert look(gateways.breakers, scene) == {}
    scene.breakers.trip(Channel.EMAIL, "postal", "the account is closed")
    found = look(gateways.breakers, scene)["breaker_open"]
    assert found.priority is Severity.CRITICAL
    assert "the account is closed" in found.meaning


def test_who_was_disabled_by_hand_is_named(scene, look, table):
    assert look(gateways.health, scene) == {}
    table(
        "INSERT INTO channel_health (channel, gateway, disabled_by, disabled_why) VALUES ('email', 'postal',"
        " 'ada', 'moving')"
    )
    assert "ada: moving" in look(gateways.health, scene)["gateway_disabled"].meaning


def test_health_that_nobody_keeps_up_is_found(scene, look, table):
    table(
        "INSERT INTO channel_health (channel, gateway, is_healthy, last_check_at) VALUES ('email', 'postal',"
        " false, now() - interval '1 h')"
    )
    assert "health_outdated" in look(gateways.health, scene)


def figures(table, hour: str, day: str = "0.9", **of_row: str) -> None:
    columns = {"channel": "'email'", "gateway": "'postal'", **of_row}
    columns |= {"success_rate_1h": hour, "success_rate_24h": day, "last_check_at": "now()"}
    table("DELETE FROM channel_health")
    table(f"INSERT INTO channel_health ({', '.join(columns)}) VALUES ({', '.join(columns.values())})")


@pytest.mark.parametrize(("hour", "priority"), [("0", Severity.HIGH), ("0.7", Severity.MEDIUM)])
def test_a_gateway_that_fails_with_its_breaker_closed_is_found(scene, look, table, hour, priority):
    figures(table, hour)
    found = look(gateways.accepting, scene)["gateway_degraded"]
    assert (found.target, found.priority) == ("email:postal", priority)
    assert "accepted in the last hour" in found.meaning


def test_a_gateway_that_failed_earlier_and_was_not_asked_since_is_told_quietly(scene, look, table):
    figures(table, "NULL", day="0")
    assert look(gateways.accepting, scene)["gateway_degraded"].priority is Severity.LOW


def test_a_gateway_that_accepts_enough_or_whose_breaker_tells_it_is_not_found(scene, look, table):
    figures(table, "0.95")
    assert look(gateways.accepting, scene) == {}
    figures(table, "0.1", breaker_state="'open'")
    assert look(gateways.accepting, scene) == {}
    figures(table, "0.1", gateway="'gone'")
    assert look(gateways.accepting, scene) == {}


def test_doors_that_are_open_are_well_and_shut_ones_are_found(scene, look):
    assert look(gateways.doors, scene) == {}
    assert (
        look(gateways.doors, replace(scene, webhooks=frozenset()))["webhook_not_provable"].target == "postal"
    )


def test_webhooks_that_wait_are_found(scene, look, table):
    table.inbox(age="20 s")
    assert look(webhooks.backlog, scene) == {}
    table.inbox(age="5 min")
    assert look(webhooks.backlog, scene)["inbox_backlog"].priority is Severity.HIGH


def test_webhooks_that_were_given_up_are_found(scene, look, table):
    inbox = table.inbox(processed=True)
    table("UPDATE webhook_inbox SET result = 'recorded 1, repeated 0, parked 0' WHERE id = %s", inbox)
    assert look(webhooks.given_up, scene) == {}
    table("UPDATE webhook_inbox SET result = 'failed: KeyError' WHERE id = %s", inbox)
    assert look(webhooks.given_up, scene)["webhooks_given_up"].evidence["count"] == 1


def test_a_gateway_that_took_much_and_tells_nothing_is_found(scene, look, table):
    count = (
        "INSERT INTO delivery_counts (slot, priority, gateway, sent)"
        " VALUES (now() - interval '3 h', 'P3', 'postal', %s)"
    )
    table(count, 19)
    assert look(webhooks.silent, scene) == {}
    table("DELETE FROM delivery_counts")
    table(count, 20)
    assert look(webhooks.silent, scene)["webhooks_silent"].target == "postal"
    table.inbox(age="5 min", processed=True)
    assert look(webhooks.silent, scene) == {}


def test_webhooks_that_are_often_rejected_are_found(scene, look):
    for _ in range(9):
        note_reject(scene.redis, "postal", "forged", scene.now())
    assert look(webhooks.proof, scene) == {}
    note_reject(scene.redis, "postal", "unproven", scene.now())
    assert look(webhooks.proof, scene)["webhooks_rejected"].evidence == {"forged": 9, "unproven": 1}


def test_rejects_of_yesterday_are_forgotten(scene):
    note_reject(scene.redis, "postal", "forged", scene.now() - timedelta(hours=25))
    assert rejects(scene.redis, ["postal"], scene.now(), hours=24) == {}


def failed(table, template, error_class, priority="P2"):
    (message,) = table.messages(priority, template=f"'{template}'")
    table(
        "UPDATE message_queue SET status = 'failed', last_error_class = %s WHERE id = %s",
        error_class,
        message,
    )


def test_templates_whose_messages_fail_are_found(scene, look, table):
    failed(table, "welcome", "recipient")
    assert look(contents.failing, scene) == {}
    failed(table, "broken", "content")
    failed(table, "broken", "content", priority="P4")
    found = look(contents.failing, scene)["template_fails"]
    assert (found.target, found.evidence["failed"]) == ("broken", 2)


def test_a_limit_that_is_nearly_used_up_is_found(scene, look, app):
    with app.engine.begin() as conn:
        conn.execute(sa.delete(rate_limits))
        row = {"limit_type": "domain", "limit_key": "example.com", "max_per_hour": 10}
        conn.execute(sa.insert(rate_limits).values(row))
    scene.catalog.forget()
    shared = scene.catalog.limits().shared
    recount(app.tools)
    assert look(limits.usage, scene) == {}
    scene.tokens.take([Ask(limits=shared, count=9)], Priority.P0)
    assert look(limits.usage, scene)["limit_nearly_exhausted"].evidence == {"used": 9, "most": 10}
    scene.tokens.take([Ask(limits=shared, count=1)], Priority.P0)
    assert look(limits.usage, scene)["limit_exhausted"].target == "domain:example.com:hour"


def test_limits_that_are_off_are_found(scene, look):
    assert look(limits.usage, replace(scene, tokens=None)).keys() == {"limits_off"}


def test_a_gateway_that_is_sent_to_slowly_is_found(scene, look):
    assert look(limits.paces, scene) == {}
    scene.paces.lower("ses", "*", share=1.0, why="429: too fast", times=10)
    assert look(limits.paces, scene) == {}
    for _ in range(3):
        # Each is as if the one before had been a while ago.
        scene.redis.delete("comm:rate:{limits}:paces:said")
        _age_pace(scene)
        scene.paces.lower("ses", "*", share=1.0, why="429: too fast", times=10)
    found = look(limits.paces, scene)["pace_lowered"]
    assert found.target == "ses|*"
    assert found.evidence["usual"] == 10


def _age_pace(scene):
    key = "comm:rate:{limits}:paces"
    rate, usual, since, rest = scene.redis.hget(key, "ses|*").split(" ", 3)
    scene.redis.hset(key, "ses|*", f"{rate} {usual} {int(since) - 6000} {rest}")


@pytest.mark.parametrize(("level", "priority"), [(0, None), (1, "medium"), (2, "high"), (3, "high")])
def test_names_whose_campaigns_wait_are_found(scene, look, table, level, priority):
    table(
        "INSERT INTO reputations (kind, key, level) VALUES ('domain', 'news.example', %s)",
        level,
    )
    found = look(limits.names, scene)
    assert [each.priority for each in found.values()] == ([priority] if priority else [])


def counts(table, gateway, sent, delivered, bounced):
    table(
        "INSERT INTO delivery_counts (slot, priority, gateway, sent, delivered, bounced)"
        " VALUES (now() - interval '1 h', 'P3', %s, %s, %s, %s)",
        *(gateway, sent, delivered, bounced),
    )


def test_delivery_below_95_percent_is_found(scene, look, table):
    counts(table, "postal", 200, 95, 5)
    counts(table, "smtp", 1000, 0, 20)
    assert look(delivery.rates, scene) == {}
    counts(table, "ses", 200, 90, 10)
    found = look(delivery.rates, scene)["delivery_low"]
    assert (found.target, found.priority) == ("ses", Severity.MEDIUM)


def test_a_gateway_of_which_all_comes_back_is_alarming(scene, look, table):
    counts(table, "postal", 100, 0, 100)
    assert look(delivery.rates, scene)["delivery_low"].priority is Severity.HIGH


def sent(table, priority, seconds):
    ids = table.messages(priority, count=60)
    table(
        "UPDATE message_queue SET status = 'sent', tries = 1, sent_at = greatest(created_at, scheduled_for)"
        " + make_interval(secs => %s), gateway = 'postal' WHERE id = ANY (%s)",
        *(seconds, ids),
    )


def test_handling_above_five_seconds_is_found(scene, look, table):
    sent(table, "P4", 2)
    sent(table, "P3", 900)
    assert look(delivery.handling, scene) == {}
    sent(table, "P0", 7)
    assert look(delivery.handling, scene)["handling_slow"].priority is Severity.HIGH


def test_each_event_is_counted_once_and_inferred_deliveries_not_at_all(app, table):
    (message,) = table.messages("P3")
    for kind in ("sent", "delivered"):
        table.event(message, "P3", kind, age="10 min")
        # The gateway's word for sending is no second one, and neither is ours for a delivery.
        table(
            "INSERT INTO delivery_events (message_id, priority, event_type, gateway, source, recorded_at)"
            " VALUES (%s, 'P3', %s, 'postal', 'worker', now() - interval '9 min')",
            *(message, kind),
        )
    table.event(message, "P3", "delivered", age="5 s")
    count_deliveries(app.tools)
    count_deliveries(app.tools)
    query = "SELECT sum(sent)::int, sum(delivered)::int FROM delivery_counts"
    assert table(query) == [(1, 1)]
    table("UPDATE delivery_counted SET until = until - interval '10 min'")
    assert table(query) == [(1, 1)]


def test_messages_that_wait_for_a_gateway_out_of_use_are_found(scene, look, table):
    named = {"gateway": "'postal'", "gateway_pinned": "true"}
    table.messages("P3", 3, **named)
    table.messages("P3", gateway="'postal'")
    table.messages("P4", **named)
    table.messages("P4", **named, options="""'{"gateway_only": true}'""")
    assert look(gateways.named, scene) == {}
    table("INSERT INTO gateways (channel, gateway, enabled) VALUES ('email', 'postal', false)")
    scene.catalog.forget()
    found = look(gateways.named, scene)["messages_wait_for_gateway"]
    assert (found.target, found.priority, found.evidence["count"]) == ("email:postal", Severity.HIGH, 4)
