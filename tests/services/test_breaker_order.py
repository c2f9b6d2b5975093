"""Who writes down how a breaker stands, and in which order: the last change wins."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import channel_health, sender_health
from app.domain.vocabulary import BreakerState, Channel
from app.services import vital_signs
from app.services.health import note_change, write_standing
from app.services.reference_rows import read_ill_senders
from app.services.upkeep.breakers import restore_breakers

POSTAL = (Channel.EMAIL, "postal")
HOUR = timedelta(hours=1)
SENDER = "news@example.org"


@pytest.fixture
def breakers(world):
    return world.tools.breakers


def opened_and_closed(breakers, scope=""):
    return breakers.trip(*POSTAL, "refused", scope=scope), breakers.reset(*POSTAL, scope=scope)


def noted(world, *changes):
    for change in changes:
        note_change(world.tools.engine, change)


def row(world):
    return world.all(sa.select(channel_health).where(channel_health.c.gateway == "postal"))[0]


def refused(world):
    with world.tools.engine.connect() as conn:
        return {sender for _, _, sender in read_ill_senders(conn)}


def test_an_opening_that_is_written_after_the_closing_is_not_believed(world, breakers):
    opening, closing = opened_and_closed(breakers)
    noted(world, closing, opening)
    assert (row(world).breaker_state, row(world).is_healthy, row(world).failure_reason) == (
        "closed",
        True,
        None,
    )


def test_what_comes_in_order_is_written_in_order(world, breakers):
    opening, closing = opened_and_closed(breakers)
    noted(world, opening, closing, breakers.trip(*POSTAL, "again"))
    assert (row(world).breaker_state, row(world).failure_reason) == ("open", "again")


def test_a_look_from_before_the_closing_is_not_written_after_it(world, breakers):
    opening = breakers.trip(*POSTAL, "refused")
    seen = breakers.states([POSTAL])[POSTAL]
    noted(world, opening, breakers.reset(*POSTAL))
    with world.tools.engine.begin() as conn:
        assert not write_standing(conn, *POSTAL, seen)
    assert row(world).breaker_state == "closed"


def test_a_closing_whose_note_was_lost_is_written_with_the_figures(world, breakers):
    opening, _lost = opened_and_closed(breakers)
    noted(world, opening)
    vital_signs.refresh(world.tools.engine, breakers, *POSTAL)
    assert (row(world).breaker_state, row(world).is_healthy) == ("closed", True)


def test_a_breaker_that_was_closed_is_not_opened_again_since_a_row_says_so(world, breakers):
    opening, _lost = opened_and_closed(breakers)
    noted(world, opening)
    assert restore_breakers(world.tools) == 0
    assert breakers.states([POSTAL])[POSTAL].state is BreakerState.CLOSED


def test_a_breaker_of_which_redis_has_heard_since_it_was_emptied_is_known_to_be_closed(world, breakers):
    noted(world, breakers.trip(*POSTAL, "refused"))
    world.app.redis.flushdb()
    breakers.record(*POSTAL, good=1, faults=0)
    vital_signs.refresh(world.tools.engine, breakers, *POSTAL)
    assert row(world).breaker_state == "closed"


def test_one_of_which_it_has_not_is_restored_with_its_place_in_the_order(world, breakers):
    opening = breakers.trip(*POSTAL, "refused")
    noted(world, opening)
    world.app.redis.flushdb()
    vital_signs.refresh(world.tools.engine, breakers, *POSTAL)
    assert row(world).breaker_state == "open"
    assert restore_breakers(world.tools) == 1
    assert breakers.reset(*POSTAL).at > opening.at


def test_what_was_opened_while_redis_was_away_is_opened_in_it_though_it_knows_of_earlier(world, breakers):
    _, closing = opened_and_closed(breakers)
    statement = sa.insert(channel_health).values(
        channel="email",
        gateway="postal",
        breaker_state="open",
        breaker_until=sa.func.now() + HOUR,
        failure_reason="by hand",
        breaker_changed_at=closing.at + timedelta(seconds=1),
    )
    world.execute(statement)
    assert restore_breakers(world.tools) == 1
    standing = breakers.states([POSTAL])[POSTAL]
    assert (standing.state, standing.reason) == (BreakerState.OPEN, "by hand")
    assert restore_breakers(world.tools) == 0


def test_a_time_that_cannot_be_true_blocks_nothing(world, breakers):
    opening, closing = opened_and_closed(breakers)
    noted(world, opening)
    world.execute(sa.update(channel_health).values(breaker_changed_at=sa.func.now() + HOUR))
    noted(world, closing)
    assert row(world).breaker_state == "closed"


def test_a_sender_s_opening_that_is_written_after_its_closing_is_not_believed(world, breakers):
    opening, closing = opened_and_closed(breakers, SENDER)
    noted(world, closing, opening)
    assert refused(world) == set()
    noted(world, breakers.trip(*POSTAL, "refused", scope=SENDER))
    assert refused(world) == {SENDER}


def test_senders_that_were_taken_again_are_forgotten_some_time(world, breakers):
    noted(world, *opened_and_closed(breakers, SENDER))
    world.execute(sa.update(sender_health).values(changed_at=sa.func.now() - 2 * HOUR))
    noted(world, *opened_and_closed(breakers, "other@example.org"))
    assert [each.sender for each in world.all(sa.select(sender_health))] == ["other@example.org"]
