"""Bounces and complaints under a name hold its campaigns back, and nothing that is urgent."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, lane_flows, reputation_deltas, reputation_hours, senders
from app.domain.facts import Fact, Tag
from app.domain.reputation import Bounds, NameKind
from app.domain.vocabulary import EventType, OutcomeClass, Priority
from app.errors import Invalid
from app.services import name_counts
from app.services.audit import Who
from app.services.recording.heard import Heard
from app.services.recording.record import record
from app.services.sending import lane, run
from app.services.upkeep.reputation import forget_reputation, watch_reputation
from tests.world import only

ANN = Who(actor="ann")
BOUNDS = Bounds(bounced=0.05, complained=0.001, least_volume=1000)
DOMAIN, POOL = (NameKind.DOMAIN, "example.com"), (NameKind.IP_POOL, "campaigns")


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch):
    monkeypatch.setattr(name_counts, "TOLD_WITHIN", -1.0)


def work(world, priority):
    lane.work(world.tools, Priority(priority), sweep=True)


def counted(world, name=DOMAIN, *, sent=10_000, bounced=0, complained=0, ago=timedelta(hours=1)):
    """Put what happened under a name some time ago into the sums."""
    row = {
        "kind": name[0],
        "key": name[1],
        "hour": world.clock() - ago,
        "sent": sent,
        "bounced": bounced,
        "complained": complained,
    }
    world.execute(sa.insert(reputation_hours).values(row))


def watch(world):
    return watch_reputation(world.tools, bounds=BOUNDS)


def sums(world, name):
    rows = world.all(
        sa.select(reputation_deltas).where(
            reputation_deltas.c.kind == name[0], reputation_deltas.c.key == name[1]
        )
    )
    return tuple(sum(getattr(row, what) for row in rows) for what in ("sent", "bounced", "complained"))


def paused(world):
    counted(world, bounced=600)
    watch(world)


def told(world, message, event_type, outcome=None):
    """Let the gateway tell a fact about a message."""
    row = world.row(message)
    tag = Tag(uuid=row.uuid, priority=Priority(row.priority), attempt=row.tries)
    fact = Fact(
        key=f"{event_type}-{row.uuid}",
        event_type=event_type,
        occurred_at=world.clock(),
        tag=tag,
        outcome=outcome,
    )
    with world.tools.engine.begin() as conn:
        record(conn, world.tools, [Heard(gateway="postal", inbox=None, fact=fact)])


# Counting


def test_what_is_sent_counts_under_the_senders_domain_and_the_pool(world):
    world.add("P3", 7)
    work(world, "P3")
    assert [sums(world, name) for name in (DOMAIN, POOL)] == [(7, 0, 0), (7, 0, 0)]


def test_a_message_that_names_its_pool_counts_there(world):
    world.add("P4", 2, ip_pool="codes")
    work(world, "P4")
    assert sums(world, (NameKind.IP_POOL, "codes")) == (2, 0, 0)


def test_hard_bounces_and_complaints_count_and_soft_ones_do_not(world):
    hard, soft, angry, glad = world.add("P3", 4)
    work(world, "P3")
    told(world, hard, EventType.BOUNCED, OutcomeClass.RECIPIENT)
    told(world, soft, EventType.BOUNCED, OutcomeClass.UNREACHABLE)
    told(world, angry, EventType.COMPLAINED)
    told(world, glad, EventType.DELIVERED)
    assert [sums(world, name) for name in (DOMAIN, POOL)] == [(4, 1, 1), (4, 1, 1)]


def test_a_bounce_that_is_told_twice_counts_once(world):
    message = world.one("P3")
    work(world, "P3")
    for _ in range(2):
        told(world, message, EventType.BOUNCED, OutcomeClass.RECIPIENT)
    assert sums(world, DOMAIN) == (1, 1, 0)


def test_what_cannot_be_written_now_is_kept_for_later(world, outages):
    counts = name_counts.NameCounts(world.tools.engine)
    tally = name_counts.Tally.empty()
    tally.sent[DOMAIN] = 5
    with outages.without_postgres():
        counts.add(tally, at_once=True)
    counts.add(name_counts.Tally.empty(), at_once=True)
    assert sums(world, DOMAIN) == (5, 0, 0)


# Judging


@pytest.mark.parametrize(
    ("figures", "campaigns", "newsletters"),
    [
        ({"bounced": 399}, None, None),
        ({"bounced": 400}, "throttled", None),
        ({"bounced": 500}, "paused", "throttled"),
        ({"bounced": 1000}, "paused", "paused"),
        ({"complained": 7}, None, None),
        ({"complained": 8}, "throttled", None),
        ({"complained": 10}, "paused", "throttled"),
        ({"sent": 999, "bounced": 900}, None, None),
        ({"sent": 1000, "bounced": 100}, "paused", "paused"),
        ({"sent": 1000, "complained": 2}, None, None),
        ({"sent": 1000, "complained": 3}, "paused", "paused"),
        ({"bounced": 5000, "ago": timedelta(days=6)}, "paused", "paused"),
        ({"bounced": 5000, "ago": timedelta(days=8)}, None, None),
    ],
)
def test_how_bad_a_name_is_decides_what_is_held_back(world, figures, campaigns, newsletters):
    counted(world, **figures)
    watch(world)
    views = {(view.kind, view.key): view for view in world.app.reputation.list()}
    view = views.get(DOMAIN)
    found = (view.campaigns, view.newsletters) if view else (None, None)
    assert found == (campaigns, newsletters)


def test_what_was_counted_just_now_is_summed_up_first(world):
    counted(world, sent=999)
    world.one("P3")
    work(world, "P3")
    watch(world)
    view = world.app.reputation.get(*DOMAIN)
    assert (view.sent_24h, view.bounce_rate_24h) == (1000, 0.0)


def test_a_pause_is_told_with_its_reason(world):
    paused(world)
    view = world.app.reputation.get(*DOMAIN)
    assert view.reason == "6.00% of 10000 messages bounced within 24 hours; the bound is 5.00%"
    change = only(world.app.gateway_control.changes().items)
    assert (change.kind, change.scope, change.before, change.after) == (
        "reputation",
        "domain:example.com",
        "good",
        "endangered",
    )


def test_it_ends_by_itself_when_the_rate_is_well_below_the_bound(world):
    paused(world)
    counted(world, sent=4_000, ago=timedelta(hours=2))
    watch(world)
    assert world.app.reputation.get(*DOMAIN).campaigns == "paused"
    counted(world, sent=40_000, ago=timedelta(hours=3))
    watch(world)
    assert world.app.reputation.get(*DOMAIN).campaigns is None


# Holding back


def test_campaigns_of_a_bad_domain_wait_without_losing_time_or_an_attempt(world):
    paused(world)
    message = world.one("P3")
    expires_at = world.row(message).expires_at
    work(world, "P3")
    row = world.row(message)
    assert (row.status, row.attempts) == ("pending", 0)
    assert row.expires_at - expires_at == timedelta(minutes=30)
    assert "domain example.com is paused" in row.last_error


@pytest.mark.parametrize("priority", ["P0", "P1", "P4"])
def test_what_is_urgent_goes_whatever_the_reputation(world, priority):
    counted(world, bounced=5000)
    counted(world, POOL, bounced=5000)
    watch(world)
    message = world.one(priority, ip_pool="campaigns")
    work(world, priority)
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_a_newsletter_goes_where_only_campaigns_are_paused(world):
    counted(world, POOL, bounced=600)
    watch(world)
    newsletter, campaign = world.one("P2"), world.one("P3")
    work(world, "P2")
    work(world, "P3")
    assert world.gateways.taken(newsletter.uuid) == ["postal"]
    assert world.row(campaign).status == "pending"


def test_the_stricter_of_two_names_counts(world):
    counted(world, bounced=400)
    counted(world, POOL, bounced=600)
    watch(world)
    message = world.one("P3")
    work(world, "P3")
    assert world.row(message).status == "pending"
    assert "pool campaigns is paused" in world.row(message).last_error


def test_other_senders_campaigns_go_on(world):
    counted(world, (NameKind.DOMAIN, "elsewhere.example"), bounced=900)
    watch(world)
    message = world.one("P3")
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["postal"]


def test_a_throttled_name_lets_some_go_each_minute_and_spreads_the_rest(world):
    counted(world, bounced=400)
    watch(world)
    assert world.app.reputation.get(*DOMAIN).per_minute == 10
    messages = world.add("P3", 40)
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 10, "pending": 30}
    assert world.statuses(messages[:10]) == {"sent": 10}
    waits = sorted(world.row(message).scheduled_for for message in messages)[10:]
    assert waits[-1] - waits[0] > timedelta(minutes=2.5)


def test_who_asks_later_in_the_minute_of_a_throttled_name_waits_behind_the_others(world):
    counted(world, bounced=400)
    watch(world)
    first = world.add("P3", 40)
    work(world, "P3")
    second = world.add("P3", 20)
    work(world, "P3")
    waits = [[world.row(each).scheduled_for for each in some] for some in (first, second)]
    assert min(waits[1]) > max(waits[0])


def test_texts_of_a_campaign_do_not_wait_for_the_sake_of_mail(world):
    counted(world, POOL, bounced=5000)
    watch(world)
    world.execute(
        sa.insert(senders).values(
            slug="desk", channel="sms", address="+15550100100", default_for=["campaign"]
        )
    )
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="sms", client_id=1))
    text = world.one("P3", channel="sms", subject=None, gateway="twilio", recipient_address="+15550100001")
    work(world, "P3")
    assert world.row(text).status == "sent"


def test_campaigns_wait_from_the_moment_on_that_a_name_is_judged(world):
    world.tools.catalog.forget()
    assert world.tools.catalog.restraints() == {}
    paused(world)
    message = world.one("P3")
    work(world, "P3")
    assert world.row(message).status == "pending"


def test_a_message_that_is_looked_at_again_counts_once_in_its_minute(world, monkeypatch):
    monkeypatch.setattr(run, "CHECK_HOLDS", 0.0)
    counted(world, bounced=400)
    watch(world)
    messages = world.add("P3", 10)
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 10}


def test_an_operator_lifts_it_for_a_time(world, monkeypatch):
    told = []
    monkeypatch.setattr(world.app.catalog, "_tell", lambda: told.append(True))
    paused(world)
    assert len(told) == 1
    view = world.app.reputation.lift(ANN, *DOMAIN, why="the list is clean now", length=timedelta(hours=2))
    assert (view.campaigns, view.lifted_by, len(told)) == (None, "ann", 2)
    message = world.one("P3")
    work(world, "P3")
    assert world.gateways.taken(message.uuid) == ["postal"]
    entry = only(world.all(sa.select(audit_log).where(audit_log.c.action == "reputation.lift")))
    assert (entry.actor, entry.why) == ("ann", "the list is clean now")


def test_lifting_needs_a_reason(world):
    paused(world)
    with pytest.raises(Invalid):
        world.app.reputation.lift(ANN, *DOMAIN, why=" ")


def test_hours_that_no_window_reaches_are_forgotten(world):
    counted(world, ago=timedelta(days=9))
    counted(world, ago=timedelta(days=6))
    assert forget_reputation(world.tools) == 1
