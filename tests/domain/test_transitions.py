"""Every state against everything that a gateway can tell, as the table of states has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.transitions import Move, Told, move
from app.domain.vocabulary import EventType, OutcomeClass, Status

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
ARRIVES = dict.fromkeys(
    ("pending", "processing", "sent", "failed", "expired", "cancelled", "held"), "delivered"
)
SEEN = dict.fromkeys(("processing", "sent", "held"), "delivered")
UNFINISHED = ("pending", "failed", "expired", "cancelled")
BOUNCES = dict.fromkeys(("processing", "sent", "delivered", "held"), "bounced")
FAILS = dict.fromkeys(("processing", "sent", "held"), "failed")
RETRIES = {"sent": "retry", "processing": "later"}

# What is told, whether it is about the latest try, whether a try's fate is unknown; then who moves where.
TABLE = [
    ("delivered", None, True, False, ARRIVES),
    ("delivered", None, False, False, ARRIVES),
    ("delivered", None, True, True, ARRIVES),
    ("sent", None, True, False, {"held": "sent"}),
    ("sent", None, True, True, {"held": "sent", **dict.fromkeys(UNFINISHED, "sent")}),
    ("opened", None, True, False, SEEN),
    ("clicked", None, True, False, SEEN),
    ("clicked", None, False, False, SEEN),
    ("opened", None, False, True, {**SEEN, **dict.fromkeys(UNFINISHED, "delivered")}),
    ("bounced", "recipient", True, False, BOUNCES),
    ("bounced", "unreachable", True, False, BOUNCES),
    ("bounced", "recipient", False, False, {}),
    ("failed", "content", True, False, FAILS),
    ("failed", "recipient", True, False, FAILS),
    ("failed", "unknown", True, False, FAILS),
    ("failed", "content", False, False, {}),
    ("failed", "throttle", True, False, RETRIES),
    ("failed", "transient", True, False, RETRIES),
    ("failed", "config", True, False, RETRIES),
    ("failed", "throttle", False, False, {}),
    ("deferred", "unreachable", True, False, {}),
    ("complained", None, True, False, {}),
    ("unsubscribed", None, True, False, {}),
    ("converted", None, True, False, {}),
    ("replied", None, True, False, {}),
    ("confirmed", None, True, False, {}),
    ("queued", None, True, False, {}),
]


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(map(str, row[:4])))
def test_a_fact_moves_a_message_as_the_table_says(status, row):
    event, outcome, current, unknown, moves = row
    told = Told(
        event_type=EventType(event),
        outcome=outcome and OutcomeClass(outcome),
        current=current,
        unknown=unknown,
    )
    assert move(Status(status), told).name.lower() == moves.get(status, "none")


told = st.builds(
    Told,
    event_type=st.sampled_from(list(EventType)),
    outcome=st.one_of(st.none(), st.sampled_from(list(OutcomeClass))),
    current=st.booleans(),
    unknown=st.booleans(),
)


@given(told)
def test_only_a_message_that_is_sent_is_ever_sent_again(fact):
    assert [status for status in Status if move(status, fact) is Move.RETRY] in ([], [Status.SENT])


@given(told)
def test_nobody_who_is_suppressed_is_moved_by_anything(fact):
    assert move(Status.SUPPRESSED, fact) is Move.NONE


@given(told)
def test_a_bounced_message_stays_bounced(fact):
    assert move(Status.BOUNCED, fact) is Move.NONE


@given(st.sampled_from(list(Status)), told)
def test_bad_news_of_an_earlier_try_changes_nothing(status, fact):
    if not fact.current:
        assert move(status, fact) in (Move.NONE, Move.SENT, Move.DELIVERED)


@given(st.sampled_from(list(Status)), told)
def test_the_same_fact_told_again_at_once_moves_nothing_further(status, fact):
    reached = {
        Move.SENT: Status.SENT,
        Move.DELIVERED: Status.DELIVERED,
        Move.BOUNCED: Status.BOUNCED,
        Move.FAILED: Status.FAILED,
    }
    first = move(status, fact)
    if first in reached:
        assert move(reached[first], fact) is Move.NONE
