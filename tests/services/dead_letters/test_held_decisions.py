from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass, Priority, Status
from app.errors import Conflict, Invalid, NotFound
from app.services import held_decisions
from app.services.dead_letter_rows import Criteria
from app.services.dead_letter_views import HeldDecision
from app.services.recording.heard import Heard
from app.services.recording.record import record
from app.services.sending.lane import work
from tests.services.dead_letters.conftest import ALICE

BECOMES = {
    HeldDecision.SENT: ("sent", "sent"),
    HeldDecision.RESEND: ("pending", "replayed"),
    HeldDecision.GIVE_UP: ("failed", "failed"),
    HeldDecision.CANCEL: ("cancelled", "cancelled"),
}
OTHER_STATES = [status for status in Status if status is not Status.HELD]


def decide(desk, message, decision, **changes):
    options = {"owner": None, "why": "the gateway's console has it", **changes}
    desk.held.decide_one(ALICE, message.uuid, decision, **options)


@pytest.mark.parametrize("decision", HeldDecision)
def test_a_held_message_becomes_what_somebody_decides(desk, decision):
    message = desk.put("held")
    decide(desk, message, decision)
    status, event = BECOMES[decision]
    assert desk.world.row(message).status == status
    assert desk.world.history(message) == ["queued", event]


@pytest.mark.parametrize("decision", HeldDecision)
def test_no_message_in_another_state_is_decided_about(desk, decision):
    for status in OTHER_STATES:
        message = desk.put(status.value)
        with pytest.raises(Conflict, match=status.value):
            decide(desk, message, decision)
        assert desk.world.row(message).status == status
        assert desk.world.history(message) == ["queued"]
    assert desk.audited("message.decide") == []


def test_what_was_sent_was_sent_when_it_was_held(desk):
    held_at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    message = desk.put("held", updated_at=held_at)
    decide(desk, message, HeldDecision.SENT)
    assert desk.world.row(message).sent_at == held_at


def test_what_is_sent_again_goes_out_marked_as_perhaps_a_second_time(desk):
    message = desk.put("held", attempts=2)
    decide(desk, message, HeldDecision.RESEND)
    work(desk.world.tools, Priority.P3, sweep=True)
    row = desk.world.row(message)
    assert (row.status, row.attempts, row.possible_duplicate) == ("sent", 0, True)
    assert desk.world.events(message)[-1].data["possible_duplicate"] is True
    assert desk.world.wake.lanes == [(Priority.P3, False)]


def test_who_decided_and_why_is_kept(desk):
    message = desk.put("held")
    decide(desk, message, HeldDecision.GIVE_UP)
    [line] = desk.audited("message.decide")
    assert (line.actor, line.why) == ("alice", "the gateway's console has it")
    assert (line.before, line.after) == ({"status": "held"}, {"decision": "give_up"})


def test_a_decision_needs_a_reason(desk):
    message = desk.put("held")
    with pytest.raises(Invalid):
        decide(desk, message, HeldDecision.SENT, why="")
    with pytest.raises(Invalid):
        desk.held.decide(ALICE, Criteria(), HeldDecision.SENT, owner=None, why=" ")
    assert desk.world.row(message).status == "held"


def test_nobody_decides_about_another_clients_message(desk):
    message = desk.put("held", client_id=1)
    with pytest.raises(NotFound):
        decide(desk, message, HeldDecision.SENT, owner=2)
    assert desk.held.decide(ALICE, Criteria(), HeldDecision.SENT, owner=2, why="x").count == 0
    assert desk.world.row(message).status == "held"


@pytest.mark.parametrize("decision", HeldDecision)
def test_a_selection_is_decided_about_at_once(desk, decision):
    chosen = [desk.put("held") for _ in range(3)]
    other, failed = desk.put("held"), desk.put("failed")
    uuids = tuple(message.uuid for message in (*chosen, failed))
    decided = desk.held.decide(ALICE, Criteria(uuids=uuids), decision, owner=None, why="told by phone")
    assert decided.count == 3
    assert desk.world.statuses(chosen) == {BECOMES[decision][0]: 3}
    assert [desk.world.row(each).status for each in (other, failed)] == ["held", "failed"]
    [line] = desk.audited("dead_letters.decide")
    assert line.after["count"] == 3


def test_all_that_a_gateway_holds_is_decided_about_by_filter(desk):
    meant = desk.world.add("P3", 5, status="held", gateway="ses")
    others = desk.world.add("P2", 5, status="held", gateway="postal")
    decided = desk.held.decide(ALICE, Criteria(gateway="ses"), HeldDecision.SENT, owner=None, why="proof")
    assert decided.count == 5
    assert desk.world.statuses(meant) == {"sent": 5}
    assert desk.world.statuses(others) == {"held": 5}


