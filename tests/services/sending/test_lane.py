"""Claim after claim: what is due leaves, once, as it should."""

import gc
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import gateways, lane_holds, message_template_versions, message_templates, senders
from app.domain.vocabulary import Channel, Priority
from app.queue.rows import Claimed
from app.services.sending import lane, run
from app.services.sending.ending import Ending
from app.services.sending.requests import Requests
from app.services.sending.run import ClaimRun
from tests.world import meanwhile, only

ALL = ("P0", "P1", "P2", "P3", "P4")


def work(world, priority, *, sweep=False):
    return lane.work(world.tools, Priority(priority), sweep=sweep)


@pytest.mark.parametrize("priority", ALL)
def test_a_due_message_is_sent_with_the_gateways_id(world, priority):
    message = world.one(priority)
    assert work(world, priority) == 1
    row = world.row(message)
    assert (row.status, row.gateway, row.attempts, row.tries) == ("sent", "postal", 0, 1)
    assert row.external_id
    assert row.sent_at is not None
    assert world.gateways.taken(message.uuid) == ["postal"]
    assert world.history(message) == ["queued", "sent"]


def test_a_sent_event_says_which_gateway_which_try_and_which_id(world):
    message = world.one("P4")
    work(world, "P4")
    sent = world.events(message)[1]
    assert (sent.gateway, sent.attempt, sent.outcome, sent.source) == ("postal", 1, "accepted", "worker")
    assert sent.external_id == world.row(message).external_id


def test_a_claim_is_closed_when_all_of_it_is_settled(world):
    world.add("P3", 40)
    work(world, "P3")
    assert {claim.state for claim in world.claims()} == {"closed"}


def test_a_lane_is_worked_until_nothing_is_due(world):
    small = {**world.tools.lanes, Priority.P3: world.tools.lanes[Priority.P3].changed(claim_size=10)}
    messages = world.add("P3", 35)
    assert work(world.with_tools(lanes=small), "P3") == 35
    assert world.statuses(messages) == {"sent": 35}


def test_another_thread_is_told_while_there_is_more(world):
    small = {**world.tools.lanes, Priority.P3: world.tools.lanes[Priority.P3].changed(claim_size=10)}
    world.add("P3", 11)
    work(world.with_tools(lanes=small), "P3")
    assert (Priority.P3, False) in world.wake.lanes


def test_what_is_scheduled_for_later_stays(world):
    message = world.one("P3", due_in=timedelta(hours=1))
    assert work(world, "P3") == 0
    assert world.row(message).status == "pending"


def test_what_comes_due_in_a_moment_is_waited_for(world):
    message = world.one("P3", due_in=timedelta(seconds=1.5))
    assert work(world, "P3") == 1
    assert world.row(message).status == "sent"


def test_one_thread_of_a_process_waits_for_all(world):
    world.add("P3", 3, due_in=timedelta(seconds=1.5))
    with world.tools.waiting[Priority.P3]:
        assert work(world, "P3") == 0


def test_who_waits_goes_on_at_once_when_told_to_stop(world):
    message = world.one("P3", due_in=timedelta(seconds=1.9))
    world.tools.stopping.set()
    assert work(world, "P3") == 0
    assert world.row(message).status == "pending"


def test_nothing_is_waited_for_on_a_channel_that_takes_nothing(world):
    for name in ("postal", "ses"):
        world.tools.breakers.trip(Channel.EMAIL, name, "for the test")
    world.one("P3", due_in=timedelta(seconds=1.5))
    assert work(world, "P3") == 0


def test_messages_for_two_gateways_make_two_claims_and_the_second_waits(world):
    for_postal, for_ses = world.add("P3", 3), world.add("P3", 2, gateway="ses")
    work(world, "P3")
    assert (world.statuses(for_postal), world.statuses(for_ses)) == ({"sent": 3}, {"processing": 2})
    priority, claim = only(world.wake.claims)
    lane.work_claim(world.tools, priority, claim)
    assert world.statuses(for_ses) == {"sent": 2}


def test_a_claim_that_is_taken_over_twice_is_sent_once(world):
    world.add("P3", 3)
    waiting = world.one("P3", gateway="ses")
    work(world, "P3")
    priority, claim = only(world.wake.claims)
    lane.work_claim(world.tools, priority, claim)
    lane.work_claim(world.tools, priority, claim)
    assert world.gateways.taken(waiting.uuid) == ["ses"]
    assert world.history(waiting) == ["queued", "sent"]


