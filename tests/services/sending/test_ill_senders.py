"""A gateway that refuses one sender of ours is well for all others."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import sender_health, senders
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.limits.breaker import Breakers, Rule
from app.services.audit import Who
from app.services.sending import lane
from app.services.upkeep.breakers import restore_breakers
from tests.world import only, wait_for

POSTAL = (Channel.EMAIL, "postal")
STRANGER = "news@unverified-at-postal.example"
NOWHERE = "news@unverified.example"


def add_sender(world, slug, address):
    row = {"slug": slug, "channel": "email", "address": address, "name": slug}
    world.execute(sa.insert(senders).values(row))
    world.tools.catalog.forget()


@pytest.fixture
def stranger(world):
    add_sender(world, "stranger", STRANGER)
    return {"options": {"sender": "stranger"}}


def work(world, priority="P3"):
    lane.work(world.tools, Priority(priority), sweep=True)


def carry_on(world):
    while world.wake.failed_over:
        priority, messages = world.wake.failed_over.pop(0)
        lane.work_these(world.tools, priority, messages)


def standing(world, scope=STRANGER):
    return world.tools.breakers.states([POSTAL], scope=scope)[POSTAL]


def test_a_sender_that_is_refused_goes_elsewhere_without_an_attempt_used(world, stranger):
    message = world.one("P3", **stranger)
    work(world)
    carry_on(world)
    assert world.gateways.taken(message.uuid) == ["ses"]
    assert world.row(message).attempts == 0


def test_the_others_do_not_suffer(world, stranger):
    world.add("P3", 20, **stranger)
    work(world)
    carry_on(world)
    others = world.add("P3", 5)
    work(world)
    assert [world.gateways.taken(other.uuid) for other in others] == [["postal"]] * 5
    assert world.tools.breakers.states([POSTAL])[POSTAL].state is BreakerState.CLOSED


def test_after_the_first_refusals_no_more_is_tried(world, stranger):
    world.one("P3", **stranger)
    work(world)
    carry_on(world)
    tried = world.gateways.requests("postal")
    later = world.add("P3", 10, **stranger)
    work(world)
    assert world.gateways.requests("postal") == tried
    assert [world.gateways.taken(message.uuid) for message in later] == [["ses"]] * 10


def test_it_is_shown_who_is_refused_where_and_why(world, stranger):
    world.one("P3", **stranger)
    work(world)
    view = world.app.gateway_control.get(*POSTAL)
    ill = only(view.ill_senders)
    assert (ill.sender, ill.state) == (STRANGER, BreakerState.OPEN)
    assert "UnauthenticatedFromAddress" in ill.reason
    assert view.breaker.state is BreakerState.CLOSED
    change = only(world.app.gateway_control.changes(gateway="postal").items)
    assert (change.scope, change.before, change.after) == (STRANGER, "closed", "open")


def test_it_survives_an_empty_redis(world, stranger):
    world.one("P3", **stranger)
    work(world)
    until = standing(world).retry_at
    world.app.redis.flushall()
    restore_breakers(world.tools)
    restored = standing(world)
    assert restored.state is BreakerState.OPEN
    assert abs(restored.retry_at - until) < timedelta(milliseconds=5)


def test_a_sender_that_nobody_takes_waits_without_an_attempt_used(world):
    add_sender(world, "nobody", NOWHERE)
    message = world.one("P3", options={"sender": "nobody"})
    work(world)
    carry_on(world)
    row = world.row(message)
    assert (row.status, row.attempts) == ("pending", 0)
    assert row.scheduled_for > world.clock()


def test_probes_that_get_through_let_the_sender_back(world, stranger):
    rule = Rule(wait=timedelta(milliseconds=50), longest_wait=timedelta(milliseconds=50))
    quick = world.with_tools(breakers=Breakers(world.app.redis, rules={Channel.EMAIL: rule}))
    world.one("P3", **stranger)
    work(quick)
    carry_on(quick)
    # The vendor has verified it meanwhile; we know it by its address.
    world.execute(sa.update(senders).where(senders.c.slug == "stranger").values(address="news@example.org"))
    world.execute(sa.update(sender_health).values(sender="news@example.org"))
    quick.tools.breakers.trip(*POSTAL, "not verified", scope="news@example.org")
    world.tools.catalog.forget()
    wait_for(lambda: standing(quick, "news@example.org").state is BreakerState.HALF_OPEN)
    before = world.gateways.requests("postal")
    world.add("P3", 10, **stranger)
    work(quick)
    assert world.gateways.requests("postal") - before == 3
    assert standing(quick, "news@example.org").state is BreakerState.CLOSED
    world.tools.catalog.forget()
    assert world.tools.catalog.ill_senders() == frozenset()
    message = world.one("P3", **stranger)
    work(quick)
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_an_operator_may_let_a_sender_back_at_once(world, stranger):
    world.one("P3", **stranger)
    work(world)
    control = world.app.gateway_control
    view = control.reset(Who(actor="ann"), *POSTAL, why="it is verified now", sender=STRANGER)
    assert view.ill_senders == ()
    assert standing(world).state is BreakerState.CLOSED
