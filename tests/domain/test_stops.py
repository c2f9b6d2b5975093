"""Stops as rules: when they hold, for whom, and how sending grows after them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.stops import NOTHING_STOPPED, Stop, StopScope, stops_of_lane
from app.domain.vocabulary import Priority

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def stop(scope="all", key=None, **changes):
    wanted = {"id": 1, "scope": StopScope(scope), "key": key, "includes_p0": False, "begins_at": NOON}
    return Stop(**wanted | changes)


@pytest.mark.parametrize(
    ("minutes", "share"),
    [(-1, 1.0), (0, 0.0), (9, 0.0), (10, 0.1), (11, 0.1), (12, 0.2), (15, 0.5), (19.5, 1.0), (20, 1.0)],
)
def test_a_stop_holds_from_its_beginning_to_its_end_and_then_grows_by_tenths(minutes, share):
    gradual = stop(ends_at=NOON + 10 * MINUTE, ramp_until=NOON + 20 * MINUTE)
    assert gradual.share(NOON + minutes * MINUTE) == pytest.approx(share)


def test_a_stop_without_an_end_holds_for_ever():
    assert stop().share(NOON + timedelta(days=3650)) == 0


@pytest.mark.parametrize("scope", [scope for scope in StopScope if scope is not StopScope.ALL])
def test_emergencies_are_stopped_only_where_ticked(scope):
    key = "P0" if scope is StopScope.PRIORITY else "7"
    for ticked in (False, True):
        found = stops_of_lane([stop(scope, key, includes_p0=ticked)], Priority.P0, NOON)
        assert (found is not NOTHING_STOPPED) == ticked


def test_a_priority_that_is_stopped_stops_no_other():
    stops = [stop("priority", "P3")]
    assert stops_of_lane(stops, Priority.P3, NOON).whole == stops[0]
    assert stops_of_lane(stops, Priority.P2, NOON) is NOTHING_STOPPED


def test_each_thing_is_found_by_its_own_key():
    stops = [
        stop("channel", "sms", id=2),
        stop("client", "7", id=3),
        stop("batch", "8", id=4),
        stop("template", "spring", id=5),
    ]
    found = stops_of_lane(stops, Priority.P3, NOON)
    assert [found.of_flow("sms", 1), found.of_flow("email", 7)] == stops[:2]
    assert [found.of_content(8, None), found.of_content(9, "spring")] == stops[2:]
    assert (found.of_flow("email", 8), found.of_content(7, "sms"), found.of_content(None, None)) == (
        None,
    ) * 3


@given(st.lists(st.floats(0, 60), min_size=2, max_size=20))
def test_the_share_never_falls_while_sending_grows(minutes):
    gradual = stop(ends_at=NOON, ramp_until=NOON + 60 * MINUTE)
    shares = [gradual.share(NOON + each * MINUTE) for each in sorted(minutes)]
    assert shares == sorted(shares)
    assert all(0.1 <= share <= 1 for share in shares)


def test_emergencies_go_at_once_after_a_stop_that_others_grow_after():
    gradual = stop(includes_p0=True, ends_at=NOON, ramp_until=NOON + 10 * MINUTE)
    assert stops_of_lane([gradual], Priority.P0, NOON + MINUTE) is NOTHING_STOPPED
    assert stops_of_lane([gradual], Priority.P1, NOON + MINUTE).growing == ((gradual, 0.1),)


def test_of_two_stops_of_one_thing_the_one_that_lets_less_go_counts():
    ends = [NOON + 5 * MINUTE, NOON + 50 * MINUTE]
    stops = [stop("batch", "8", id=number, ends_at=NOON, ramp_until=end) for number, end in enumerate(ends)]
    for some in (stops, stops[::-1]):
        found = stops_of_lane(some, Priority.P3, NOON + 2 * MINUTE)
        assert found.growth([StopScope.BATCH]) == {StopScope.BATCH: {"8": 0.1}}