def test_a_failover_that_is_told_twice_is_sent_once(world):
    message = world.one("P0", gateway="ses", tried=["postal"])
    lane.work_these(world.tools, Priority.P0, [message.id])
    lane.work_these(world.tools, Priority.P0, [message.id])
    assert world.gateways.taken(message.uuid) == ["ses"]
    assert len(world.claims()) == 1


# What may not go


@pytest.mark.parametrize("priority", ALL)
def test_a_message_whose_time_is_over_is_never_handed_over(world, priority):
    message = world.one(priority, expires_at=world.clock() - timedelta(seconds=1))
    work(world, priority)
    assert world.row(message).status == "expired"
    assert world.history(message) == ["queued", "expired"]
    assert world.gateways.accepted() == 0


def hold(world, begun, ended):
    """Have P3 held back on email from so many minutes ago to so many minutes ago."""
    now = world.clock()
    row = {
        "priority": "P3",
        "channel": "email",
        "held_from": now - timedelta(minutes=begun),
        "held_until": now - timedelta(minutes=ended),
    }
    world.execute(sa.insert(lane_holds).values(row))


def test_a_campaign_gets_the_time_back_for_which_we_held_it(world):
    now = world.clock()
    times = {"scheduled_for": now - timedelta(minutes=60), "expires_at": now - timedelta(minutes=10)}
    message = world.one("P3", **times)
    hold(world, begun=40, ended=20)
    work(world, "P3")
    assert world.row(message).status == "sent"


def test_a_campaign_that_is_late_beyond_the_time_held_expires(world):
    now = world.clock()
    times = {"scheduled_for": now - timedelta(minutes=60), "expires_at": now - timedelta(minutes=30)}
    message = world.one("P3", **times)
    hold(world, begun=40, ended=20)
    work(world, "P3")
    assert world.row(message).status == "expired"


def test_time_held_is_kept_when_a_limit_makes_a_campaign_wait_on(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    now = world.clock()
    times = {"scheduled_for": now - timedelta(minutes=60), "expires_at": now - timedelta(minutes=10)}
    messages = world.add("P3", 2, recipient_address="a@slow.example", **times)
    hold(world, begun=40, ended=20)
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 1, "pending": 1}
    waiting = next(row for row in map(world.row, messages) if row.status == "pending")
    assert waiting.expires_at > waiting.scheduled_for


def test_time_held_does_not_count_twice(world):
    now = world.clock()
    end = now + timedelta(minutes=10)
    message = world.one("P3", scheduled_for=now - timedelta(minutes=60), expires_at=end)
    hold(world, begun=40, ended=20)
    world.gateways.break_("postal")
    world.gateways.break_("ses")
    work(world, "P3")
    first = world.row(message).expires_at
    world.change(message, scheduled_for=now)
    work(world, "P3")
    assert first == end + timedelta(minutes=20)
    assert world.row(message).expires_at == first


# What a message says


def template(world, **parts):
    columns = {"slug": "spring", "name": "Spring", "channel": "email", "active_version": 1}
    made = world.execute(sa.insert(message_templates).values(columns).returning(message_templates.c.id))
    version = {"template_id": made.scalar_one(), "version": 1, "created_by": "test", **parts}
    world.execute(sa.insert(message_template_versions).values(version))
    world.tools.catalog.forget()


def test_a_template_is_rendered_with_the_messages_data(world, monkeypatch):
    template(world, subject="Dear {{ name }}", body_text="Spring, {{ name }}.")
    world.one("P3", subject=None, body_text=None, template="spring", content_data={"name": "Ada"})
    seen = []
    envelope = world.tools.contents.envelope
    monkeypatch.setattr(world.tools.contents, "envelope", lambda m: seen.append(envelope(m)) or seen[-1])
    work(world, "P3")
    assert (only(seen).subject, only(seen).text) == ("Dear Ada", "Spring, Ada.")


def test_a_template_that_breaks_fails_its_message_alone(world):
    template(world, subject="Hi", body_text="{{ (1 / zero) }}")
    broken = world.one("P3", body_text=None, template="spring", content_data={"zero": 0})
    whole = world.one("P3")
    work(world, "P3")
    row = world.row(broken)
    assert (row.status, row.last_error_class) == ("failed", "content")
    assert world.row(whole).status == "sent"
    assert world.suppressed() == []


