"""How long a thread rests for what grows again after a stop, by what it has just sent of it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.stops import LaneStops, Stop, StopScope
from app.queue.rows import Claimed
from app.services.sending.pace import Pace

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
TENTH = 0.1


def growing(*things, share=TENTH):
    """Give what a lane knows while these grow again: pairs of scope and key."""
    stops = [
        Stop(
            id=number,
            scope=StopScope(scope),
            key=key,
            includes_p0=False,
            begins_at=NOW,
            ends_at=NOW,
            ramp_until=NOW + timedelta(hours=1),
        )
        for number, (scope, key) in enumerate(things, start=1)
    ]
    return LaneStops(growing=tuple((stop, share) for stop in stops))


def message(channel="email", client_id=1):
    return Claimed._make([None] * len(Claimed._fields))._replace(channel=channel, client_id=client_id)


def rest_after(stops, messages, seconds):
    """Say how long a thread rests that has sent these messages in so many seconds."""
    pace = Pace()
    pace.rests(stops)
    pace.worked(messages, seconds)
    return pace.left(stops) or 0.0


def nearly(seconds):
    return pytest.approx(seconds, abs=0.1)


def test_who_may_send_a_tenth_rests_nine_times_as_long_as_it_sent():
    assert rest_after(growing(("channel", "email")), [message()] * 5, 0.5) == nearly(4.5)


def test_who_may_send_half_rests_as_long_as_it_sent():
    assert rest_after(growing(("all", None), share=0.5), [message()] * 5, 2.0) == nearly(2.0)


def test_it_rests_only_for_those_messages_that_grow_again():
    messages = [message("email"), message("sms"), message("sms"), message("sms")]
    assert rest_after(growing(("channel", "email")), messages, 1.0) == nearly(2.25)
    assert rest_after(growing(("channel", "push")), messages, 1.0) == 0.0


def test_a_clients_messages_are_known_by_its_id():
    assert rest_after(growing(("client", "7")), [message(client_id=7), message(client_id=8)], 1.0) == nearly(
        4.5
    )


def test_nobody_rests_for_longer_than_ten_seconds():
    assert rest_after(growing(("channel", "email")), [message()], 60.0) == nearly(10.0)


def test_what_rests_is_named_where_it_is_asked_for_and_nowhere_else():
    stops, pace = growing(("channel", "email"), ("client", "7")), Pace()
    assert pace.rests(stops, StopScope.CHANNEL) == []
    pace.worked([message(client_id=8)], 0.5)
    assert pace.rests(stops, StopScope.CHANNEL, StopScope.CLIENT) == ["email"]
    assert pace.rests(stops, StopScope.CLIENT) == []


def test_the_first_rest_that_is_over_is_waited_for_and_none_that_never_was():
    stops, pace = growing(("channel", "email"), ("client", "7"), ("client", "8")), Pace()
    pace.rests(stops)
    pace.worked([message("email", 7), message("email", 9)], 0.2)
    assert pace.left(stops) == nearly(0.9)


def test_without_anything_growing_nobody_rests():
    assert rest_after(LaneStops(), [message()], 5.0) == 0.0
