from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import replays
from app.domain.vocabulary import Channel, Priority, Status
from app.errors import Conflict, Invalid, KeyReused, NotFound, TocsinError
from app.services import replaying
from app.services.dead_letter_rows import Criteria
from app.services.sending.lane import work
from app.services.upkeep.replays import advance_replays
from tests.services.dead_letters.conftest import ALICE

FAILED = Criteria(statuses=(Status.FAILED,))
OF_MAIL = replace(FAILED, channel=Channel.EMAIL)


def replay(desk, criteria=FAILED, **changes):
    options = {"owner": None, "why": "the account is paid again", "per_second": 1000, **changes}
    return desk.letters.replay(ALICE, criteria, **options)


def replay_one(desk, message, **changes):
    desk.letters.replay_one(ALICE, message.uuid, **{"owner": None, "why": "it is mended", **changes})


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_what_was_not_sent_is_sent_when_it_is_replayed(desk, status):
    message = desk.put(status, expires_at=desk.world.clock() - timedelta(hours=1))
    replay_one(desk, message)
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.row(message).status == "sent"
    assert desk.world.gateways.taken(message.uuid) == ["postal"]


def test_nothing_in_another_state_can_be_replayed(desk):
    for status in ("pending", "processing", "sent", "delivered", "bounced", "suppressed", "held"):
        message = desk.put(status)
        with pytest.raises(Conflict):
            replay_one(desk, message)
        assert desk.world.row(message).status == status
        assert desk.world.history(message) == ["queued"]


def test_a_replay_begins_from_nothing(desk):
    message = desk.put(
        "failed", attempts=3, tried=["postal", "ses"], external_id="7", last_error_class="content"
    )
    before = desk.world.clock()
    replay_one(desk, message)
    row = desk.world.row(message)
    assert (row.attempts, row.tried, row.external_id, row.tries) == (0, [], None, 1)
    assert row.expires_at - row.scheduled_for == timedelta(days=1)
    assert abs(row.scheduled_for - before) < timedelta(seconds=5)
    assert not row.possible_duplicate


def test_what_may_have_arrived_is_marked_as_perhaps_a_second_time(desk):
    message = desk.put("failed", last_error_class="unknown")
    replay_one(desk, message)
    assert desk.world.row(message).possible_duplicate
    event = desk.world.events(message)[-1]
    assert (event.event_type, event.source, event.data) == (
        "replayed",
        "api",
        {"from": "failed", "possible_duplicate": True},
    )


def test_another_gateway_may_be_named(desk):
    message = desk.put("failed", gateway="postal", gateway_pinned=True)
    replay_one(desk, message, gateway="ses")
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.gateways.taken(message.uuid) == ["ses"]


@pytest.mark.parametrize("gateway", ["twilio", "nobody"])
def test_a_gateway_that_cannot_send_it_is_refused(desk, gateway):
    message = desk.put("failed")
    with pytest.raises(Invalid):
        replay_one(desk, message, gateway=gateway)
    assert desk.world.row(message).status == "failed"


def test_who_was_suppressed_meanwhile_gets_nothing(desk):
    message = desk.put("failed", recipient_address="ada@example.com")
    desk.world.suppress("ada@example.com", reason="unsubscribe")
    replay_one(desk, message)
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.row(message).status == "suppressed"
    assert desk.world.gateways.taken(message.uuid) == []


def test_who_replayed_a_message_and_why_is_kept(desk):
    message = desk.put("failed", gateway="postal")
    replay_one(desk, message, gateway="ses")
    [line] = desk.audited("message.replay")
    assert (line.actor, line.why, line.target) == ("alice", "it is mended", f"message:{message.uuid}")
    assert (line.before, line.after) == ({"status": "failed", "gateway": "postal"}, {"gateway": "ses"})


def test_without_a_reason_nothing_happens(desk):
    message = desk.put("failed")
    with pytest.raises(Invalid):
        replay_one(desk, message, why=" ")
    with pytest.raises(Invalid):
        replay(desk, why="")
    assert desk.world.row(message).status == "failed"


def test_other_clients_messages_are_not_there(desk):
    message = desk.put("failed", client_id=1)
    with pytest.raises(NotFound):
        replay_one(desk, message, owner=2)
    assert replay(desk, owner=2).replayed == 0
    assert replay(desk, owner=1).replayed == 1


def test_two_operators_replay_a_message_once(desk):
    message = desk.put("failed")

    def press(_):
        try:
            replay_one(desk, message)
        except Conflict:
            return "conflict"
        return "done"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(press, range(4))) == ["conflict", "conflict", "conflict", "done"]
    assert desk.world.history(message) == ["queued", "replayed"]


def test_two_operators_replay_by_filter_each_message_once(desk):
    desk.world.add("P3", 300, status="failed")
    with ThreadPoolExecutor(4) as pool:
        views = list(pool.map(lambda _: replay(desk), range(4)))
    assert sum(view.replayed for view in views) == 300
    counted = "SELECT count(*) FROM delivery_events WHERE event_type = 'replayed'"
    assert desk.world.all(sa.text(counted))[0][0] == 300


