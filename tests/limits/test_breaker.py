from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.db.redis import short_client
from app.domain.vitals import Vitals
from app.domain.vocabulary import BreakerState, Channel
from app.limits.breaker import Breakers

EMAIL = (Channel.EMAIL, "postal")
SMS = (Channel.SMS, "twilio")


@pytest.fixture
def breakers(client, clock):
    return Breakers(client, clock=clock)


def state(breakers, pair=EMAIL):
    return breakers.states([pair])[pair].state


def fail(breakers, pair=EMAIL, times=5):
    changes = [breakers.record(*pair, good=0, faults=1) for _ in range(times)]
    return next((change for change in changes if change), None)


def half_open(breakers, clock, wanted=3):
    fail(breakers)
    clock.pass_(seconds=30)
    return breakers.admit(*EMAIL, wanted)


def test_a_gateway_nobody_knows_is_closed(breakers):
    assert state(breakers) is BreakerState.CLOSED


def test_a_closed_breaker_admits_everything(breakers):
    admission = breakers.admit(*EMAIL, 500)
    assert (admission.admitted, admission.probes, admission.change) == (500, 0, None)


def test_five_failures_within_a_minute_open_it(breakers):
    change = fail(breakers)
    assert (change.before, change.after) == (BreakerState.CLOSED, BreakerState.OPEN)


def test_four_failures_do_not(breakers):
    assert fail(breakers, times=4) is None


def test_three_are_enough_for_sms(breakers):
    assert fail(breakers, SMS, times=3).after is BreakerState.OPEN


def test_failures_longer_than_a_minute_apart_do_not_add_up(breakers, clock):
    fail(breakers, times=4)
    clock.pass_(seconds=66)
    assert fail(breakers, times=4) is None


def test_failures_with_few_successes_between_open_it(breakers):
    changes = [breakers.record(*EMAIL, good=9, faults=1) for _ in range(5)]
    assert changes[-1].reason == "5 of 50 tries failed within 60 s"


def test_rare_failures_at_high_volume_never_open_it(breakers, clock):
    for _ in range(120):
        assert breakers.record(*EMAIL, good=4990, faults=10) is None
        clock.pass_(seconds=1)


def test_a_gateway_that_goes_down_under_load_opens_it_at_once(breakers):
    breakers.record(*EMAIL, good=100_000, faults=0)
    assert breakers.record(*EMAIL, good=0, faults=64).reason == "64 failures in a row"


def test_a_gateway_that_is_half_down_opens_it_within_seconds(breakers, clock):
    for _ in range(12):
        breakers.record(*EMAIL, good=25_000, faults=0)
        clock.pass_(seconds=5)
    clock.pass_(seconds=5)
    assert breakers.record(*EMAIL, good=500, faults=500).reason == "500 of the last 1000 tries failed"


def test_half_of_too_few_results_is_not_a_rate(breakers, clock):
    breakers.record(*EMAIL, good=100, faults=0)
    clock.pass_(seconds=15)
    assert breakers.record(*EMAIL, good=9, faults=9) is None


def test_good_news_opens_no_breaker_though_older_good_news_is_forgotten(breakers, clock):
    breakers.record(*EMAIL, good=1000, faults=0)
    clock.pass_(seconds=30)
    breakers.record(*EMAIL, good=1, faults=5)
    clock.pass_(seconds=35)
    assert breakers.record(*EMAIL, good=1, faults=0) is None


def test_an_open_breaker_admits_nothing_and_says_until_when(breakers, clock):
    fail(breakers)
    admission = breakers.admit(*EMAIL, 10)
    assert (admission.admitted, admission.retry_at) == (0, clock.now + timedelta(seconds=30))


def test_an_open_breaker_lets_urgent_tries_through(breakers):
    fail(breakers)
    admission = breakers.admit(*EMAIL, 10, urgent=True)
    assert (admission.admitted, admission.probes) == (10, 10)


def test_sms_is_probed_after_fifteen_seconds(breakers, clock):
    fail(breakers, SMS)
    clock.pass_(seconds=15)
    assert breakers.admit(*SMS, 10).state is BreakerState.HALF_OPEN


def test_a_half_open_breaker_lets_a_few_probes_through(breakers, clock):
    assert half_open(breakers, clock, wanted=100).admitted == 3


def test_only_one_asker_is_told_that_probing_began(breakers, clock):
    first = half_open(breakers, clock, wanted=1)
    second = breakers.admit(*EMAIL, 1)
    assert (first.change.after, second.change) == (BreakerState.HALF_OPEN, None)


def test_who_has_nothing_to_send_begins_no_probing(breakers, clock):
    assert half_open(breakers, clock, wanted=0).change is None
    assert breakers.admit(*EMAIL, 1).change.after is BreakerState.HALF_OPEN


def test_there_are_no_more_probes_than_slots_whoever_asks(breakers, clock):
    half_open(breakers, clock, wanted=2)
    assert breakers.admit(*EMAIL, 5).admitted == 1


