from datetime import UTC, datetime, timedelta

from app.domain.vocabulary import BreakerState, Channel, Priority
from app.limits.tokens import Ask, Limit
from app.services.limit_counts import recount
from app.services.upkeep.breakers import restore_breakers
from app.services.upkeep.counting import restore_counts, save_counts

GMAIL = Limit(key="domain:gmail.com", per_hour=10_000)
POSTAL = (Channel.EMAIL, "postal")


def ill(table, until="NULL", state="open"):
    table(
        "INSERT INTO channel_health (channel, gateway, breaker_state, failure_reason, breaker_until)"
        f" VALUES ('email', 'postal', '{state}', '5 failures in a row', {until})"
    )


def test_what_windows_hold_is_written_down(table, tools):
    recount(tools)
    tools.tokens.take([Ask(limits=(GMAIL,), count=42)], Priority.P2)
    save_counts(tools)
    assert table(
        "SELECT current_hour_count, hour_reset_at > now() + interval '59 minutes', day_reset_at"
        " FROM rate_limits WHERE limit_key = 'gmail.com'"
    ) == [(42, True, None)]


def test_a_window_that_is_empty_again_counts_nothing_and_never_resets(table, tools):
    table("UPDATE rate_limits SET current_hour_count = 7, hour_reset_at = now() WHERE limit_key = 'aol.com'")
    recount(tools)
    save_counts(tools)
    assert table("SELECT current_hour_count, hour_reset_at FROM rate_limits WHERE limit_key = 'aol.com'") == [
        (0, None)
    ]


def test_counts_are_counted_anew_only_where_they_are_lost(tools):
    assert restore_counts(tools)
    assert not restore_counts(tools)


def test_without_limits_nothing_is_written(table, make_tools):
    table("UPDATE rate_limits SET current_hour_count = 7")
    save_counts(make_tools(tokens=None))
    assert table.one("SELECT DISTINCT current_hour_count FROM rate_limits") == 7


def test_a_breaker_that_redis_forgot_is_open_again_until_its_time(table, tools):
    ill(table, until="now() + interval '20 seconds'")
    restore_breakers(tools)
    standing = tools.breakers.states([POSTAL])[POSTAL]
    assert (standing.state, standing.reason) == (BreakerState.OPEN, "5 failures in a row")
    assert timedelta(0) < standing.retry_at - datetime.now(UTC) <= timedelta(seconds=20)


def test_where_no_time_is_known_probes_may_try_at_once(table, tools):
    ill(table, state="half_open")
    restore_breakers(tools)
    assert tools.breakers.states([POSTAL])[POSTAL].state is BreakerState.HALF_OPEN


def test_a_breaker_that_redis_knows_is_left_as_it_is(table, tools):
    tools.breakers.trip(*POSTAL, "wrong key", wait=timedelta(minutes=5))
    ill(table)
    assert restore_breakers(tools) == 0
    assert tools.breakers.states([POSTAL])[POSTAL].reason == "wrong key"


def test_healthy_gateways_are_left_alone(table, tools):
    ill(table, state="closed")
    assert restore_breakers(tools) == 0
