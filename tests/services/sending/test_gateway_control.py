"""What operators do to gateways, and what that does to messages."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from actors.emergency import heed_stops
from app.bootstrap import build
from app.db.tables import audit_log, gateways, senders
from app.domain.routing import Needs, by_chance
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.services import catalog
from app.services.audit import Who
from app.services.gateway_rows import GatewayChanges
from app.services.sending import lane
from app.services.upkeep.breakers import restore_breakers
from app.settings import load
from app.simulator.accounts.bird import BIRD_CHANNELS
from app.simulator.environment import environment
from tests.world import only, wait_for

ANN = Who(actor="ann", origin="192.0.2.1")
WHY = "maintenance at the provider"
POSTAL, SES = (Channel.EMAIL, "postal"), (Channel.EMAIL, "ses")


@pytest.fixture
def control(world):
    return world.app.gateway_control


def work(world, priority="P3"):
    """Do what a worker does, and those that it hands other gateways' claims to."""
    lane.work(world.tools, Priority(priority), sweep=True)
    while world.wake.claims:
        lane.work_claim(world.tools, *world.wake.claims.pop())


def carry_on(world):
    while world.wake.failed_over:
        priority, messages = world.wake.failed_over.pop(0)
        lane.work_these(world.tools, priority, messages)


def sent_through(world, messages):
    return Counter(only(world.gateways.taken(message.uuid)) for message in messages)


def audited(world):
    return world.all(sa.select(audit_log).order_by(audit_log.c.id))


def state(world, pair=POSTAL):
    return world.tools.breakers.states([pair])[pair].state


@pytest.fixture
def worker(world, settings):
    """Another process, which heeds what it hears."""
    app = build(settings, "worker")
    bell = app.bell_of_stops()
    bell(0.01)
    thread = threading.Thread(target=heed_stops, args=(app.tools, bell))
    thread.start()
    yield app
    app.tools.stopping.set()
    thread.join()
    bell.close()
    wait_for(lambda: not app.catalog._renewing)
    app.engine.dispose()
    app.redis.close()


# Looking


def test_all_gateways_are_listed_the_configured_ones_in_order(control):
    emails = [view for view in control.list() if view.channel is Channel.EMAIL]
    assert [(view.gateway, view.credentials, view.tier) for view in emails] == [
        ("postal", True, 1),
        ("ses", True, 2),
        ("sendgrid", False, None),
        ("smtp", False, None),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda control: control.drain(ANN, *POSTAL, why=WHY),
        lambda control: control.change(ANN, *POSTAL, GatewayChanges(tier=3), why=WHY),
        lambda control: control.set_order(ANN, Channel.EMAIL, [["ses"], ["postal"]], why=WHY),
    ],
    ids=["use", "change", "order"],
)
def test_workers_go_by_a_change_at_once(control, worker, change, monkeypatch):
    for age in ("FRESH", "KEPT"):
        monkeypatch.setattr(catalog, age, 3600.0)
    needs = Needs(channel=Channel.EMAIL)
    assert worker.catalog.ways(needs).as_accepted(by_chance)[0] == "postal"
    change(control)
    wait_for(lambda: worker.catalog.ways(needs).as_accepted(by_chance)[0] == "ses")


def test_nothing_that_is_listed_is_a_credential(world, settings, control):
    shown = repr(control.list())
    secrets = [settings.postal_api_key, settings.aws_secret_access_key, settings.twilio_auth_token]
    assert not [secret for secret in secrets if secret and secret.get_secret_value() in shown]


def test_a_gateway_that_nobody_knows_is_not_found(control):
    with pytest.raises(NotFound):
        control.get(Channel.EMAIL, "pigeon")


def test_without_redis_the_list_shows_what_is_written_down(world, control, outages):
    control.trip(ANN, *POSTAL, why=WHY)
    with outages.without_valkey():
        assert control.get(*POSTAL).breaker.state is BreakerState.OPEN


# Draining and disabling


@pytest.mark.parametrize("verb", ["drain", "disable"])
def test_what_waits_for_a_gateway_out_of_use_goes_elsewhere(world, control, verb):
    messages = world.add("P3", 3)
    getattr(control, verb)(ANN, *POSTAL, why=WHY)
    work(world)
    assert sent_through(world, messages) == {"ses": 3}
    assert [world.row(message).attempts for message in messages] == [0, 0, 0]


@pytest.mark.parametrize(("out", "back"), [("drain", "undrain"), ("disable", "enable")])
def test_it_is_used_again_when_it_is_back(world, control, out, back):
    getattr(control, out)(ANN, *POSTAL, why=WHY)
    view = getattr(control, back)(ANN, *POSTAL, why="it is done")
    assert (view.drained, view.enabled, view.drained_by, view.disabled_by) == (False, True, None, None)
    messages = world.add("P3", 2)
    work(world)
    assert sent_through(world, messages) == {"postal": 2}


def test_a_drained_gateway_still_takes_what_names_it(world, control):
    control.drain(ANN, *POSTAL, why=WHY)
    message = world.one("P3", gateway_pinned=True)
    work(world)
    assert sent_through(world, [message]) == {"postal": 1}