def test_a_template_that_is_not_there_fails_its_message(world):
    message = world.one("P3", template="nowhere")
    work(world, "P3")
    assert (world.row(message).status, world.row(message).last_error_class) == ("failed", "content")


def test_a_batchs_words_are_the_messages_own(world):
    batch = world.batch(subject="For all", body_text="The same for everybody.")
    messages = world.add("P3", 3, batch_id=batch, subject=None, body_text=None)
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 3}


def test_without_a_sender_a_message_waits_for_our_configuration(world):
    world.execute(sa.delete(senders))
    world.tools.catalog.forget()
    message = world.one("P3")
    work(world, "P3")
    row = world.row(message)
    assert (row.status, row.attempts, row.last_error_class) == ("pending", 0, "config")
    assert world.gateways.accepted() == 0


def test_a_named_sender_that_is_gone_is_our_fault_not_the_messages(world):
    message = world.one("P3", options={"sender": "nobody"})
    work(world, "P3")
    assert world.row(message).last_error_class == "config"


# Which way


def test_a_message_goes_through_the_gateway_that_it_is_pinned_to(world):
    message = world.one("P3", gateway="ses", gateway_pinned=True)
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_a_message_without_a_gateway_takes_the_first(world):
    message = world.one("P3", gateway=None)
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_a_gateway_that_was_switched_off_meanwhile_is_passed_by(world):
    world.execute(sa.insert(gateways).values(channel="email", gateway="postal", enabled=False))
    world.tools.catalog.forget()
    message = world.one("P3")
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_a_message_whose_next_gateway_was_switched_off_begins_a_new_round(world):
    world.execute(sa.insert(gateways).values(channel="email", gateway="ses", enabled=False))
    world.tools.catalog.forget()
    message = world.one("P0", gateway="ses", tried=["postal"])
    work(world, "P0")
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_a_message_that_was_refused_for_its_content_fails(world):
    message = world.one("P3", recipient_address="rejected@example.com", gateway="ses")
    work(world, "P3")
    assert (world.row(message).status, world.row(message).last_error_class) == ("failed", "content")


# Told to stop, or too slow


def test_a_worker_told_to_stop_ends_what_is_on_the_wire_and_puts_back_the_rest(world):
    world.gateways.slow_down(200)
    messages = world.add("P3", 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, world.tools.stopping.set):
        work(world, "P3")
    assert world.statuses(messages) == {"sent": 16, "pending": 24}
    assert world.gateways.accepted() == 16
    assert {world.row(message).attempts for message in messages} == {0}


def test_what_was_put_back_is_due_at_once(world):
    world.gateways.slow_down(200)
    messages = world.add("P3", 20)
    with meanwhile(lambda: world.gateways.accepted() >= 16, world.tools.stopping.set):
        work(world, "P3")
    world.tools.stopping.clear()
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 20}
    assert world.gateways.accepted() == 20


def test_a_claim_that_takes_too_long_puts_back_the_rest(world, monkeypatch):
    world.gateways.slow_down(300)
    messages = world.add("P2", 40)
    stint = lane._Stint(world.tools, world.tools.lanes[Priority.P2], sweep=False)

    def too_long():
        monkeypatch.setattr(run, "LONGEST_RUN", 0.0)
        stint._ends_at = 0.0

    with meanwhile(lambda: world.gateways.accepted() >= 16, too_long):
        stint.run()
    assert world.statuses(messages) == {"sent": 16, "pending": 24}


def test_the_lease_is_renewed_while_a_slow_gateway_answers(world):
    short = world.tools.lanes[Priority.P3].changed(lease=timedelta(seconds=1))
    other = world.with_tools(lanes={**world.tools.lanes, Priority.P3: short})
    world.gateways.slow_down(300)
    messages = world.add("P3", 64)
    work(other, "P3")
    assert world.statuses(messages) == {"sent": 64}


def test_a_claim_that_is_over_leaves_nothing_in_memory_for_the_collector(world):
    work(world, "P3")
    gc.collect()
    gc.disable()
    try:
        messages = world.add("P3", 20)
        work(world, "P3")
        assert world.statuses(messages) == {"sent": 20}
        kinds = (ClaimRun, Requests, Ending, Claimed)
        assert [type(each).__name__ for each in gc.get_objects() if type(each) in kinds] == []
    finally:
        gc.enable()
