"""Delays that gateways tell of slow us down for who asked for it."""

from datetime import UTC, datetime

import pytest

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass, Priority
from app.limits.paces import flow_of
from app.limits.tokens import Ask
from app.services.limit_counts import recount
from app.services.pacing import is_too_fast
from app.services.recording.heard import Heard
from app.services.recording.record import record
from app.services.recording.slowness import heed_words


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        ("4.7.28", True),
        ("421", True),
        ("deferred 421-4.7.28 Our system has detected an unusual rate", True),
        ("450 4.2.1 The user is receiving mail too quickly", False),
        ("451 4.3.2 try later", False),
        ("5.7.1 blocked", False),
        ("connection to 10.4.7.1 refused", False),
        ("message 14210", False),
        ("", False),
    ],
)
def test_codes_that_ask_for_a_slower_pace_are_told_from_others(said, is_one):
    assert is_too_fast(said) is is_one


def sent(world, address):
    return world.one(
        "P3", recipient_address=address, status="sent", sent_at=world.clock(), external_id=address, tries=1
    )


def fact(message, event, code="", detail=""):
    told = Fact(
        key=f"{message.id}-{event}-{code}",
        event_type=EventType(event),
        occurred_at=datetime.now(UTC),
        tag=Tag(uuid=message.uuid, priority=Priority.P3, attempt=1),
        outcome=OutcomeClass.UNREACHABLE if event == "deferred" else None,
        code=code,
        detail=detail,
    )
    return Heard(gateway="postal", fact=told, inbox=None)


def tell(world, *facts):
    recount(world.tools)
    world.tools.tokens.take([Ask(limits=(flow_of("postal"),), count=100)], Priority.P3)
    with world.tools.engine.begin() as conn:
        recorded = record(conn, world.tools, facts)
    heed_words(world.tools, recorded.words)
    return {place: pace.usual for place, pace in world.tools.paces.all().items()}


def test_who_delays_mail_for_its_rate_is_sent_to_more_slowly_by_its_share(world):
    slow = [sent(world, f"a{number}@gmail.com") for number in range(5)]
    quick = [sent(world, f"b{number}@shop.example") for number in range(5)]
    paces = tell(
        world,
        *[fact(each, "deferred", "4.7.28", "421 slow down") for each in slow],
        *[fact(each, "delivered") for each in quick],
    )
    assert paces == {("postal", "google"): 50.0}


def test_one_who_delays_a_single_mail_is_sent_to_as_before(world):
    assert tell(world, fact(sent(world, "a@gmail.com"), "deferred", "4.7.28", "421 slow down")) == {}


def test_other_delays_slow_nobody_down(world):
    assert tell(world, fact(sent(world, "a@gmail.com"), "deferred", "4.2.2", "mailbox full")) == {}
