"""The queue is cleared of what was counted, nothing else, and just that comes back."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import controls, message_batches, message_queue
from app.domain.vocabulary import Channel, Priority
from app.errors import Conflict, Invalid, NotFound
from app.services.controls import clearing
from app.services.controls.service import ClearFilter
from app.services.sending import lane
from app.services.upkeep.controlling import go_on_clearing
from tests.services.controls.conftest import WHO
from tests.world import only, wait_for

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
WHY = "sent to the wrong people"


def preview(desk, **wanted):
    return desk.service.preview_clearing(WHO, ClearFilter(**wanted), why=WHY)


def clear(desk, **wanted):
    return desk.service.clear(WHO, preview(desk, **wanted).id, why=WHY)


def undo(desk, view):
    return desk.service.undo_clearing(WHO, view.id, why="it was right after all")


def rows(world, messages):
    query = sa.select(message_queue).where(message_queue.c.id.in_([message.id for message in messages]))
    return {row.id: row._asdict() for row in world.all(query)}


def test_a_preview_counts_by_priority_and_channel_and_cancels_nothing(world, desk):
    messages = world.add("P3", 3) + world.add("P2", 2) + world.add("P0", 1)
    view = preview(desk)
    assert (view.state, view.count, view.cancelled) == ("previewed", 5, 0)
    assert [dict(each) for each in view.counted] == [
        {"priority": "P2", "channel": "email", "count": 2},
        {"priority": "P3", "channel": "email", "count": 3},
    ]
    assert world.statuses(messages) == {"pending": 6}


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"channel": Channel.EMAIL}, {"channel": "email"}),
        ({"priority": Priority.P2}, {"priority": "P2"}),
        ({"client": "7"}, {"client_id": 7}),
        ({"gateway": "ses"}, {"gateway": "ses"}),
        ({"source_type": "campaign_sends"}, {"source_type": "campaign_sends"}),
        ({"older_than": HOUR}, {"created_at": datetime.now(UTC) - 2 * HOUR}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_just_what_fits_the_filter_is_cancelled(world, desk, wanted, meant):
    world.execute(sa.text("INSERT INTO api_clients (id, name) VALUES (7, 'shop')"))
    columns = {"gateway": "postal", "client_id": 8, "channel": "sms" if "channel" in meant else "email"}
    priority = meant.pop("priority", "P3")
    fitting = world.add(priority, 3, **{**columns, "channel": "email", **meant})
    others = world.add("P3", 2, **columns)
    view = clear(desk, **wanted)
    assert (view.state, view.count, view.cancelled) == ("done", 3, 3)
    assert (world.statuses(fitting), world.statuses(others)) == ({"cancelled": 3}, {"pending": 2})


def test_what_is_younger_than_asked_for_is_cancelled(world, desk):
    world.add("P3", 1, created_at=world.clock() - 2 * HOUR)
    young = world.add("P3", 2)
    assert clear(desk, younger_than=HOUR).cancelled == 2
    assert world.statuses(young) == {"cancelled": 2}


def test_a_batch_and_what_its_template_made_are_cleared(world, desk):
    world.execute(
        sa.text("INSERT INTO message_templates (slug, channel, name) VALUES ('spring', 'email', '')")
    )
    batch = world.batch(template="spring", template_version=1)
    uuid = only(world.all(sa.select(message_batches.c.uuid))).uuid
    messages = world.add("P3", 3, batch_id=batch)
    world.one("P3")
    assert preview(desk, template="spring").count == 3
    assert clear(desk, batch=str(uuid)).cancelled == 3
    assert world.statuses(messages) == {"cancelled": 3}
    assert world.counted(batch) == {"pending": -3, "cancelled": 3}


def test_emergencies_are_cleared_only_where_ticked(world, desk):
    emergency = world.one("P0")
    assert clear(desk).cancelled == 0
    with pytest.raises(Invalid):
        preview(desk, priority=Priority.P0)
    assert clear(desk, priority=Priority.P0, including_p0=True).cancelled == 1
    assert world.row(emergency).status == "cancelled"


def test_what_was_accepted_after_the_preview_stays(world, desk):
    world.one("P3")
    counted = preview(desk)
    late = world.one("P3")
    assert desk.service.clear(WHO, counted.id, why=WHY).cancelled == 1
    assert world.row(late).status == "pending"


def test_what_was_sent_or_is_on_its_way_is_never_cancelled(world, desk):
    messages = world.add("P3", 20)
    counted = preview(desk)
    lane.work(world.tools, Priority.P3, sweep=True)
    assert desk.service.clear(WHO, counted.id, why=WHY).cancelled == 0
    assert world.statuses(messages) == {"sent": 20}


def test_claims_and_a_clearing_at_once_share_every_message_between_them(world, desk, monkeypatch):
    monkeypatch.setattr(clearing, "SLICE", 7)
    small = {**world.tools.lanes, Priority.P3: world.tools.lanes[Priority.P3].changed(claim_size=20)}
    messages = world.add("P3", 200)
    there, counted = world.with_tools(lanes=small), preview(desk)
    worker = threading.Thread(target=lane.work, args=(there.tools, Priority.P3), kwargs={"sweep": True})
    worker.start()
    view = desk.service.clear(WHO, counted.id, why=WHY)
    worker.join()
    statuses = world.statuses(messages)
    assert statuses.get("cancelled", 0) == view.cancelled
    assert statuses.get("sent", 0) == world.gateways.accepted() == 200 - view.cancelled
    cancelled = [message for message in messages if world.row(message).status == "cancelled"]
    assert not any(world.gateways.taken(message.uuid) for message in cancelled)


def test_a_long_clearing_goes_on_by_the_scheduler(world, desk, monkeypatch):
    monkeypatch.setattr(clearing, "SLICE", 5)
    messages = world.add("P3", 23)
    view = desk.service.clear(WHO, preview(desk).id, why=WHY, within=0)
    assert view.state == "running"
    assert [each.id for each in desk.service.state().clearings] == [view.id]
    assert go_on_clearing(world.tools) == 1
    assert world.statuses(messages) == {"cancelled": 23}
    assert go_on_clearing(world.tools) == 0


def test_a_message_that_moved_behind_the_walk_is_cancelled_too(world, desk, monkeypatch):
    monkeypatch.setattr(clearing, "SLICE", 2)
    world.add("P3", 2)
    restless = world.one("P3", due_in=HOUR)
    view = desk.service.clear(WHO, preview(desk).id, why=WHY, within=-1)
    while not view.cancelled:
        view = desk.service.clearing(view.id, within=-1)
    world.change(restless, scheduled_for=world.clock() - HOUR)
    assert desk.service.clearing(view.id).cancelled == 3
    assert world.row(restless).status == "cancelled"


@pytest.mark.parametrize("age", [-SECOND, timedelta(days=4000)])
def test_an_age_that_nothing_has_is_refused(desk, age):
    for name in ("older_than", "younger_than"):
        with pytest.raises(Invalid) as refused:
            preview(desk, **{name: age})
        assert [fault.field for fault in refused.value.faults] == [name]


def test_lanes_hear_of_what_is_pending_again(world, desk):
    world.add("P3", 1)
    view = clear(desk)
    world.wake.lanes.clear()
    undo(desk, view)
    assert {priority for priority, _ in world.wake.lanes} == set(Priority)


def test_lanes_hear_of_what_the_scheduler_made_pending_again(world, desk):
    world.add("P3", 1)
    desk.service.undo_clearing(WHO, clear(desk).id, why="it was right", within=-1)
    world.wake.lanes.clear()
    go_on_clearing(world.tools)
    assert {priority for priority, _ in world.wake.lanes} == set(Priority)


def test_undoing_goes_on_behind_what_somebody_touched_since(world, desk, monkeypatch):
    touched, other = world.add("P3", 2)
    view = clear(desk)
    world.change(touched, updated_at=sa.func.now() + SECOND)
    monkeypatch.setattr(clearing, "SLICE", 1)
    assert undo(desk, view).state == "undone"
    assert (world.row(touched).status, world.row(other).status) == ("cancelled", "pending")


def test_undoing_brings_back_just_these_as_they_were(world, desk):
    messages = world.add("P3", 5, due_in=HOUR) + world.add("P2", 2)
    before = rows(world, messages)
    by_hand = world.one("P3")
    world.change(by_hand, status="cancelled")
    view = undo(desk, clear(desk))
    assert (view.state, view.cancelled, view.restored) == ("undone", 7, 7)
    after = rows(world, messages)
    for number, row in before.items():
        # But for the moment between, which is added to its time.
        assert timedelta(0) < after[number].pop("expires_at") - row.pop("expires_at") < 10 * SECOND
        after[number].pop("updated_at")
        row.pop("updated_at")
    assert after == before
    assert world.row(by_hand).status == "cancelled"


def test_undoing_leaves_alone_what_somebody_touched_since(world, desk):
    replayed, other = world.add("P3", 2)
    view = clear(desk)
    world.change(replayed, status="pending", updated_at=sa.func.now())
    world.change(replayed, status="cancelled", updated_at=sa.func.now())
    assert undo(desk, view).restored == 1
    assert (world.row(replayed).status, world.row(other).status) == ("cancelled", "pending")


def test_undoing_and_who_goes_by_the_ids_never_wait_for_each_other_for_ever(world, desk):
    # The lanes are in another order than the ids.
    first, last = world.one("P3"), world.one("P2")
    view = clear(desk)
    with world.tools.engine.begin() as conn:
        lock(conn, first)
        undoing = threading.Thread(target=undo, args=(desk, view))
        undoing.start()
        wait_for(lambda: waiting_for_locks(world))
        lock(conn, last)
    undoing.join()
    assert world.statuses([first, last]) == {"pending": 2}


def lock(conn, message):
    query = sa.select(message_queue.c.id).where(message_queue.c.id == message.id)
    conn.execute(query.with_for_update(key_share=True)).one()


def waiting_for_locks(world):
    waiting = "datname = current_database() AND wait_event_type = 'Lock'"
    return world.all(sa.text(f"SELECT FROM pg_stat_activity WHERE {waiting}"))


def test_events_name_the_clearing_and_its_undoing(world, desk):
    message = world.one("P3")
    view = clear(desk)
    undo(desk, view)
    assert world.history(message) == ["queued", "cancelled", "replayed"]
    _, cancelled, replayed = world.events(message)
    assert (cancelled.data, replayed.data) == ({"control": view.id}, {"undo": view.id})


def test_undone_messages_are_sent(world, desk):
    messages = world.add("P3", 3)
    undo(desk, clear(desk))
    lane.work(world.tools, Priority.P3, sweep=True)
    assert world.statuses(messages) == {"sent": 3}


def test_a_batch_that_was_finished_by_a_clearing_goes_on_after_its_undoing(world, desk):
    batch = world.batch()
    world.add("P3", 2, batch_id=batch)
    view = clear(desk)
    world.execute(sa.update(message_batches).values(state="finished", finished_at=sa.func.now()))
    undo(desk, view)
    row = only(world.all(sa.select(message_batches.c.state, message_batches.c.finished_at)))
    assert tuple(row) == ("expanded", None)


def test_a_preview_is_used_once_and_not_for_ever(world, desk):
    world.one("P3")
    view = clear(desk)
    with pytest.raises(Conflict):
        desk.service.clear(WHO, view.id, why=WHY)
    undo(desk, view)
    with pytest.raises(Conflict):
        undo(desk, view)
    old = preview(desk)
    world.execute(sa.update(controls).where(controls.c.id == old.id).values(from_at=sa.func.now() - HOUR))
    with pytest.raises(Conflict):
        desk.service.clear(WHO, old.id, why=WHY)
    with pytest.raises(NotFound):
        desk.service.clear(WHO, 10**9, why=WHY)


def test_a_clearing_is_audited_with_what_it_was_to_cancel(world, desk):
    world.add("P3", 2)
    view = clear(desk, channel=Channel.EMAIL)
    undo(desk, view)
    log = world.all(sa.text("SELECT action, target, why, after FROM audit_log ORDER BY id"))
    assert [(row.action, row.target) for row in log] == [
        ("emergency.clear_queue", f"control:{view.id}"),
        ("emergency.undo_clear", f"control:{view.id}"),
    ]
    assert log[0].after["filter"] == {"channel": "email", "including_p0": False}
