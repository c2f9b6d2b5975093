"""The account finds each promise that is broken, and nothing else."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from app.cli.demonstration.account import Books, percentiles, settle_up
from app.cli.demonstration.play import Played
from app.cli.demonstration.scenario import FULL, Audience, Crowd, Person, Scenario
from app.domain.vocabulary import Channel, MessageType

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)

EVERYBODY = "every recipient has exactly one message"
EXPLAINED = "every message is in a final state, or in one that explains itself"
LOST = "nothing is lost"
DOUBLED = "nothing is doubled unmarked"
SUPPRESSED = "nobody suppressed was contacted"
IN_TIME = "everything was sent within its priority's time"
REPEATED = "a repeated request is answered as the first was"


class Run:
    """A run under construction: P4 messages to whom one likes."""

    def __init__(self):
        self.people, self.messages, self.acceptances = [], [], []
        self.played = Played()
        self._numbers = count(1)

    def message(self, status="delivered", *, copies=None, blocked=False, **changes):
        """Add a recipient with a message, which one gateway took unless told otherwise."""
        uuid = f"uuid-{next(self._numbers)}"
        address = changes.pop("address", f"{uuid}@example.com")
        self.people.append(Person(address=address, name="Anna", blocked=blocked))
        message = {
            "uuid": uuid, "priority": "P4", "channel": "email", "status": status,
            "recipient_address": address, "batch": None,
            "created_at": NOW.isoformat(), "sent_at": (NOW + timedelta(seconds=1)).isoformat(),
            "expires_at": (NOW + timedelta(hours=1)).isoformat(), "scheduled_for": NOW.isoformat(),
            "possible_duplicate": False, "last_error": None,
        }  # fmt: skip
        self.messages.append(message | changes)
        for gateway, fate in [("postal", "delivered")] if copies is None else copies:
            self.accept(uuid, address, gateway, fate)

    def accept(self, uuid, address, gateway="postal", fate="delivered", at=NOW):
        self.acceptances.append({
            "uuid": uuid, "tag": f"{uuid}_P4_1", "gateway": gateway, "fate": fate, "address": address,
            "received_at": at.isoformat(),
        })  # fmt: skip

    def account(self):
        audience = Audience(message_type=MessageType.TRANSACTIONAL, size=len(self.people))
        crowd = Crowd(audience=audience, people=self.people)
        scenario = Scenario(number=int(NOW.timestamp()), pace=FULL, crowds=(crowd,))
        return settle_up(
            Books(
                scenario=scenario,
                played=self.played,
                primaries={Channel.EMAIL: "postal"},
                messages=self.messages,
                acceptances=self.acceptances,
                accepted_at={"batch": NOW - timedelta(seconds=9)},
                at=NOW,
            )
        )

    def broken(self):
        return {promise.name for promise in self.account().promises if not promise.held}


@pytest.fixture
def run():
    return Run()


def test_where_all_went_well_every_promise_held(run):
    run.message()
    run.message("bounced")
    run.message("sent")
    run.message("suppressed", copies=[], blocked=True, sent_at=None)
    assert run.broken() == set()
    assert run.account().held


@pytest.mark.parametrize("status", ["failed", "held"])
def test_a_failed_or_held_message_needs_its_reason(run, status):
    run.message(status, last_error="too bad")
    assert run.broken() == set()
    run.message(status)
    assert run.broken() == {EXPLAINED}


def test_a_pending_message_must_wait_for_a_later_retry(run):
    run.message("pending", scheduled_for=(NOW + timedelta(minutes=2)).isoformat(), sent_at=None)
    assert run.broken() == set()
    assert run.account().waiting_until == NOW + timedelta(minutes=2)
    run.message("pending", sent_at=None)
    assert run.broken() == {EXPLAINED}


def test_a_retry_that_is_just_due_waits_for_the_next_look_at_its_lane(run):
    due = {"sent_at": None, "last_error": "too fast"}
    run.message("pending", scheduled_for=(NOW - timedelta(seconds=10)).isoformat(), **due)
    assert run.broken() == set()
    run.message("pending", scheduled_for=(NOW - timedelta(seconds=20)).isoformat(), **due)
    assert run.broken() == {EXPLAINED}


def test_a_message_that_is_still_in_a_claim_is_not_accounted_for(run):
    run.message("processing", sent_at=None)
    assert run.broken() == {EXPLAINED}


@pytest.mark.parametrize("status", ["delivered", "bounced"])
def test_a_message_that_no_gateway_has_is_lost(run, status):
    run.message(status, copies=[])
    assert run.broken() == {LOST}


def test_a_recipient_without_a_message_is_missed(run):
    run.message()
    run.people.append(Person(address="ben@example.com", name="Ben"))
    assert run.broken() == {EVERYBODY}


def test_a_recipient_with_two_messages_is_noticed(run):
    run.message(address="anna@example.com")
    run.message(address="Anna@example.com")
    run.people.pop()
    assert run.broken() == {EVERYBODY}


def test_two_copies_break_the_promise_unless_they_are_marked(run):
    run.message(copies=[("postal", "lost"), ("ses", "lost")], possible_duplicate=True)
    account = run.account()
    assert (account.held, account.marked_duplicates, account.unmarked_duplicates) == (True, 1, 0)
    run.message(copies=[("postal", "delivered"), ("ses", "delivered")])
    assert run.broken() == {DOUBLED}
    assert run.account().unmarked_duplicates == 1


@pytest.mark.parametrize("fate", ["throttled", "held"])
def test_what_a_gateway_put_aside_is_no_copy(run, fate):
    run.message(copies=[("postal", fate), ("ses", "delivered")])
    assert run.broken() == set()


def test_a_message_that_tocsin_does_not_know_is_no_better_than_a_double(run):
    run.message(address="anna@example.com")
    run.accept("uuid-of-nobody", "anna@example.com")
    assert run.broken() == {DOUBLED}


def test_what_an_earlier_run_sent_to_the_same_number_is_none_of_ours(run):
    run.message(address="+15552000001")
    run.accept("uuid-of-earlier", "+15552000001", "twilio", at=NOW - timedelta(minutes=20))
    assert run.broken() == set()


def test_what_others_sent_meanwhile_is_none_of_our_business(run):
    run.message()
    run.accept("uuid-of-somebody", "somebody@example.com")
    run.accept("uuid-of-somebody", "somebody@example.com")
    assert run.broken() == set()
    assert run.account().failovers[0].through == {"postal": 1}


def test_a_suppressed_recipient_at_a_gateway_is_noticed_in_any_spelling(run):
    run.message("suppressed", blocked=True, copies=[], address="anna@example.com", sent_at=None)
    run.accept("uuid-1", "ANNA@example.com")
    assert run.broken() == {SUPPRESSED}


def test_a_suppressed_recipient_with_another_state_is_noticed(run):
    run.message("failed", blocked=True, copies=[], last_error="x", sent_at=None)
    assert run.broken() == {SUPPRESSED}


def test_what_was_sent_too_late_is_noticed(run):
    run.message(sent_at=(NOW + timedelta(hours=2)).isoformat())
    assert run.broken() == {IN_TIME}


def test_what_expired_is_noticed(run):
    run.message("expired", copies=[], last_error="x", sent_at=None)
    assert run.broken() == {IN_TIME}


def test_a_repeated_request_with_another_answer_is_noticed(run):
    run.message()
    run.played.repeated, run.played.repeated_wrongly = 2, 1
    assert run.broken() == {REPEATED}


def test_some_of_what_broke_a_promise_is_named(run):
    for _ in range(9):
        run.message(copies=[])
    (promise,) = [promise for promise in run.account().promises if not promise.held]
    assert promise.detail == "9 break it"
    assert len(promise.examples) == 5
    assert "uuid-1 " in promise.examples[0]


def test_latency_counts_from_the_acceptance_of_the_message_or_of_its_batch(run):
    run.message()
    assert run.account().rows[0].latency["p50"] == 1
    run.message(batch="batch")
    assert run.account().rows[0].latency["p99"] == 10


def test_percentiles_are_values_that_were_measured():
    assert percentiles([float(value) for value in range(1, 101)]) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([7.0]) == {"p50": 7, "p95": 7, "p99": 7}
    assert percentiles([]) == {}


def test_the_way_over_and_the_way_back_are_timed_from_the_outage(run):
    run.played.outage_began, run.played.outage_ended = NOW, NOW + timedelta(seconds=8)
    run.message(copies=[])
    for gateway, seconds in (
        ("ses", -1),
        ("postal", 0),
        ("ses", 0.5),
        ("ses", 2),
        ("postal", 7),
        ("postal", 38),
    ):
        run.accept("uuid-1", "uuid-1@example.com", gateway, at=NOW + timedelta(seconds=seconds))
    failover = run.account().failovers[0]
    assert failover.through == {"postal": 3, "ses": 3}
    assert (failover.took_over_after, failover.back_after) == (0.5, 30)