def test_a_probe_that_nobody_answers_for_gives_its_slot_back(breakers, clock):
    half_open(breakers, clock)
    clock.pass_(seconds=60)
    assert breakers.admit(*EMAIL, 5).admitted == 3


def test_a_probe_that_was_not_sent_after_all_gives_its_slot_back(breakers, clock):
    half_open(breakers, clock)
    breakers.record(*EMAIL, good=0, faults=0, probes=2)
    assert breakers.admit(*EMAIL, 5).admitted == 2


def test_three_good_probes_close_it(breakers, clock):
    half_open(breakers, clock)
    changes = [breakers.record(*EMAIL, good=1, faults=0, probes=1) for _ in range(3)]
    assert [change and change.after for change in changes] == [None, None, BreakerState.CLOSED]


def test_a_probe_that_fails_opens_it_again(breakers, clock):
    half_open(breakers, clock)
    breakers.record(*EMAIL, good=2, faults=0, probes=2)
    assert breakers.record(*EMAIL, good=0, faults=1, probes=1).after is BreakerState.OPEN


def test_each_failed_probe_doubles_the_wait_up_to_five_minutes(breakers, clock):
    fail(breakers)
    waits = []
    for _ in range(6):
        wait = breakers.admit(*EMAIL, 1).retry_at - clock.now
        waits.append(wait.total_seconds())
        clock.now += wait
        breakers.admit(*EMAIL, 1)
        breakers.record(*EMAIL, good=0, faults=1, probes=1)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_a_gateway_that_came_back_starts_with_a_clean_slate(breakers, clock):
    half_open(breakers, clock)
    breakers.record(*EMAIL, good=3, faults=0, probes=3)
    assert fail(breakers, times=4) is None


def test_late_failures_of_earlier_requests_do_not_end_the_probing(breakers, clock):
    half_open(breakers, clock)
    assert breakers.record(*EMAIL, good=0, faults=40) is None


def test_late_successes_of_earlier_requests_do_not_close_it(breakers):
    fail(breakers)
    assert breakers.record(*EMAIL, good=40, faults=0) is None


def test_late_successes_beside_a_probe_do_not_count_as_probes(breakers, clock):
    half_open(breakers, clock)
    assert breakers.record(*EMAIL, good=40, faults=0, probes=1) is None


def test_probes_of_before_take_no_slots_after_a_trip(breakers, clock):
    half_open(breakers, clock)
    breakers.trip(*EMAIL, "refused", wait=timedelta(seconds=10))
    clock.pass_(seconds=10)
    assert breakers.admit(*EMAIL, 5).admitted == 3


def test_results_of_more_than_a_minute_ago_do_not_dilute_failures(breakers, clock):
    breakers.record(*EMAIL, good=1000, faults=0)
    clock.pass_(seconds=65)
    changes = [breakers.record(*EMAIL, good=1, faults=1) for _ in range(5)]
    assert changes[-1].reason == "5 of 10 tries failed within 60 s"


def test_urgent_successes_close_an_open_breaker(breakers):
    fail(breakers)
    assert breakers.record(*EMAIL, good=3, faults=0, probes=3).after is BreakerState.CLOSED


def test_urgent_successes_close_it_only_in_a_row(breakers):
    fail(breakers)
    breakers.record(*EMAIL, good=2, faults=0, probes=2)
    breakers.record(*EMAIL, good=0, faults=1, probes=1)
    assert breakers.record(*EMAIL, good=2, faults=0, probes=2) is None
    assert breakers.record(*EMAIL, good=1, faults=0, probes=1).after is BreakerState.CLOSED


def test_urgent_failures_make_nobody_wait_longer(breakers, clock):
    due = fail(breakers).retry_at
    clock.pass_(seconds=10)
    assert breakers.record(*EMAIL, good=0, faults=1, probes=1) is None
    assert breakers.states([EMAIL])[EMAIL].retry_at == due


def test_a_trip_while_it_is_probed_waits_longer_than_before(breakers, clock):
    half_open(breakers, clock)
    assert breakers.trip(*EMAIL, "refused").retry_at == clock.now + timedelta(seconds=60)


def test_a_trip_opens_it_at_once_with_its_reason(breakers):
    breakers.trip(*EMAIL, "The API key was refused")
    standing = breakers.states([EMAIL])[EMAIL]
    assert (standing.state, standing.reason) == (BreakerState.OPEN, "The API key was refused")


def test_each_change_to_open_says_until_when(breakers, clock):
    assert fail(breakers).retry_at == clock.now + timedelta(seconds=30)
    clock.pass_(seconds=30)
    assert breakers.admit(*EMAIL, 1).change.retry_at is None
    failed = breakers.record(*EMAIL, good=0, faults=1, probes=1)
    assert failed.retry_at == clock.now + timedelta(seconds=60)
    tripped = breakers.trip(*SMS, "refused", wait=timedelta(hours=1))
    assert tripped.retry_at == clock.now + timedelta(hours=1)
    assert breakers.reset(*SMS).retry_at is None


