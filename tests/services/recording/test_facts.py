"""What gateways tell, on real rows: states, history, suppressions, whatever the order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import event_keys, parked_events
from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass, Priority
from app.services.recording import parked
from app.services.recording.heard import Heard
from app.services.recording.record import record
from tests.world import only

STATES = (
    "pending",
    "processing",
    "sent",
    "delivered",
    "bounced",
    "failed",
    "expired",
    "cancelled",
    "suppressed",
    "held",
)
UNFINISHED = ("pending", "failed", "expired", "cancelled")
AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
_keys = count(1)


def heard(message, event, outcome=None, *, attempt=1, key=None, gateway="postal", priority="P3", **fields):
    """Tell a fact about a message by our own tag."""
    fact = Fact(
        key=key or f"fact-{next(_keys)}",
        event_type=EventType(event),
        occurred_at=fields.pop("at", AT),
        tag=Tag(uuid=message.uuid, priority=Priority(priority), attempt=attempt) if message else None,
        outcome=outcome and OutcomeClass(outcome),
        **fields,
    )
    return Heard(gateway=gateway, fact=fact, inbox=None)


def tell(world, *facts):
    with world.tools.engine.begin() as conn:
        return record(conn, world.tools, facts)


def put(world, status, **columns):
    """Insert a message that had one try and is in this state now."""
    now = world.clock()
    marks = {
        "processing": {"locked_by": uuid4(), "locked_at": now},
        "sent": {"sent_at": now, "external_id": f"m-{uuid4().hex}"},
        "delivered": {"sent_at": now, "delivered_at": now, "external_id": f"m-{uuid4().hex}"},
    }
    return world.one("P3", status=status, tries=1, **marks.get(status, {}), **columns)


ARRIVES = dict.fromkeys(("processing", "sent", "held", *UNFINISHED), "delivered")
SEEN = dict.fromkeys(("processing", "sent", "held"), "delivered")
BOUNCES = dict.fromkeys(("processing", "sent", "delivered", "held"), "bounced")
FAILS = dict.fromkeys(("processing", "sent", "held"), "failed")

# What is told of the latest try; who moves where.
TABLE = [
    ("delivered", None, ARRIVES),
    ("sent", None, {"held": "sent"}),
    ("opened", None, SEEN),
    ("clicked", None, SEEN),
    ("bounced", "recipient", BOUNCES),
    ("bounced", "unreachable", BOUNCES),
    ("failed", "content", FAILS),
    ("failed", "throttle", {"sent": "pending"}),
    ("failed", "transient", {"sent": "pending"}),
    ("failed", "config", {"sent": "pending"}),
    ("deferred", "unreachable", {}),
    ("complained", None, {}),
    ("unsubscribed", None, {}),
]


def states_after(world, messages):
    return {status: world.row(message).status for status, message in messages.items()}


@pytest.mark.parametrize(("event", "outcome", "moves"), TABLE)
def test_a_fact_about_the_latest_try_moves_every_state_as_the_table_says(world, event, outcome, moves):
    messages = {status: put(world, status) for status in STATES}
    tell(world, *(heard(message, event, outcome) for message in messages.values()))
    assert states_after(world, messages) == {status: moves.get(status, status) for status in STATES}


@pytest.mark.parametrize(("event", "outcome"), [(event, outcome) for event, outcome, _ in TABLE])
def test_bad_news_of_an_earlier_try_moves_nobody_and_delivery_always_does(world, event, outcome):
    messages = {status: put(world, status) for status in STATES}
    for message in messages.values():
        world.change(message, tries=2)
    tell(world, *(heard(message, event, outcome, attempt=1) for message in messages.values()))
    good = {"delivered": ARRIVES, "sent": {"held": "sent"}, "opened": SEEN, "clicked": SEEN}
    moves = good.get(event, {})
    assert states_after(world, messages) == {status: moves.get(status, status) for status in STATES}


def test_a_send_event_proves_that_an_earlier_unknown_try_arrived(world):
    messages = {status: put(world, status, possible_duplicate=True) for status in UNFINISHED}
    tell(world, *(heard(message, "sent") for message in messages.values()))
    assert set(states_after(world, messages).values()) == {"sent"}


@pytest.mark.parametrize("event", sorted({event for event, _, _ in TABLE}))
def test_every_fact_is_in_the_history_even_where_it_moves_nothing(world, event):
    message = put(world, "suppressed")
    tell(world, heard(message, event))
    assert world.history(message) == ["queued", event]


def test_a_line_of_history_says_who_told_it_and_when(world):
    message = put(world, "sent")
    tell(
        world,
        heard(message, "bounced", "recipient", code="550", detail="no such user", external_event_id="e1"),
    )
    line = world.events(message)[-1]
    assert (line.source, line.gateway, line.attempt, line.outcome) == ("postal", "postal", 1, "recipient")
    assert (line.code, line.detail, line.external_event_id) == ("550", "no such user", "e1")
    assert line.occurred_at == AT


def test_an_open_that_proves_delivery_is_marked_as_inferred(world):
    message = put(world, "sent")
    tell(world, heard(message, "opened"))
    assert world.history(message) == ["queued", "opened", "delivered"]
    assert world.events(message)[-1].data == {"inferred": True}


def test_delivery_keeps_the_time_that_the_gateway_names(world):
    message = put(world, "held")
    tell(world, heard(message, "delivered", external_id="m-9"))
    row = world.row(message)
    assert (row.delivered_at, row.sent_at, row.external_id) == (AT, AT, "m-9")


def test_bad_news_leaves_the_reason_on_the_message(world):
    message = put(world, "sent")
    tell(world, heard(message, "bounced", "recipient", code="550", detail="no such user"))
    row = world.row(message)
    assert (row.last_error, row.last_error_class) == ("550: no such user", "recipient")


# Each fact once


def test_a_fact_told_twice_counts_once(world):
    message = put(world, "sent")
    fact = heard(message, "delivered", key="once")
    assert tell(world, fact).recorded == 1
    result = tell(world, fact)
    assert (result.recorded, result.repeated) == (0, 1)
    assert world.history(message) == ["queued", "delivered"]


def test_a_fact_twice_in_one_request_counts_once(world):
    message = put(world, "sent")
    result = tell(world, heard(message, "delivered", key="once"), heard(message, "delivered", key="once"))
    assert (result.recorded, result.repeated) == (1, 1)


def test_two_gateways_may_use_the_same_key(world):
    message = put(world, "sent")
    tell(world, heard(message, "opened", key="k"), heard(message, "clicked", key="k", gateway="ses"))
    assert len(world.all(sa.select(event_keys))) == 2


# Any order


def story(message, *told):
    return [heard(message, event, outcome, key=f"{message.uuid}-{event}") for event, outcome in told]


LIVES = {
    "read": [("deferred", "unreachable"), ("delivered", None), ("opened", None), ("clicked", None)],
    "late bounce": [("delivered", None), ("opened", None), ("bounced", "recipient")],
    "complaint": [("sent", None), ("delivered", None), ("complained", None)],
    "failed but arrived": [("failed", "content"), ("delivered", None)],
}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("together", [True, False])
def test_in_whatever_order_a_life_is_told_it_ends_the_same(world, life, together):
    orders = list(permutations(LIVES[life]))
    messages = [put(world, "sent") for _ in orders]
    for message, order in zip(messages, orders, strict=True):
        facts = story(message, *order)
        if together:
            tell(world, *facts)
        else:
            for fact in facts:
                tell(world, fact)
    ends = {world.row(message).status for message in messages}
    assert len(ends) == 1
    kinds = {event for event, _ in LIVES[life]}
    assert all(kinds <= set(world.history(message)) for message in messages)


@pytest.mark.parametrize("before", ["opened", "delivered", "clicked"])
def test_a_fact_before_the_settle_ends_as_one_behind_it(world, before):
    early, late = put(world, "processing"), put(world, "sent")
    tell(world, heard(early, before), heard(late, before))
    assert world.row(early).status == world.row(late).status == "delivered"
    assert world.row(early).locked_by is None


# Nobody knows it yet


def test_a_fact_about_a_message_that_is_not_known_is_parked(world):
    stranger = SimpleNamespace(uuid=uuid4())
    result = tell(world, heard(stranger, "delivered"))
    assert (result.recorded, result.parked) == (0, 1)
    assert only(world.all(sa.select(parked_events))).message_uuid == stranger.uuid


def age_parked(world):
    world.execute(sa.update(parked_events).values(recorded_at=sa.func.now() - timedelta(seconds=10)))


def test_a_parked_fact_finds_its_message_later(world):
    uuid = uuid4()
    stranger = SimpleNamespace(uuid=uuid)
    tell(world, heard(stranger, "delivered"))
    message = put(world, "sent", uuid=uuid)
    age_parked(world)
    assert parked.process(world.tools) == 1
    assert world.row(message).status == "delivered"
    assert world.all(sa.select(parked_events)) == []


def test_a_parked_fact_waits_until_its_message_is_there(world):
    tell(world, heard(SimpleNamespace(uuid=uuid4()), "delivered"))
    age_parked(world)
    assert parked.process(world.tools) == 0
    assert len(world.all(sa.select(parked_events))) == 1


def test_a_message_is_found_by_the_gateways_id_where_our_tag_is_missing(world):
    message = put(world, "sent")
    fact = heard(None, "delivered", external_id=world.row(message).external_id)
    assert tell(world, fact).recorded == 1
    assert world.row(message).status == "delivered"


def test_another_gateways_id_is_another_message(world):
    message = put(world, "sent")
    fact = heard(None, "delivered", external_id=world.row(message).external_id, gateway="ses")
    assert tell(world, fact).parked == 1


# The gateway thinks again


def test_what_a_gateway_gives_back_for_now_is_due_again(world):
    message = put(world, "sent")
    tell(world, heard(message, "failed", "throttle"))
    row = world.row(message)
    assert (row.status, row.attempts, row.external_id) == ("pending", 0, None)
    assert world.history(message) == ["queued", "attempt_failed"]


def test_an_urgent_message_that_is_given_back_goes_to_the_next_gateway(world):
    now = world.clock()
    message = world.one("P0", status="sent", sent_at=now, external_id="m-1", tries=1)
    result = tell(world, heard(message, "failed", "throttle", priority="P0"))
    assert result.failed_over == {Priority.P0: [message.id]}
    assert world.row(message).gateway == "ses"


def test_a_message_given_back_too_late_expires(world):
    now = world.clock()
    times = {"sent_at": now, "expires_at": now - timedelta(seconds=1)}
    message = world.one("P1", status="sent", tries=1, max_attempts=3, tried=["ses"], **times)
    tell(world, heard(message, "failed", "transient", priority="P1"))
    assert world.row(message).status == "expired"


def test_what_is_given_back_before_it_is_settled_waits_for_that(world):
    message = put(world, "processing")
    assert tell(world, heard(message, "failed", "throttle")).parked == 1
    assert world.history(message) == ["queued"]
    world.change(message, status="sent", sent_at=world.clock(), locked_by=None, locked_at=None)
    age_parked(world)
    parked.process(world.tools)
    assert world.row(message).status == "pending"


# Whom not to contact any more


def test_a_hard_bounce_suppresses_for_ever(world):
    message = put(world, "sent", recipient_address="Ada@example.com")
    tell(world, heard(message, "bounced", "recipient"))
    row = only(world.suppressed())
    assert (row.address, row.reason, row.source, row.expires_at) == (
        "ada@example.com",
        "bounce_hard",
        "postal",
        None,
    )
    assert row.message_id == message.id


def test_a_complaint_suppresses_everywhere(world):
    message = put(world, "delivered", community_id=7, category="spring")
    tell(world, heard(message, "complained"))
    row = only(world.suppressed())
    assert (row.reason, row.community_id, row.category) == ("complaint", None, None)


def test_an_unsubscribe_counts_for_its_category_and_community(world):
    message = put(world, "delivered", community_id=7, category="spring")
    tell(world, heard(message, "unsubscribed"))
    row = only(world.suppressed())
    assert (row.reason, row.community_id, row.category) == ("unsubscribe", 7, "spring")


def test_an_unsubscribe_from_one_sender_counts_for_all_that_it_sends(world):
    message = put(world, "delivered", community_id=7, category="spring")
    tell(world, heard(message, "unsubscribed", sender="+15550100"))
    row = only(world.suppressed())
    assert (row.reason, row.sender, row.community_id, row.category) == (
        "unsubscribe",
        "+15550100",
        None,
        None,
    )


def test_the_same_complaint_about_two_messages_is_one_suppression(world):
    messages = [put(world, "delivered", recipient_address="ada@example.com") for _ in range(2)]
    tell(world, *(heard(message, "complained") for message in messages))
    assert len(world.suppressed()) == 1


@pytest.mark.parametrize("event", ["opened", "delivered", "deferred"])
def test_good_news_suppresses_nobody(world, event):
    tell(world, heard(put(world, "sent"), event))
    assert world.suppressed() == []


def bounce_softly(world, times, address="ada@example.com"):
    for _ in range(times):
        tell(world, heard(put(world, "sent", recipient_address=address), "bounced", "unreachable"))


def test_the_third_soft_bounce_suppresses_for_thirty_days(world):
    bounce_softly(world, 2)
    assert world.suppressed() == []
    bounce_softly(world, 1)
    row = only(world.suppressed())
    assert row.reason == "bounce_soft"
    assert abs(row.expires_at - row.created_at - timedelta(days=30)) < timedelta(seconds=5)


def test_a_delivery_between_begins_the_count_anew(world):
    bounce_softly(world, 2)
    delivered = put(world, "sent", recipient_address="ada@example.com")
    tell(world, heard(delivered, "delivered", at=world.clock()))
    bounce_softly(world, 2)
    assert world.suppressed() == []
    bounce_softly(world, 1)
    assert len(world.suppressed()) == 1


def test_soft_bounces_count_together_however_an_address_is_capitalized(world):
    for address in ("Ada@example.com", "ADA@example.com", "ada@example.com"):
        bounce_softly(world, 1, address)
    assert [(row.reason, row.address) for row in world.suppressed()] == [("bounce_soft", "ada@example.com")]


def test_soft_bounces_of_others_count_for_nobody_else(world):
    bounce_softly(world, 2)
    bounce_softly(world, 2, address="bob@example.com")
    assert world.suppressed() == []


def test_a_deferral_is_no_soft_bounce(world):
    for _ in range(3):
        tell(world, heard(put(world, "sent", recipient_address="ada@example.com"), "deferred", "unreachable"))
    assert world.suppressed() == []


def test_one_message_counts_as_one_soft_bounce(world):
    message = put(world, "sent", recipient_address="ada@example.com")
    for _ in range(3):
        tell(world, heard(message, "bounced", "unreachable"))
    assert world.suppressed() == []


# A batch


def test_the_database_counts_what_facts_change(world):
    batch = world.batch()
    messages = [put(world, "sent", batch_id=batch) for _ in range(3)]
    tell(world, heard(messages[0], "delivered"), heard(messages[1], "bounced", "recipient"))
    assert world.counted(batch) == {"sent": -2, "delivered": 1, "bounced": 1}


def test_two_who_are_told_the_same_at_once_count_it_once(world):
    messages = [put(world, "sent") for _ in range(300)]
    facts = [heard(message, "delivered", key=f"same-{n}") for n, message in enumerate(messages)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda order: tell(world, *order), (facts, facts[::-1])))
    assert sum(result.recorded for result in results) == 300
    assert world.statuses(messages) == {"delivered": 300}
    assert [world.history(message).count("delivered") for message in messages] == [1] * 300


def test_facts_of_one_request_are_folded_in_the_order_of_the_request(world):
    early, late = put(world, "sent"), put(world, "sent")
    tell(
        world,
        heard(late, "bounced", "recipient"),
        heard(early, "delivered"),
        heard(late, "delivered"),
        heard(early, "bounced", "recipient"),
    )
    assert world.row(late).status == "bounced"
    assert world.history(early)[-2:] == ["delivered", "bounced"]


def test_the_same_fact_twice_in_one_request_counts_once(world):
    message = put(world, "sent")
    result = tell(world, *[heard(message, "opened", key="once")] * 3)
    assert (result.recorded, result.repeated) == (1, 2)


def test_whatever_a_gateway_says_is_kept_as_it_is(world):
    message = put(world, "sent")
    said = 'a "quoted" \\ {brace}, NULL ü'
    tell(
        world,
        heard(message, "bounced", "recipient", code='"', detail=said, external_id="\\", data={"url": said}),
    )
    event = world.events(message)[-1]
    assert (event.code, event.detail, event.external_id, event.data) == ('"', said, "\\", {"url": said})