def test_two_processes_at_one_replay_do_it_once(desk):
    desk.world.add("P3", 300, status="failed")
    view = replay(desk, per_second=1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: advance_replays(desk.world.tools), range(8)))
    assert desk.letters.replay_state(view.uuid, owner=None).replayed == view.replayed == 30


def test_asked_for_again_by_the_same_id_a_replay_is_the_same(desk):
    first = desk.put("failed")
    name = uuid4()
    assert replay(desk, replay_id=name).is_new
    second = desk.put("failed")
    again = replay(desk, replay_id=name)
    assert (again.is_new, again.replayed) == (False, 1)
    assert [desk.world.row(each).status for each in (first, second)] == ["pending", "failed"]
    assert len(desk.audited("dead_letters.replay")) == 1


def test_the_same_id_for_something_else_is_refused(desk):
    name = uuid4()
    replay(desk, OF_MAIL, replay_id=name)
    for criteria, changes in (
        (replace(OF_MAIL, statuses=(Status.EXPIRED,)), {}),
        (OF_MAIL, {"gateway": "ses"}),
        (OF_MAIL, {"per_second": 7}),
    ):
        with pytest.raises(KeyReused):
            replay(desk, criteria, replay_id=name, **changes)


def test_nobody_sees_or_stops_a_replay_of_another_client(desk):
    theirs = replay(desk, owner=1)
    assert desk.letters.replay_state(theirs.uuid, owner=1).uuid == theirs.uuid
    with pytest.raises(NotFound):
        desk.letters.replay_state(theirs.uuid, owner=2)
    with pytest.raises(NotFound):
        desk.letters.stop_replay(ALICE, theirs.uuid, owner=2, why="not mine")
    seen = [len(desk.letters.replays(owner=owner)) for owner in (None, 1, 2)]
    assert seen == [1, 1, 0]


@pytest.mark.parametrize(
    ("criteria", "changes", "field"),
    [
        (FAILED, {"per_second": 0}, "per_second"),
        (FAILED, {"per_second": 1001}, "per_second"),
        (replace(FAILED, uuids=tuple(uuid4() for _ in range(1001))), {}, "uuids"),
        (OF_MAIL, {"gateway": "twilio"}, "gateway"),
    ],
)
def test_a_replay_that_cannot_be_meant_so_is_refused(desk, criteria, changes, field):
    with pytest.raises(Invalid) as refused:
        replay(desk, criteria, **changes)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert desk.letters.replays(owner=None) == ()


@pytest.mark.parametrize("until", [None, timedelta(hours=1)])
def test_what_comes_to_rest_after_a_replay_began_is_not_taken_by_it(desk, until):
    messages = desk.world.add("P3", 20, status="failed")
    view = replay(desk, replace(FAILED, until=until and desk.world.clock() + until), per_second=0.5)
    # The first are put back; one of those that follow fails only now.
    assert view.replayed == 15
    rest = [message for message in messages if desk.world.row(message).status == "failed"]
    desk.world.change(rest[-1], updated_at=sa.func.now())
    desk.world.execute(sa.update(replays).values(next_at=sa.func.now() - timedelta(seconds=1)))
    advance_replays(desk.world.tools)
    assert desk.letters.replay_state(view.uuid, owner=None).state == "finished"
    assert [message for message in messages if desk.world.row(message).status == "failed"] == [rest[-1]]


def test_replayed_messages_leave_at_the_rate_that_was_asked_for(desk):
    messages = desk.world.add("P3", 25, status="failed")
    replay(desk, per_second=5)
    due = sorted(desk.world.row(message).scheduled_for for message in messages)
    gaps = {round((later - earlier).total_seconds(), 3) for earlier, later in pairwise(due)}
    assert gaps == {0.2}


def test_a_long_replay_puts_back_what_is_due_soon_and_goes_on_later(desk):
    messages = desk.world.add("P3", 100, status="failed")
    view = replay(desk, per_second=1)
    assert (view.state, view.replayed) == ("running", 30)
    assert advance_replays(desk.world.tools) == 0
    # Half a minute later.
    past = sa.func.now() - timedelta(seconds=1)
    desk.world.execute(sa.update(replays).values(next_at=past))
    advance_replays(desk.world.tools)
    assert desk.letters.replay_state(view.uuid, owner=None).replayed == 60
    assert desk.world.statuses(messages) == {"pending": 60, "failed": 40}


def test_what_follows_in_a_replay_is_due_behind_what_went_before_it(desk):
    messages = desk.world.add("P3", 60, status="failed")
    replay(desk, per_second=1)
    desk.world.execute(sa.update(replays).values(next_at=sa.func.now() + timedelta(seconds=10)))
    began = desk.world.clock()
    advance_replays(desk.world.tools)
    due = sorted(desk.world.row(message).scheduled_for for message in messages[30:])
    assert due[0] - began > timedelta(seconds=9)


def test_the_lanes_hear_of_what_follows_in_a_replay(desk):
    desk.world.add("P1", 60, status="failed")
    replay(desk, per_second=1)
    desk.world.execute(sa.update(replays).values(next_at=sa.func.now() - timedelta(seconds=1)))
    desk.world.wake.lanes.clear()
    assert advance_replays(desk.world.tools) == 1
    assert desk.world.wake.lanes == [(Priority.P1, False)]