def test_a_disabled_gateway_takes_nothing_at_all(world, control):
    control.disable(ANN, *POSTAL, why=WHY)
    message = world.one("P3", gateway_pinned=True)
    work(world)
    assert (world.row(message).status, world.gateways.requests("postal")) == ("pending", 0)


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_what_is_urgent_and_names_a_gateway_out_of_use_goes_elsewhere(world, control, priority):
    control.disable(ANN, *POSTAL, why=WHY)
    message = world.one(priority, gateway_pinned=True)
    work(world, priority)
    assert sent_through(world, [message]) == {"ses": 1}
    assert world.row(message).attempts == 0


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_unless_it_shall_go_through_no_other(world, control, priority):
    control.disable(ANN, *POSTAL, why=WHY)
    message = world.one(priority, gateway_pinned=True, options={"gateway_only": True})
    work(world, priority)
    assert (world.row(message).status, world.gateways.accepted()) == ("pending", 0)


@pytest.mark.parametrize("priority", ["P0", "P4"])
def test_what_is_urgent_begins_with_the_gateway_that_it_names_and_goes_on_where_that_fails(world, priority):
    message = world.one(priority, gateway="ses", gateway_pinned=True)
    world.gateways.break_("ses")
    work(world, priority)
    carry_on(world)
    assert world.gateways.requests("ses") == 1
    assert sent_through(world, [message]) == {"postal": 1}


def test_what_is_urgent_names_a_drained_gateway_all_the_same(world, control):
    control.drain(ANN, *POSTAL, why=WHY)
    message = world.one("P0", gateway_pinned=True)
    work(world, "P0")
    assert sent_through(world, [message]) == {"postal": 1}


def test_a_campaign_stays_with_the_gateway_that_it_names_where_that_fails(world):
    message = world.one("P3", gateway="ses", gateway_pinned=True)
    world.gateways.break_("ses")
    work(world)
    carry_on(world)
    assert world.gateways.taken(message.uuid) == []


def test_a_test_message_goes_through_its_gateway_or_not_at_all(world, control):
    accepted = control.test(ANN, *SES, "ann@example.com", why=WHY)
    world.gateways.break_("ses")
    work(world, "P4")
    carry_on(world)
    assert world.gateways.taken(accepted.uuid) == []


def test_who_took_it_out_of_use_and_why_is_shown_audited_and_told(world, control):
    view = control.drain(ANN, *POSTAL, why=WHY)
    assert (view.drained, view.drained_by, view.drained_why) == (True, "ann", WHY)
    entry = only(audited(world))
    assert (entry.actor, entry.origin, entry.action, entry.target, entry.why) == (
        "ann",
        "192.0.2.1",
        "gateway.drain",
        "gateway:email/postal",
        WHY,
    )
    change = only(control.changes(gateway="postal").items)
    assert (change.kind, change.before, change.after, change.who) == ("use", "in use", "drained", "ann")


def test_a_drain_survives_an_empty_redis(world, control):
    control.drain(ANN, *POSTAL, why=WHY)
    world.app.redis.flushall()
    message = world.one("P3")
    work(world)
    assert sent_through(world, [message]) == {"ses": 1}


@pytest.mark.parametrize("verb", ["drain", "undrain", "disable", "enable", "trip", "reset", "switch"])
def test_nothing_is_done_without_a_reason(world, control, verb):
    with pytest.raises(Invalid):
        getattr(control, verb)(ANN, *POSTAL, why="  ")
    assert audited(world) == []


# Order and weight


def test_a_switch_moves_what_waits_already(world, control):
    waiting = world.add("P3", 3)
    control.switch(ANN, *SES, why=WHY)
    later = world.add("P3", 2, gateway="ses")
    work(world)
    assert sent_through(world, [*waiting, *later]) == {"ses": 5}
    assert [view.gateway for view in control.list(channel=Channel.EMAIL)][:2] == ["ses", "postal"]


def test_a_switch_leaves_alone_what_another_gateway_has_tried(world, control):
    message = world.one("P3", tried=["ses"])
    control.switch(ANN, *SES, why=WHY)
    work(world)
    assert sent_through(world, [message]) == {"postal": 1}


def test_a_message_for_a_later_gateway_stays_there_after_the_switch(world, control):
    control.switch(ANN, *SES, why=WHY)
    message = world.one("P3", gateway="postal")
    work(world)
    assert sent_through(world, [message]) == {"postal": 1}


def test_nobody_switches_to_a_gateway_that_is_out_of_use(control):
    control.drain(ANN, *SES, why=WHY)
    with pytest.raises(Conflict):
        control.switch(ANN, *SES, why=WHY)


def test_gateways_of_one_tier_share_by_weight(world, control):
    control.set_order(ANN, Channel.EMAIL, [["postal", "ses"]], why=WHY)
    control.change(ANN, *POSTAL, GatewayChanges(weight=3), why=WHY)
    messages = world.add("P3", 120)
    work(world)
    found = sent_through(world, messages)
    assert 70 <= found["postal"] <= 110
    assert found["postal"] + found["ses"] == 120
    # By weight nothing has failed over.
    assert world.history(messages[0]) == ["queued", "sent"]