def test_what_is_counted_for_people_is_kept_in_steps_of_ten_seconds(breakers, clock):
    for accepted in (3, 4):
        vitals = Vitals(accepted=accepted, failed=1)
        vitals.time(timedelta(milliseconds=90))
        breakers.record(*EMAIL, good=accepted, faults=0, vitals=vitals)
    clock.pass_(seconds=10)
    breakers.record(*EMAIL, good=1, faults=0, vitals=Vitals(accepted=1))
    first, second = breakers.vitals([EMAIL])[EMAIL]
    assert second.at - first.at == timedelta(seconds=10)
    counts = (first.vitals.accepted, first.vitals.failed, first.vitals.requests, first.vitals.latency_ms)
    assert counts == (7, 2, 2, 180)
    assert sum(first.vitals.latencies) == 2
    assert second.vitals.accepted == 1


def test_what_is_counted_for_people_is_forgotten_after_twenty_minutes(breakers, clock):
    breakers.record(*EMAIL, good=1, faults=0, vitals=Vitals(accepted=1))
    clock.pass_(minutes=20)
    breakers.record(*EMAIL, good=1, faults=0, vitals=Vitals(accepted=2))
    (step,) = breakers.vitals([EMAIL])[EMAIL]
    assert step.vitals.accepted == 2


def test_a_trip_can_name_its_own_wait(breakers, clock):
    breakers.trip(*EMAIL, "Out of credit", wait=timedelta(hours=1))
    clock.pass_(minutes=59)
    assert breakers.admit(*EMAIL, 1).admitted == 0


def test_only_the_first_trip_is_a_change(breakers):
    assert [breakers.trip(*EMAIL, "refused") is None for _ in range(2)] == [False, True]


def test_a_reset_closes_it(breakers):
    fail(breakers)
    assert breakers.reset(*EMAIL).after is BreakerState.CLOSED


def test_resetting_a_closed_breaker_changes_nothing(breakers):
    assert breakers.reset(*EMAIL) is None


def test_an_open_breaker_whose_wait_is_over_shows_that_it_wants_probes(breakers, clock):
    fail(breakers)
    clock.pass_(seconds=30)
    assert state(breakers) is BreakerState.HALF_OPEN


def test_a_lost_breaker_is_restored(breakers, clock):
    until = clock.now + timedelta(seconds=20)
    breakers.restore(*EMAIL, reason="Timed out", retry_at=until)
    assert breakers.admit(*EMAIL, 1).retry_at == until


def test_a_breaker_that_knows_better_is_not_restored(breakers, clock):
    breakers.record(*EMAIL, good=1, faults=0)
    assert not breakers.restore(*EMAIL, reason="Timed out", retry_at=clock.now)


def test_breakers_of_other_gateways_and_senders_stay_closed(breakers):
    fail(breakers)
    others = breakers.states([(Channel.EMAIL, "ses"), (Channel.SMS, "postal")])
    sender = breakers.admit(*EMAIL, 1, scope="news@example.org")
    assert {standing.state for standing in others.values()} | {sender.state} == {BreakerState.CLOSED}


def test_without_a_clock_of_ours_the_server_s_counts(client):
    breakers = Breakers(client)
    fail(breakers)
    assert state(breakers) is BreakerState.OPEN


steps = st.one_of(
    st.tuples(st.just("admit"), st.integers(0, 10), st.booleans()),
    st.tuples(st.just("record"), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.just("trip")),
    st.tuples(st.just("reset")),
    st.tuples(st.just("pass"), st.integers(0, 40)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), steps), max_size=40))
def test_workers_are_told_of_every_change_exactly_once(valkey, make_clock, walk):
    clock = make_clock()
    with short_client(valkey.url()) as client, short_client(valkey.url()) as other:
        client.flushall()
        workers = [Breakers(client, clock=clock), Breakers(other, clock=clock)]
        known = BreakerState.CLOSED
        for worker, step in walk:
            change = carry_out(workers[worker], clock, step)
            if change is not None:
                assert (change.before, change.before is change.after) == (known, False)
                known = change.after
            stored = client.hget("breaker:{email:postal:}", "state") or "closed"
            assert stored == known


def carry_out(breakers, clock, step):
    match step:
        case ("admit", wanted, urgent):
            admission = breakers.admit(*EMAIL, wanted, urgent=urgent)
            assert admission.admitted == wanted or not urgent
            assert admission.state is not BreakerState.HALF_OPEN or urgent or admission.admitted <= 3
            return admission.change
        case ("record", good, faults, probes):
            return breakers.record(*EMAIL, good=good, faults=faults, probes=min(probes, good + faults))
        case ("trip",):
            return breakers.trip(*EMAIL, "refused")
        case ("reset",):
            return breakers.reset(*EMAIL)
        case ("pass", seconds):
            clock.pass_(seconds=seconds)
    return None


def test_each_change_is_later_than_the_one_before_though_the_clock_stands_or_is_set_back(breakers, clock):
    opened = breakers.trip(*EMAIL, "refused")
    closed = breakers.reset(*EMAIL)
    clock.pass_(hours=-1)
    again = breakers.trip(*EMAIL, "refused")
    assert opened.at < closed.at < again.at
    assert breakers.states([EMAIL])[EMAIL].changed_at == again.at
