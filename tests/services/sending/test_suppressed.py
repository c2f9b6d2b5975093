"""A recipient who is suppressed while their message waits: no request leaves, on no path."""

from datetime import timedelta

import pytest

from app.domain.vocabulary import Priority
from app.services.sending import lane, release, run
from tests.world import meanwhile, only

ALL = ("P0", "P1", "P2", "P3", "P4")
ADDRESS = "Reader@example.com"
KEY = "reader@example.com"


def work(world, priority):
    return lane.work(world.tools, Priority(priority), sweep=False)


def assert_it_never_left(world, message, requests=0):
    row = world.row(message)
    assert row.status == "suppressed"
    assert "suppressed" in row.last_error
    assert world.history(message)[-1] == "suppressed"
    assert world.gateways.taken(message.uuid) == []
    assert world.gateways.requests("postal") + world.gateways.requests("ses") == requests


@pytest.mark.parametrize("priority", ALL)
def test_while_it_is_due(world, priority):
    message = world.one(priority, recipient_address=ADDRESS)
    world.suppress(KEY)
    work(world, priority)
    assert_it_never_left(world, message)


def test_while_it_waits_for_a_token(world):
    world.limit("domain", "example.com", max_per_hour=1)
    world.one("P3", recipient_address="first@example.com")
    message = world.one("P3", recipient_address=ADDRESS)
    work(world, "P3")
    assert world.row(message).status == "pending"
    world.suppress(KEY)
    world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))
    work(world, "P3")
    assert_it_never_left(world, message, requests=1)


def test_while_its_gateway_says_too_fast(world):
    throttled = "throttled+1@example.com"
    message = world.one("P3", gateway="ses", recipient_address=throttled)
    work(world, "P3")
    world.suppress(throttled)
    world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))
    work(world, "P3")
    assert_it_never_left(world, message, requests=1)


def test_while_its_fate_is_unknown_and_an_operator_sends_it_again(world):
    world.gateways.break_("postal", "timeout")
    message = world.one("P3", recipient_address=ADDRESS)
    work(world, "P3")
    assert world.row(message).status == "held"
    world.suppress(KEY)
    world.gateways.mend()
    world.change(message, status="pending")
    work(world, "P3")
    assert_it_never_left(world, message, requests=1)


@pytest.mark.parametrize("priority", ["P0", "P1", "P4"])
def test_while_it_fails_over(world, priority):
    world.gateways.break_("postal")
    message = world.one(priority, recipient_address=ADDRESS)
    work(world, priority)
    world.suppress(KEY)
    _, messages = only(world.wake.failed_over)
    lane.work_these(world.tools, Priority(priority), messages)
    assert_it_never_left(world, message, requests=1)


def test_while_it_waits_for_its_next_round(world):
    world.gateways.break_("postal")
    message = world.one("P3", recipient_address=ADDRESS)
    work(world, "P3")
    world.suppress(KEY)
    world.gateways.mend()
    world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))
    work(world, "P3")
    assert_it_never_left(world, message, requests=1)


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_before_it_is_replayed(world, status):
    message = world.one("P3", recipient_address=ADDRESS, status=status)
    world.suppress(KEY)
    world.change(message, status="pending")
    work(world, "P3")
    assert_it_never_left(world, message)


def test_in_a_batch(world):
    batch = world.batch(subject="For all", body_text="The same.")
    world.add("P3", 3, batch_id=batch, subject=None, body_text=None)
    message = world.one("P3", batch_id=batch, subject=None, body_text=None, recipient_address=ADDRESS)
    world.suppress(KEY)
    work(world, "P3")
    assert_it_never_left(world, message, requests=3)


def test_while_its_claim_waits_for_a_worker(world):
    world.add("P3", 2)
    message = world.one("P3", gateway="ses", recipient_address=ADDRESS)
    work(world, "P3")
    assert world.row(message).status == "processing"
    world.suppress(KEY)
    lane.work_claim(world.tools, *only(world.wake.claims))
    assert_it_never_left(world, message, requests=2)


def test_while_its_worker_is_lost(world):
    world.add("P3", 2)
    message = world.one("P3", gateway="ses", recipient_address=ADDRESS)
    work(world, "P3")
    world.suppress(KEY)
    world.lapse()
    release.release(world.tools, Priority.P3)
    work(world, "P3")
    assert_it_never_left(world, message, requests=2)


def test_in_the_middle_of_its_claim_once_the_check_is_old(world, monkeypatch):
    monkeypatch.setattr(run, "CHECK_HOLDS", 0.1)
    world.gateways.slow_down(200)
    others = world.add("P3", 20)
    message = world.one("P3", recipient_address=ADDRESS)
    with meanwhile(lambda: world.gateways.accepted() >= 1, lambda: world.suppress(KEY)):
        work(world, "P3")
    assert_it_never_left(world, message, requests=20)
    assert world.statuses(others) == {"sent": 20}


def test_a_fresh_check_is_not_repeated(world, monkeypatch):
    asked = []
    refused = run.checks.refused
    monkeypatch.setattr(run.checks, "refused", lambda *args: asked.append(1) or refused(*args))
    world.add("P3", 40)
    work(world, "P3")
    assert len(asked) == 1


def test_no_check_is_older_than_five_seconds_when_a_request_starts():
    assert run.CHECK_HOLDS == 5.0


# Who is blocked by what


@pytest.mark.parametrize(
    ("reason", "blocked"),
    [
        ("bounce_hard", ALL),
        ("manual", ALL),
        ("legal", ALL),
        ("complaint", ("P1", "P2", "P3")),
        ("bounce_soft", ("P1", "P2", "P3", "P4")),
        ("unsubscribe", ("P2", "P3")),
    ],
)
@pytest.mark.parametrize("priority", ALL)
def test_a_reason_blocks_as_the_rule_says(world, reason, blocked, priority):
    message = world.one(priority, recipient_address=ADDRESS)
    world.suppress(KEY, reason)
    work(world, priority)
    assert world.row(message).status == ("suppressed" if priority in blocked else "sent")


@pytest.mark.parametrize(
    ("scope", "blocks"),
    [
        ({"category": "spring"}, True),
        ({"category": "autumn"}, False),
        ({"community_id": 7}, True),
        ({"community_id": 8}, False),
        ({"sender": "house@example.com"}, True),
        ({"sender": "other@example.com"}, False),
        ({"channel": "all"}, True),
        ({"channel": "sms"}, False),
    ],
)
def test_an_unsubscribe_blocks_what_it_names(world, scope, blocks):
    message = world.one("P3", recipient_address=ADDRESS, category="spring", community_id=7)
    world.suppress(KEY, "unsubscribe", **scope)
    work(world, "P3")
    assert (world.row(message).status == "suppressed") is blocks


def test_a_suppression_that_is_over_blocks_nobody(world):
    message = world.one("P3", recipient_address=ADDRESS)
    world.suppress(KEY, expires_at=world.clock() - timedelta(seconds=1))
    work(world, "P3")
    assert world.row(message).status == "sent"
