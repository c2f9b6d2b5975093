"""What an operator has stopped does not leave, and leaves when it is resumed."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import api_clients, controls, message_batches, message_templates
from app.domain.stops import StopScope
from app.domain.vocabulary import Priority
from app.errors import Invalid, NotFound
from app.services.controls import stopping
from app.services.controls.service import StopDraft
from app.services.expansion import expand
from app.services.sending import lane, run
from app.services.sending.gate import is_closed
from app.services.sending.withholding import PARKED
from app.services.upkeep.recalling import Recall
from tests.services.controls.conftest import WHO, WHY
from tests.world import meanwhile, only, wait_for

OTHERS = ("P1", "P2", "P3", "P4")
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def work(world, priority, *, sweep=True):
    return lane.work(world.tools, Priority(priority), sweep=sweep)


def pass_time(world, amount):
    """Let every stop have been pressed, lifted and due so much earlier."""
    columns = controls.c
    earlier = {name: getattr(columns, name) - amount for name in ("from_at", "lifted_at", "until_at")}
    world.execute(sa.update(controls).values(earlier))
    world.tools.stops.refresh()


def template(world, slug):
    world.execute(sa.insert(message_templates).values(slug=slug, channel="email", name=slug))


# What stops


def test_nothing_leaves_while_everything_is_stopped_and_all_of_it_after(world, desk):
    messages = [world.one(priority) for priority in OTHERS]
    desk.stop()
    assert [work(world, priority) for priority in OTHERS] == [0, 0, 0, 0]
    desk.resume()
    for priority in OTHERS:
        work(world, priority)
    assert world.statuses(messages) == {"sent": 4}


def test_emergencies_go_on_unless_ticked(world, desk):
    first, second = world.one("P0"), world.one("P0")
    desk.stop()
    lane.work_these(world.tools, Priority.P0, [first.id])
    assert world.row(first).status == "sent"
    desk.stop(including_p0=True)
    lane.work_these(world.tools, Priority.P0, [second.id])
    assert work(world, "P0") == 0
    assert (world.row(second).status, world.row(second).attempts) == ("pending", 0)


@pytest.mark.parametrize(
    ("scope", "key", "columns"),
    [
        ("channel", "email", {}),
        ("priority", "P3", {}),
        ("client", "7", {"client_id": 7}),
        ("template", "spring", {"template": "spring", "subject": None, "body_text": None}),
    ],
)
def test_one_thing_is_stopped_and_nothing_else(world, desk, scope, key, columns):
    world.execute(sa.insert(api_clients).values(id=7, name="shop"))
    template(world, "spring")
    stopped = world.add("P3", 3, **columns)
    free = world.one("P4" if scope == "priority" else "P3", client_id=8, due_in=timedelta(0))
    desk.stop(scope, key)
    for priority in ("P3", "P4"):
        work(world, priority)
    assert world.statuses(stopped) == {"pending": 3}
    expected = "pending" if scope == "channel" else "sent"
    assert world.row(free).status == expected


def test_a_stopped_batch_waits_and_uses_no_attempt(world, desk):
    batch = world.batch(subject="Hello", body_text="Spring")
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    stopped, free = world.add("P3", 3, batch_id=batch), world.one("P3")
    desk.stop("batch", str(uuid))
    work(world, "P3")
    assert (world.statuses(stopped), world.row(free).status) == ({"pending": 3}, "sent")
    assert {world.row(message).attempts for message in stopped} == {0}


def test_a_stopped_template_stops_batches_made_of_it(world, desk):
    template(world, "spring")
    batch = world.batch(template="spring", template_version=1)
    stopped = world.add("P3", 2, batch_id=batch, subject=None, body_text=None)
    desk.stop("template", "spring")
    work(world, "P3")
    assert world.statuses(stopped) == {"pending": 2}


def test_messages_of_a_stopped_gateway_go_through_the_next_one(world, desk):
    message = world.one("P3")
    desk.stop("gateway", "postal")
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_messages_that_name_a_stopped_gateway_wait_for_it(world, desk):
    message = world.one("P3", gateway_pinned=True)
    stop = desk.stop("gateway", "postal")
    work(world, "P3")
    row = world.row(message)
    assert (row.status, row.attempts, row.last_error) == ("pending", 0, f"stopped (control {stop.id})")


def test_several_stops_hold_until_the_last_is_lifted(world, desk):
    message = world.one("P3")
    first, second = desk.stop("channel", "email"), desk.stop("priority", "P3")
    desk.resume(first.id)
    assert work(world, "P3") == 0
    desk.resume(second.id)
    work(world, "P3")
    assert world.row(message).status == "sent"


# In the middle of a claim


def test_what_is_claimed_and_not_on_the_wire_goes_back_unharmed(world, desk):
    world.gateways.slow_down(300)
    messages = world.add("P3", 60)
    with meanwhile(lambda: world.gateways.accepted() >= 16, desk.stop):
        work(world, "P3")
    statuses = world.statuses(messages)
    assert statuses["pending"] >= 60 - 32
    assert statuses["sent"] == world.gateways.accepted()
    waiting = [world.row(message) for message in messages if world.row(message).status == "pending"]
    assert {(row.attempts, row.locked_by) for row in waiting} == {(0, None)}


def test_a_claim_that_waits_to_be_taken_over_goes_back_too(world, desk):
    world.add("P3", 3)
    waiting = world.one("P3", gateway="ses")
    work(world, "P3")
    _, claim = only(world.wake.claims)
    desk.stop()
    lane.work_claim(world.tools, Priority.P3, claim)
    assert world.row(waiting).status == "pending"
    assert world.gateways.taken(waiting.uuid) == []


def test_a_message_on_its_way_to_the_next_gateway_waits(world, desk):
    world.gateways.break_("postal")
    message = world.one("P1")
    with meanwhile(lambda: world.gateways.requests("postal") >= 1, desk.stop):
        work(world, "P1")
    for priority, ids in world.wake.failed_over:
        lane.work_these(world.tools, priority, ids)
    assert world.row(message).status == "pending"
    assert world.gateways.taken(message.uuid) == []


def test_a_stop_between_the_mark_and_the_wire_leaves_nothing_behind(world, desk, monkeypatch):
    mark, pressed = run.ClaimRun._start, []

    def and_then_stop(self, built):
        started = mark(self, built)
        if built and not pressed:
            pressed.append(desk.stop())
        return started

    monkeypatch.setattr(run.ClaimRun, "_start", and_then_stop)
    messages = world.add("P3", 60)
    work(world, "P3")
    assert world.statuses(messages) == {"pending": 60}
    assert world.gateways.accepted() == 0
    desk.resume()
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 60}


# Time


def test_the_time_of_a_stop_does_not_count_against_a_campaign(world, desk):
    message = world.one("P3")
    before = world.row(message).expires_at
    desk.stop()
    pass_time(world, 3 * HOUR)
    world.change(message, scheduled_for=world.clock() - 3 * HOUR, expires_at=before - 3 * HOUR)
    desk.resume()
    work(world, "P3")
    row = world.row(message)
    assert row.status == "sent"
    assert abs(row.expires_at - before) < 5 * SECOND


def test_two_stops_at_once_count_once(world, desk):
    message = world.one("P2", scheduled_for=world.clock() - HOUR)
    before = world.row(message).expires_at
    desk.stop()
    desk.stop("channel", "email")
    pass_time(world, HOUR)
    desk.resume()
    work(world, "P2")
    assert abs(world.row(message).expires_at - before - HOUR) < 5 * SECOND


def test_an_alert_expires_on_the_clock_also_while_it_is_stopped(world, desk):
    message = world.one("P1", expires_at=world.clock() + SECOND / 2)
    desk.stop()
    desk.resume()
    world.clock.ahead = SECOND
    work(world, "P1")
    assert world.row(message).status == "expired"


def test_a_blackout_begins_and_ends_by_itself(world, desk):
    message = world.one("P3")
    now = world.clock()
    stop = desk.stop(since=now + HOUR, until=now + 2 * HOUR)
    assert stop.state == "scheduled"
    world.execute(sa.update(controls).values(from_at=now - MINUTE))
    world.tools.stops.refresh()
    assert work(world, "P3") == 0
    world.execute(sa.update(controls).values(until_at=now - SECOND))
    world.tools.stops.refresh()
    work(world, "P3")
    assert world.row(message).status == "sent"


# What was put back for long


def test_what_was_put_back_for_a_batch_is_due_again_when_it_is_resumed(world, desk):
    batch = world.batch(subject="Hello", body_text="Spring")
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    messages = world.add("P3", 3, batch_id=batch)
    before = {message.id: world.row(message).expires_at for message in messages}
    desk.stop("batch", str(uuid))
    work(world, "P3")
    assert all(world.row(message).scheduled_for > world.clock() + PARKED / 2 for message in messages)
    assert work(world, "P3") == 0
    desk.resume()
    recall = Recall()
    assert recall.run(world.tools) == 3
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 3}
    for message in messages:
        assert abs(world.row(message).expires_at - before[message.id]) < 10 * SECOND


def test_nothing_else_that_waits_for_later_is_called_back(world, desk):
    template(world, "spring")
    later = world.one("P3", due_in=10 * MINUTE)
    desk.stop("template", "spring")
    desk.resume()
    assert Recall().run(world.tools) == 0
    assert world.row(later).scheduled_for > world.clock() + 9 * MINUTE


def test_an_alert_put_back_for_its_template_comes_back_in_time_to_expire(world, desk):
    template(world, "spring")
    message = world.one("P1", template="spring", expires_at=world.clock() + 5 * MINUTE)
    desk.stop("template", "spring")
    work(world, "P1")
    row = world.row(message)
    assert row.status == "pending"
    assert row.expires_at - 5 * SECOND < row.scheduled_for < row.expires_at


def test_a_stopped_batch_is_not_expanded_and_is_afterwards(world, desk):
    batch = world.batch(state="accepted", subject="Hello", body_text="Spring", last_line=2, received=2)
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    for line in (1, 2):
        world.execute(
            sa.text(
                "INSERT INTO batch_staging (batch_id, line, address, address_hash) VALUES (:b, :l, :a, :l)"
            ),
            {"b": batch, "l": line, "a": f"reader{line}@example.com"},
        )
    world.execute(sa.update(message_batches).values(accepted_at=sa.func.now()))

    def expanded():
        return expand(world.tools.engine, world.tools.catalog, world.wake, world.tools.lanes, batch)

    desk.stop("batch", str(uuid))
    assert expanded() == 0
    desk.resume()
    assert (Priority.P3, batch) in world.wake.batches
    assert expanded() == 1


# Growing again


def test_after_a_gradual_resume_claims_are_small_and_threads_rest(world, desk):
    small = {**world.tools.lanes, Priority.P3: world.tools.lanes[Priority.P3].changed(claim_size=20)}
    messages = world.add("P3", 40)
    desk.stop()
    desk.resume(over=10 * MINUTE)
    there = world.with_tools(lanes=small)
    with meanwhile(lambda: world.gateways.accepted() >= 2, world.tools.stopping.set):
        lane.work(there.tools, Priority.P3, sweep=True)
    # Claims of a tenth: two messages each, with nine times as long a rest between.
    assert world.statuses(messages).get("sent", 0) <= 6


def test_a_growing_batch_lets_go_only_its_share(world, desk):
    batch = world.batch(subject="Hello", body_text="Spring")
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    messages = world.add("P3", 20, batch_id=batch)
    desk.stop("batch", str(uuid))
    desk.resume(over=10 * MINUTE)
    draws = iter([0.05, 0.5] * 1000)
    work(world.with_tools(chance=lambda: next(draws)), "P3")
    statuses = world.statuses(messages)
    assert 0 < statuses["sent"] < 20
    waiting = [row for row in map(world.row, messages) if row.status == "pending"]
    assert all(row.scheduled_for < world.clock() + 11 * MINUTE for row in waiting)


def test_an_alert_never_waits_past_its_time_for_sending_to_grow(world, desk):
    batch = world.batch(priority="P1", message_type="alert", subject="Hello", body_text="Spring")
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    message = world.one("P1", batch_id=batch, expires_at=world.clock() + 10 * MINUTE)
    desk.stop("batch", str(uuid))
    desk.resume(over=HOUR)
    work(world.with_tools(chance=lambda: 0.9), "P1")
    row = world.row(message)
    assert row.status == "pending"
    assert row.scheduled_for < row.expires_at


def test_the_state_tells_how_far_sending_has_grown(world, desk):
    desk.stop()
    desk.resume(over=10 * MINUTE)
    pass_time(world, 5 * MINUTE - SECOND)
    [stop] = desk.stops()
    assert (stop.state, stop.share) == ("resuming", 0.5)
    pass_time(world, 6 * MINUTE)
    assert desk.stops() == ()


# The gate


def test_alerts_that_are_stopped_hold_nobody_back(world, desk):
    world.one("P1")
    there = world.with_tools(gate_depth=1)
    channel = next(iter(world.tools.gateways.values())).channel
    assert is_closed(there.tools, channel)
    desk.stop("priority", "P1")
    world.tools.memory._known.clear()
    assert not is_closed(there.tools, channel)


# Who, why, what


def test_the_state_tells_who_why_since_when_and_what_waits(world, desk):
    world.add("P3", 3)
    world.add("P0", 2)
    stop = desk.stop("channel", "email")
    state = desk.service.state()
    assert state.sending
    [shown] = state.stops
    assert (shown.id, shown.scope, shown.key, shown.state) == (stop.id, "channel", "email", "in_force")
    assert (shown.who, shown.why, shown.including_p0) == ("cli/ann", WHY, False)
    assert (shown.waiting, shown.at_least, shown.share) == (3, False, 0.0)
    assert abs(shown.since - world.clock()) < 5 * SECOND


@pytest.mark.parametrize(
    ("scope", "key", "due"),
    [
        ("all", None, 6),
        ("channel", "email", 6),
        ("channel", "sms", 0),
        ("priority", "P4", 1),
        ("client", "7", 3),
        ("template", "spring", 3),
        ("gateway", "postal", 6),
    ],
)
def test_what_a_stop_would_keep_is_counted_by_what_it_is_about(world, desk, scope, key, due):
    world.execute(sa.insert(api_clients).values(id=7, name="shop"))
    template(world, "spring")
    world.add("P3", 3, client_id=7, template="spring", subject=None, body_text=None)
    world.add("P3", 2)
    world.one("P4")
    world.one("P0")
    found = desk.service.would_stop(StopDraft(scope=StopScope(scope), key=key))
    assert (found.due, found.later, found.at_least) == (due, 0, False)


def test_what_is_due_later_is_counted_by_itself_and_emergencies_where_ticked(world, desk):
    world.one("P3")
    world.one("P3", due_in=HOUR / 2)
    world.one("P0")
    found = desk.service.would_stop(StopDraft(scope=StopScope.ALL, including_p0=True))
    assert (found.due, found.later) == (2, 1)


def test_a_batch_that_is_still_to_become_messages_is_counted_whole(world, desk):
    batch = world.batch(subject="Hello", body_text="Spring")
    world.execute(sa.update(message_batches).values(last_line=10, expanded_line=4, pending=4))
    uuid = only(world.all(sa.select(message_batches.c.uuid).where(message_batches.c.id == batch))).uuid
    assert desk.service.would_stop(StopDraft(scope=StopScope.BATCH, key=str(uuid))).due == 10


def test_counting_what_waits_has_an_end_and_says_so(world, desk, monkeypatch):
    monkeypatch.setattr(stopping, "COUNTED", 2)
    world.add("P3", 3)
    found = desk.service.would_stop(StopDraft(scope=StopScope.CHANNEL, key="email"))
    assert (found.due, found.at_least) == (2, True)
    # Those that were looked at do not fit; those behind them might.
    template(world, "spring")
    assert desk.service.would_stop(StopDraft(scope=StopScope.TEMPLATE, key="spring")).at_least


def test_while_everything_is_stopped_the_state_says_that_sending_is_not(desk):
    desk.stop()
    assert not desk.service.state().sending


def test_each_use_is_in_the_audit_log_and_in_the_history(world, desk):
    stop = desk.stop()
    desk.resume(stop.id)
    log = world.all(sa.text("SELECT actor, origin, action, target, why FROM audit_log ORDER BY id"))
    assert [tuple(row) for row in log] == [
        ("cli/ann", "10.0.0.1", "emergency.stop", f"control:{stop.id}", WHY),
        ("cli/ann", "10.0.0.1", "emergency.resume", f"control:{stop.id}", "mended"),
    ]
    [use] = desk.service.history().items
    assert (use.procedure, use.state, use.who, use.lifted_by, use.lifted_why) == (
        "stop", "ended", "cli/ann", "cli/ann", "mended",
    )  # fmt: skip


def test_after_resuming_every_lane_is_told(world, desk):
    desk.stop()
    desk.resume()
    assert set(world.wake.lanes) == {(priority, True) for priority in Priority}


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"scope": StopScope.CHANNEL, "key": "pigeon"}, "key"),
        ({"scope": StopScope.CHANNEL}, "key"),
        ({"scope": StopScope.ALL, "key": "email"}, "key"),
        ({"scope": StopScope.GATEWAY, "key": "nobody"}, "key"),
        ({"scope": StopScope.CLIENT, "key": "nobody"}, "key"),
        ({"scope": StopScope.TEMPLATE, "key": "nothing"}, "key"),
        ({"scope": StopScope.BATCH, "key": "not-a-uuid"}, "key"),
        ({"scope": StopScope.PRIORITY, "key": "P0"}, "including_p0"),
        ({"scope": StopScope.ALL, "resume_over": timedelta(days=2)}, "resume_over"),
        ({"scope": StopScope.CLIENT, "key": "9" * 30}, "key"),
        ({"scope": StopScope.ALL, "until": datetime(2020, 1, 1, tzinfo=UTC)}, "until"),
        ({"scope": StopScope.ALL, "until": datetime(2199, 1, 1, tzinfo=UTC)}, "until"),
        (
            {
                "scope": StopScope.ALL,
                "since": datetime.now(UTC) + 2 * HOUR,
                "until": datetime.now(UTC) + HOUR,
            },
            "until",
        ),
    ],
)
def test_a_stop_of_nothing_is_refused(desk, draft, field):
    with pytest.raises(Invalid) as refused:
        desk.service.stop(WHO, StopDraft(**draft), why=WHY)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert desk.stops() == ()


@pytest.mark.parametrize("why", [" ", "x" * 1001])
def test_a_stop_without_a_reason_is_refused(desk, why):
    with pytest.raises(Invalid) as refused:
        desk.stop(why=why)
    assert [fault.field for fault in refused.value.faults] == ["why"]


def test_lifting_what_is_not_in_force_is_refused(desk):
    stop = desk.stop()
    desk.resume(stop.id)
    with pytest.raises(NotFound):
        desk.resume(stop.id)


def test_of_several_stops_none_is_lifted_where_one_is_not_there(desk):
    stop = desk.stop()
    with pytest.raises(NotFound):
        desk.resume(stop.id, 10**9)
    assert [each.state for each in desk.stops()] == ["in_force"]


def test_a_stop_that_ended_by_itself_is_not_lifted_once_more(world, desk):
    stop = desk.stop(until=world.clock() + HOUR)
    pass_time(world, 2 * HOUR)
    with pytest.raises(NotFound):
        desk.resume(stop.id)


def test_a_stop_with_an_end_is_over_as_soon_as_it_is_lifted(world, desk):
    stop = desk.stop(until=world.clock() + HOUR)
    assert [each.state for each in desk.resume(stop.id)] == ["ended"]


def test_a_stop_of_everything_that_is_still_to_come_stops_nothing_yet(world, desk):
    desk.stop(since=world.clock() + HOUR)
    assert desk.service.state().sending


def test_the_history_is_read_page_by_page_and_names_each_use_once(desk):
    made = [desk.stop().id for _ in range(3)]
    first = desk.service.history(limit=2)
    second = desk.service.history(limit=2, cursor=first.next)
    assert [use.id for use in (*first.items, *second.items)] == made[::-1]
    assert second.next is None


def test_a_stop_that_was_lifted_before_it_began_never_holds(world, desk):
    now = world.clock()
    stop = desk.stop(since=now + HOUR)
    desk.resume(stop.id)
    pass_time(world, 2 * HOUR)
    assert desk.stops() == ()
    message = world.one("P3")
    work(world, "P3")
    wait_for(lambda: world.row(message).status == "sent")
