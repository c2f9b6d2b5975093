"""The picture of the states, held against the rules that move them."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product

from app.domain.decisions import Standing, decide
from app.domain.lanes import LANES
from app.domain.outcomes import Outcome
from app.domain.transitions import Move, Told, move
from app.domain.vocabulary import ConfigScope, EventType, OutcomeClass, Status
from tests.docs import tables

TEXT = (tables.ROOT / "docs" / "states.md").read_text()
DRAWN = {
    (found[1], found[2]) for found in re.finditer(r"^ {4}([a-z]+|\[\*\]) --> ([a-z]+)", TEXT, re.MULTILINE)
}
DONE_BY_TOCSIN = TEXT.partition("## What Tocsin does")[2].partition("\n## ")[0]
TABLED = {
    (found[1], found[2])
    for found in re.finditer(r"^\| `?([a-z-]+)`? \| `([a-z]+)` \|", DONE_BY_TOCSIN, re.MULTILINE)
}
MOVED_TO = {
    Move.SENT: "sent",
    Move.DELIVERED: "delivered",
    Move.BOUNCED: "bounced",
    Move.FAILED: "failed",
    Move.RETRY: "pending",
}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def told() -> set[tuple[str, str]]:
    moves = {
        (status, move(status, Told(event_type=event, outcome=outcome, current=current, unknown=unknown)))
        for status, event, outcome, current, unknown in product(
            Status, EventType, [None, *OutcomeClass], (True, False), (True, False)
        )
    }
    return {(str(status), MOVED_TO[found]) for status, found in moves if found in MOVED_TO}


def decided() -> set[str]:
    standings = [
        Standing(
            gateway="postal",
            chain=("postal", "ses"),
            tried=tried,
            attempts=attempts,
            max_attempts=3,
            expires_at=NOW + left,
        )
        for tried in ((), ("ses",))
        for attempts in (0, 2)
        for left in (timedelta(seconds=1), timedelta(days=1))
    ]
    outcomes = [Outcome(kind=kind, scope=ConfigScope.ACCOUNT) for kind in OutcomeClass]
    return {
        str(decide(outcome, standing, lane, NOW, 0.0).status)
        for outcome, standing, lane in product(outcomes, standings, LANES.values())
    }


def test_the_picture_has_every_move_that_gateways_cause():
    assert told() <= DRAWN


def test_the_picture_has_every_move_that_an_outcome_causes():
    assert {("processing", status) for status in decided()} <= DRAWN


def test_what_the_table_says_is_in_the_picture():
    assert {(before.replace("-", "[*]"), after) for before, after in TABLED} <= DRAWN
    assert len(TABLED) == 19


def test_the_picture_has_nothing_that_neither_table_nor_gateways_explain():
    # A message that was taken and is to be tried again may be out of time by then.
    explained = {(before.replace("-", "[*]"), after) for before, after in TABLED} | told()
    assert DRAWN - explained == {("sent", "expired")}


def test_every_state_is_drawn():
    assert {after for _, after in DRAWN} == {str(status) for status in Status}