def test_a_replay_can_be_stopped_on_its_way(desk):
    messages = desk.world.add("P3", 100, status="failed")
    view = replay(desk, per_second=1)
    stopped = desk.letters.stop_replay(ALICE, view.uuid, owner=None, why="it fails again")
    assert stopped.state == "cancelled"
    desk.world.execute(sa.update(replays).values(next_at=sa.func.now()))
    advance_replays(desk.world.tools)
    assert desk.world.statuses(messages) == {"pending": 30, "failed": 70}
    with pytest.raises(Conflict):
        desk.letters.stop_replay(ALICE, view.uuid, owner=None, why="again")


CHOICES = {
    "status": (Criteria(statuses=(Status.EXPIRED,)), {"status": "expired"}, {}),
    "class": (
        Criteria(statuses=(Status.FAILED,), error_class="content"),
        {"last_error_class": "content"},
        {},
    ),
    "code": (Criteria(statuses=(Status.FAILED,), code="550"), {"last_error": "550: no such user"}, {}),
    "gateway": (Criteria(statuses=(Status.FAILED,), gateway="ses"), {"gateway": "ses"}, {}),
    "no gateway": (Criteria(statuses=(Status.FAILED,), gateway=""), {"gateway": None}, {}),
    "channel": (Criteria(statuses=(Status.FAILED,), channel=Channel.SMS), {"channel": "sms"}, {}),
    "priority": (Criteria(statuses=(Status.FAILED,), priority=Priority.P1), {}, {"priority": "P1"}),
    "client": (Criteria(statuses=(Status.FAILED,), client_id=7), {"client_id": 7}, {}),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_replay_takes_just_what_was_chosen(desk, choice):
    criteria, columns, place = CHOICES[choice]
    others = desk.world.add("P3", 3, status="failed", last_error_class="transient", last_error="421: busy")
    meant = desk.world.one(place.get("priority", "P3"), **{"status": "failed", **columns})
    assert desk.letters.count(criteria, owner=None).count == 1
    assert replay(desk, criteria).replayed == 1
    assert desk.world.row(meant).status == "pending"
    assert desk.world.statuses(others) == {"failed": 3}


def test_a_replay_takes_a_batch_or_a_selection_or_a_time(desk):
    batch = desk.world.batch()
    of_batch = desk.world.one("P3", status="failed", batch_id=batch)
    chosen, old = desk.put("failed"), desk.put("failed")
    desk.world.change(old, updated_at=sa.func.now() - timedelta(days=2))
    uuid = desk.world.all(sa.text("SELECT uuid FROM message_batches"))[0][0]
    for criteria, message in (
        (Criteria(statuses=(Status.FAILED,), batch=uuid), of_batch),
        (Criteria(statuses=(Status.FAILED,), uuids=(chosen.uuid,)), chosen),
        (Criteria(statuses=(Status.FAILED,), until=desk.world.clock() - timedelta(days=1)), old),
    ):
        assert replay(desk, criteria).replayed == 1
        assert desk.world.row(message).status == "pending"


def test_the_counts_of_a_batch_follow_a_replay(desk):
    batch = desk.world.batch()
    desk.world.add("P3", 2, status="failed", batch_id=batch)
    replay(desk)
    assert desk.world.counted(batch) == {"failed": -2, "pending": 2}


@pytest.mark.parametrize("status", [Status.HELD, Status.SENT, Status.PENDING])
def test_a_replay_of_other_states_is_refused(desk, status):
    with pytest.raises(Invalid):
        replay(desk, Criteria(statuses=(status,)))


def test_a_gateway_for_everything_is_refused(desk):
    with pytest.raises(TocsinError, match="channel"):
        replay(desk, gateway="ses")


def test_a_replay_may_be_through_another_gateway(desk):
    message = desk.put("failed", gateway="postal")
    replay(desk, Criteria(statuses=(Status.FAILED,), channel=Channel.EMAIL), gateway="ses")
    assert desk.world.row(message).gateway == "ses"


def test_the_lanes_hear_of_what_is_due_again(desk):
    desk.world.one("P1", status="failed")
    desk.world.one("P3", status="failed")
    replay(desk)
    assert desk.world.wake.lanes == [(Priority.P1, False), (Priority.P3, False)]


def test_what_a_replay_does_not_mean_is_passed_over_quickly_and_not_for_ever(desk, monkeypatch):
    desk.world.add("P3", 2500, status="failed", gateway="ses")
    meant = desk.put("failed", gateway="postal")
    monkeypatch.setattr(replaying, "LONGEST", 0.0)
    criteria = Criteria(statuses=(Status.FAILED,), gateway="postal")
    begun = replay(desk, criteria, per_second=0.1)
    assert (begun.state, desk.world.row(meant).status) == ("running", "failed")
    monkeypatch.undo()
    advance_replays(desk.world.tools)
    assert desk.world.row(meant).status == "pending"