def test_more_than_one_lot_is_decided_about_in_one_go(desk, monkeypatch):
    monkeypatch.setattr(held_decisions, "AT_A_TIME", 2)
    messages = desk.world.add("P3", 5, status="held")
    assert desk.held.decide(ALICE, Criteria(), HeldDecision.CANCEL, owner=None, why="all of it").count == 5
    assert desk.world.statuses(messages) == {"cancelled": 5}


def test_those_that_are_sent_again_do_not_leave_all_at_once(desk):
    messages = desk.world.add("P3", 5, status="held")
    desk.held.decide(ALICE, Criteria(), HeldDecision.RESEND, owner=None, why="nothing arrived")
    due = sorted(desk.world.row(message).scheduled_for for message in messages)
    assert {later - earlier for earlier, later in pairwise(due)} == {timedelta(milliseconds=10)}


def test_two_operators_decide_once(desk):
    message = desk.put("held")

    def press(decision):
        try:
            decide(desk, message, decision)
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(press, HeldDecision)) == 1
    assert len(desk.world.history(message)) == 2


def prove(desk, message, event_type, outcome=None):
    """Tell what a gateway's webhook tells about the first try."""
    fact = Fact(
        key=f"{message.uuid} {event_type}",
        event_type=event_type,
        occurred_at=desk.world.clock(),
        tag=Tag(uuid=message.uuid, priority=Priority.P3, attempt=1),
        outcome=outcome,
    )
    with desk.world.tools.engine.begin() as conn:
        record(conn, desk.world.tools, [Heard(gateway="postal", inbox=None, fact=fact)])


PROOFS = [
    (EventType.SENT, None, "sent"),
    (EventType.DELIVERED, None, "delivered"),
    (EventType.BOUNCED, OutcomeClass.RECIPIENT, "bounced"),
]


@pytest.mark.parametrize(("event", "outcome", "status"), PROOFS)
def test_a_webhook_proves_what_became_of_a_held_message(desk, event, outcome, status):
    message = desk.put("held", last_error_class="unknown")
    prove(desk, message, event, outcome)
    assert desk.world.row(message).status == status


@pytest.mark.parametrize(("event", "outcome", "status"), PROOFS)
def test_proof_before_the_operator_presses_leaves_nothing_to_decide(desk, event, outcome, status):
    message = desk.put("held", last_error_class="unknown")
    prove(desk, message, event, outcome)
    with pytest.raises(Conflict):
        decide(desk, message, HeldDecision.RESEND)
    assert desk.world.row(message).status == status


def test_proof_after_the_operator_pressed_keeps_it_from_being_sent_again(desk):
    message = desk.put("held", last_error_class="unknown")
    decide(desk, message, HeldDecision.RESEND)
    prove(desk, message, EventType.SENT)
    assert work(desk.world.tools, Priority.P3, sweep=True) == 0
    assert desk.world.row(message).status == "sent"
    assert desk.world.gateways.taken(message.uuid) == []


def test_proof_and_operator_at_the_same_moment_never_send_what_is_proven(desk):
    messages = [desk.put("held", last_error_class="unknown") for _ in range(12)]

    def press(message):
        try:
            decide(desk, message, HeldDecision.RESEND)
        except Conflict:
            return

    with ThreadPoolExecutor(8) as pool:
        pressed = [pool.submit(press, message) for message in messages]
        proven = [pool.submit(prove, desk, message, EventType.DELIVERED) for message in messages]
        for each in (*pressed, *proven):
            each.result()
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.statuses(messages) == {"delivered": 12}
    assert all(desk.world.gateways.taken(message.uuid) == [] for message in messages)


def test_a_decision_that_waits_for_a_webhook_sees_what_it_proved(desk):
    """The webhook's transaction is open when the operator presses."""
    message = desk.put("held", last_error_class="unknown")
    fact = Fact(
        key="slow",
        event_type=EventType.DELIVERED,
        occurred_at=desk.world.clock() - timedelta(seconds=1),
        tag=Tag(uuid=message.uuid, priority=Priority.P3, attempt=1),
    )
    with ThreadPoolExecutor(1) as pool:
        with desk.world.tools.engine.begin() as conn:
            record(conn, desk.world.tools, [Heard(gateway="postal", inbox=None, fact=fact)])
            pressed = pool.submit(decide, desk, message, HeldDecision.RESEND)
        with pytest.raises(Conflict, match="delivered"):
            pressed.result(timeout=10)
    assert desk.world.row(message).status == "delivered"
