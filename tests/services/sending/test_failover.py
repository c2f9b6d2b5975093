"""A gateway may die at any time: what goes elsewhere, what waits, and the way back."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import health_changes
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.limits.breaker import Breakers, Rule
from app.services.sending import lane
from tests.world import only, wait_for

URGENT = ("P0", "P1", "P4")


def work(world, priority, **options):
    return lane.work(world.tools, Priority(priority), sweep=False, **options)


def carry_on(world):
    """Do what the failover actor would, until nobody is told of more."""
    while world.wake.failed_over:
        priority, messages = world.wake.failed_over.pop(0)
        lane.work_these(world.tools, priority, messages)


def make_due(world, message):
    world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))


@pytest.mark.parametrize("priority", URGENT)
@pytest.mark.parametrize("mode", ["refuse", "error"])
def test_an_urgent_message_goes_to_the_second_gateway_at_once(world, priority, mode):
    world.gateways.break_("postal", mode)
    message = world.one(priority)
    work(world, priority)
    assert only(world.wake.failed_over) == (Priority(priority), [message.id])
    carry_on(world)
    row = world.row(message)
    assert (row.status, row.gateway, row.attempts, row.tries) == ("sent", "ses", 0, 2)
    assert world.gateways.taken(message.uuid) == ["ses"]
    assert world.history(message) == ["queued", "attempt_failed", "failed_over", "sent"]


@pytest.mark.parametrize("priority", ["P2", "P3"])
def test_bulk_waits_for_its_next_round(world, priority):
    world.gateways.break_("postal")
    message = world.one(priority)
    work(world, priority)
    row = world.row(message)
    assert (row.status, row.attempts, world.wake.failed_over) == ("pending", 1, [])
    assert timedelta(seconds=110) < row.scheduled_for - world.clock() <= timedelta(seconds=120)


def test_bulk_whose_failures_open_the_breaker_does_not_wait_for_a_later_round(world):
    world.gateways.break_("postal", "refuse")
    messages = world.add("P3", 5)
    work(world, "P3")
    assert world.wake.failed_over
    carry_on(world)
    for message in messages:
        make_due(world, message)
    work(world, "P3")
    assert [world.gateways.taken(message.uuid) for message in messages] == [["ses"]] * 5
    assert {world.row(message).attempts for message in messages} <= {0, 1}


@pytest.mark.parametrize("priority", URGENT)
def test_with_both_gateways_down_a_round_costs_one_attempt(world, priority):
    world.gateways.break_("postal")
    world.gateways.break_("ses")
    message = world.one(priority)
    work(world, priority)
    carry_on(world)
    row = world.row(message)
    assert (row.status, row.attempts, row.gateway, row.tried) == ("pending", 1, "postal", [])
    wait = timedelta(seconds=120 if priority == "P1" else 2)
    assert wait / 2 < row.scheduled_for - world.clock() <= wait


@pytest.mark.parametrize(("priority", "rounds"), [("P0", 5), ("P4", 5)])
def test_an_urgent_message_has_so_many_rounds_and_then_fails(world, priority, rounds):
    world.gateways.break_("postal")
    world.gateways.break_("ses")
    message = world.one(priority)
    for _ in range(rounds):
        # As seldom as these rounds really come, no breaker opens.
        for name in ("postal", "ses"):
            world.tools.breakers.reset(Channel.EMAIL, name)
        make_due(world, message)
        work(world, priority)
        carry_on(world)
    row = world.row(message)
    assert (row.status, row.attempts, row.tries) == ("failed", rounds, 2 * rounds)
    assert world.gateways.requests("postal") == world.gateways.requests("ses") == rounds


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_the_most_urgent_outlast_an_outage_of_all_gateways(world, priority):
    for name in ("postal", "ses"):
        world.gateways.break_(name, "refuse")
        world.tools.breakers.trip(Channel.EMAIL, name, "for the test")
    message = world.one(priority)
    for _ in range(12):
        make_due(world, message)
        work(world, priority)
        carry_on(world)
    row = world.row(message)
    assert (row.status, row.attempts) == ("pending", 0)
    assert row.scheduled_for - world.clock() <= timedelta(seconds=5 if priority == "P0" else 60)
    world.gateways.mend()
    make_due(world, message)
    work(world, priority)
    assert world.row(message).status == "sent"


def test_an_open_breaker_burns_no_attempts_of_an_alert(world):
    for name in ("postal", "ses"):
        world.tools.breakers.trip(Channel.EMAIL, name, "for the test")
    message = world.one("P1")
    work(world, "P1")
    row = world.row(message)
    assert (row.status, row.attempts) == ("pending", 0)
    assert world.gateways.requests("postal") == 0


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_where_nothing_is_healthy_the_most_urgent_try_anyway(world, priority):
    for name in ("postal", "ses"):
        world.tools.breakers.trip(Channel.EMAIL, name, "for the test")
    message = world.one(priority)
    work(world, priority)
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_five_failures_open_the_breaker_and_what_is_left_goes_elsewhere(world):
    world.gateways.break_("postal", "refuse")
    messages = world.add("P3", 40)
    work(world, "P3")
    refused = [message for message in messages if world.row(message).status == "pending"]
    moved = [message for message in messages if world.row(message).status == "sent"]
    # As many as were on the wire together, and those that had followed them before the news was read.
    assert 5 <= len(refused) <= 32
    assert len(refused) + len(moved) == 40
    assert {world.row(message).gateway for message in moved} == {"ses"}
    assert world.history(moved[0]) == ["queued", "failed_over", "sent"]


def test_a_failed_over_event_names_both_gateways(world):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    message = world.one("P3")
    work(world, "P3")
    event = world.events(message)[1]
    assert (event.event_type, event.gateway, event.data["from"]) == ("failed_over", "ses", "postal")


def test_later_claims_do_not_touch_a_gateway_whose_breaker_is_open(world):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    for priority in ("P0", "P1", "P2", "P3", "P4"):
        world.add(priority, 3)
        work(world, priority)
    assert world.gateways.requests("postal") == 0
    assert world.gateways.accepted() == 15


def test_a_breaker_that_opens_is_written_down_for_the_time_without_redis(world):
    world.gateways.break_("postal", "refuse")
    world.add("P3", 5)
    work(world, "P3")
    health = only(world.health("postal"))
    assert (health.is_healthy, health.breaker_state) == (False, "open")
    assert health.failure_reason


def probing(world, wait):
    rule = Rule(wait=wait, longest_wait=wait)
    return world.with_tools(breakers=Breakers(world.app.redis, rules={Channel.EMAIL: rule}))


def is_probed(world):
    state = world.tools.breakers.states([(Channel.EMAIL, "postal")])[Channel.EMAIL, "postal"].state
    return state is BreakerState.HALF_OPEN


def test_three_good_probes_bring_all_back_to_the_first_gateway(world):
    quick = probing(world, timedelta(milliseconds=50))
    quick.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    wait_for(lambda: is_probed(quick))
    world.add("P3", 20)
    work(quick, "P3")
    assert world.gateways.requests("postal") == 3
    assert only(world.health("postal")).breaker_state == "closed"
    message = world.one("P3")
    work(quick, "P3")
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_probes_of_several_claims_close_the_breaker_together(world):
    quick = probing(world, timedelta(milliseconds=50))
    quick.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    wait_for(lambda: is_probed(quick))
    for _ in range(3):
        world.one("P3")
        work(quick, "P3")
    assert world.gateways.requests("postal") == 3
    assert only(world.health("postal")).breaker_state == "closed"


def test_a_failed_probe_opens_it_again_for_the_others(world):
    world.gateways.break_("postal")
    quick = probing(world, timedelta(milliseconds=50))
    quick.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    wait_for(lambda: is_probed(quick))
    messages = world.add("P3", 10)
    work(quick, "P3")
    assert world.statuses(messages) == {"pending": 3, "sent": 7}
    # Its wait is so short that it may want probes again by now.
    changes = world.all(sa.select(health_changes.c.after).order_by(health_changes.c.id))
    assert [change.after for change in changes][-2:] == ["half_open", "open"]


def test_a_probe_that_was_not_sent_leaves_its_place_to_others(world):
    """Suppose three probes are admitted whose messages cannot be rendered."""
    quick = probing(world, timedelta(milliseconds=50))
    quick.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    wait_for(lambda: is_probed(quick))
    world.add("P3", 3, template="nowhere")
    work(quick, "P3")
    later = world.add("P3", 3)
    work(quick, "P3")
    assert [world.gateways.taken(message.uuid) for message in later] == [["postal"]] * 3


def test_a_fault_of_our_account_opens_the_breaker_at_once(world, settings):
    wrong = world.app.gateways["postal"].__class__(
        url=settings.postal_url, api_key="wrong", timeout=timedelta(seconds=1)
    )
    strangers = world.with_tools(gateways={**world.tools.gateways, "postal": wrong})
    message = world.one("P3")
    work(strangers, "P3")
    carry_on(strangers)
    assert world.gateways.taken(message.uuid) == ["ses"]
    assert world.row(message).attempts == 0
    assert only(world.health("postal")).breaker_state == "open"


# Too fast


def test_a_gateway_that_says_too_fast_makes_bulk_wait(world):
    message = world.one("P3", gateway="ses", recipient_address="throttled@example.com")
    work(world, "P3")
    row = world.row(message)
    assert (row.status, row.attempts, row.last_error_class) == ("pending", 0, "throttle")
    assert row.scheduled_for > world.clock()


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_a_gateway_that_says_too_fast_loses_urgent_messages_to_the_other(world, priority):
    message = world.one(priority, gateway="ses", recipient_address="throttled@example.com")
    work(world, priority)
    carry_on(world)
    assert world.gateways.taken(message.uuid) == ["postal"]


# Nobody knows


@pytest.mark.parametrize("priority", ["P2", "P3"])
@pytest.mark.parametrize("mode", ["timeout", "lost", "garbage"])
def test_bulk_of_unknown_fate_is_held(world, priority, mode):
    world.gateways.break_("postal", mode)
    message = world.one(priority)
    work(world, priority)
    row = world.row(message)
    assert (row.status, row.last_error_class, row.attempts) == ("held", "unknown", 0)
    assert world.history(message) == ["queued", "held"]


@pytest.mark.parametrize("priority", URGENT)
@pytest.mark.parametrize("mode", ["timeout", "lost"])
def test_an_urgent_message_of_unknown_fate_is_sent_again_and_says_so(world, priority, mode):
    world.gateways.break_("postal", mode)
    message = world.one(priority)
    work(world, priority)
    carry_on(world)
    assert world.row(message).status == "sent"
    assert world.row(message).possible_duplicate
    assert world.events(message)[-1].data == {"possible_duplicate": True}
    assert world.gateways.taken(message.uuid) == (["postal", "ses"] if mode == "lost" else ["ses"])