def test_a_weight_of_nothing_gives_nothing(world, control):
    control.change(ANN, *POSTAL, GatewayChanges(weight=0), why=WHY)
    message = world.one("P3")
    work(world)
    assert sent_through(world, [message]) == {"ses": 1}


def test_gateways_that_an_order_does_not_name_come_behind(control):
    found = control.set_order(ANN, Channel.SMS, [["messagebird"]], why=WHY)
    configured = [view.gateway for view in found if view.credentials]
    assert configured == ["messagebird", "twilio", "bandwidth", "bird"]


@pytest.mark.parametrize("tiers", [[], [["pigeon"]], [["postal"], ["postal"]]])
def test_an_order_that_cannot_be_is_refused(control, tiers):
    with pytest.raises(Invalid):
        control.set_order(ANN, Channel.EMAIL, tiers, why=WHY)


def test_a_change_keeps_what_it_does_not_name(world, control):
    control.change(ANN, *POSTAL, GatewayChanges(pools=("campaigns",)), why=WHY)
    view = control.change(ANN, *POSTAL, GatewayChanges(weight=5), why=WHY)
    assert (view.pools, view.weight, view.tier) == (("campaigns",), 5, 1)
    assert only(world.all(sa.select(gateways.c.ordered_at))).ordered_at is None


# Breakers


def test_a_trip_by_hand_holds_for_as_long_as_was_said(world, control):
    view = control.trip(ANN, *POSTAL, why=WHY, wait=timedelta(hours=2))
    assert view.breaker.state is BreakerState.OPEN
    assert timedelta(minutes=119) < view.breaker.until - world.clock() < timedelta(minutes=121)
    assert (view.breaker.reason, view.is_healthy) == (WHY, False)
    message = world.one("P3")
    work(world)
    assert sent_through(world, [message]) == {"ses": 1}


def test_a_trip_by_hand_survives_an_empty_redis_with_its_time(world, control):
    until = control.trip(ANN, *POSTAL, why=WHY, wait=timedelta(hours=2)).breaker.until
    world.app.redis.flushall()
    restore_breakers(world.tools)
    restored = control.get(*POSTAL).breaker
    assert restored.state is BreakerState.OPEN
    assert abs(restored.until - until) < timedelta(milliseconds=5)


def test_a_trip_without_redis_holds_when_it_is_back(world, control, outages):
    with outages.without_valkey():
        control.trip(ANN, *POSTAL, why=WHY, wait=timedelta(hours=2))
    restore_breakers(world.tools)
    assert state(world) is BreakerState.OPEN


def test_a_reset_closes_it_for_good(world, control):
    control.trip(ANN, *POSTAL, why=WHY)
    view = control.reset(ANN, *POSTAL, why="it was us")
    assert (view.breaker.state, view.is_healthy) == (BreakerState.CLOSED, True)
    assert restore_breakers(world.tools) == 0
    assert [entry.action for entry in audited(world)] == ["gateway.trip", "gateway.reset"]


def test_a_reset_without_redis_is_not_said_to_have_been_done(control, outages):
    control.trip(ANN, *POSTAL, why=WHY)
    with outages.without_valkey(), pytest.raises(Unavailable):
        control.reset(ANN, *POSTAL, why=WHY)


# The whole chain


@pytest.fixture
def whole(world, settings):
    """A process with every gateway."""
    everything = {name.lower(): value for name, value in environment(world.gateways.base).items()}
    app = build(
        load(
            _env_file=None,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            gateway_timeout_seconds=3,
            **everything,
        ),
        "whole",
        connections=6,
    )
    changes = {"gateways": app.gateways, "catalog": app.catalog, "contents": app.tools.contents}
    yield world.with_tools(**changes)
    app.engine.dispose()
    app.redis.close()


CHAINS = {
    "email": ("postal", "ses", "sendgrid", "smtp"),
    "sms": ("twilio", "bandwidth", "messagebird", "bird"),
}


@pytest.mark.parametrize("channel", CHAINS)
@pytest.mark.parametrize("down", [1, 2, 3])
def test_an_alert_goes_down_the_whole_chain_in_one_round(whole, channel, down):
    world, chain = whole, CHAINS[channel]
    address = "reader@example.org" if channel == "email" else "+15005550010"
    row = {"slug": "number", "channel": "sms", "address": next(iter(BIRD_CHANNELS)), "default_for": ["alert"]}
    world.execute(sa.insert(senders).values(row))
    world.tools.catalog.forget()
    for name in chain[:down]:
        world.gateways.break_(name, "error")
    message = world.one("P1", channel=channel, gateway=chain[0], recipient_address=address)
    world.execute(
        sa.text("INSERT INTO lane_flows VALUES ('P1', :channel, 1) ON CONFLICT DO NOTHING"),
        {"channel": channel},
    )
    work(world, "P1")
    carry_on(world)
    row = world.row(message)
    assert (row.status, row.gateway, row.attempts) == ("sent", chain[down], 0)
