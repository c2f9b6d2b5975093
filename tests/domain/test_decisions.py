"""What becomes of a message after a try: the table of outcome classes, row by row, for each lane."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decisions import Standing, decide, put_back
from app.domain.lanes import LANES
from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, EventType, OutcomeClass, Priority, Status, SuppressionReason

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUICK = ("P0", "P4")
AT_ONCE = ("P0", "P1", "P4")
PATIENT = ("P2", "P3")
ALL = ("P0", "P1", "P2", "P3", "P4")


def seconds(number):
    return timedelta(seconds=number)


def standing(**changes):
    usual = {
        "gateway": "postal",
        "chain": ("postal", "ses"),
        "tried": (),
        "attempts": 0,
        "max_attempts": 3,
        "expires_at": NOW + HOUR,
    }
    return Standing(**{**usual, **changes})


def decided(lane, kind, *, chance=0.0, stand=None, **outcome):
    outcome = Outcome(kind=OutcomeClass(kind), **outcome)
    return decide(outcome, stand or standing(), LANES[Priority(lane)], NOW, chance)


def event_types(decision):
    return [event.event_type.value for event in decision.events]


@pytest.mark.parametrize("lane", ALL)
def test_an_accepted_message_is_sent_and_keeps_the_gateways_id(lane):
    decision = decided(lane, "accepted", external_id="m-1")
    assert (decision.status, decision.gateway, decision.external_id) == (Status.SENT, "postal", "m-1")
    assert event_types(decision) == ["sent"]
    assert decision.attempts == 0


@pytest.mark.parametrize("lane", ALL)
def test_an_address_that_can_never_be_reached_fails_and_is_suppressed(lane):
    decision = decided(lane, "recipient", code="550")
    assert decision.status is Status.FAILED
    assert decision.suppress is SuppressionReason.BOUNCE_HARD
    assert not decision.by_sender


@pytest.mark.parametrize("lane", ALL)
def test_an_opt_out_counts_as_an_unsubscribe_from_that_sender(lane):
    decision = decided(lane, "recipient", opt_out=True)
    assert (decision.status, decision.suppress) == (Status.FAILED, SuppressionReason.UNSUBSCRIBE)
    assert decision.by_sender


@pytest.mark.parametrize("lane", ALL)
def test_what_can_never_be_sent_fails_without_suppressing_anybody(lane):
    decision = decided(lane, "content")
    assert (decision.status, decision.suppress) == (Status.FAILED, None)
    assert event_types(decision) == ["failed"]


@pytest.mark.parametrize(
    ("lane", "wait"), [("P0", 2), ("P1", 120), ("P2", 120), ("P3", 120), ("P4", 2)], ids=ALL
)
def test_an_address_that_cannot_be_reached_now_is_tried_later_in_another_round(lane, wait):
    decision = decided(lane, "unreachable")
    assert (decision.status, decision.delay, decision.attempts) == (Status.PENDING, seconds(wait), 1)
    assert decision.suppress is None


@pytest.mark.parametrize("lane", ALL)
def test_an_address_that_stays_out_of_reach_fails_as_one_soft_bounce(lane):
    decision = decided(lane, "unreachable", stand=standing(attempts=2))
    assert (decision.status, decision.suppress) == (Status.FAILED, SuppressionReason.BOUNCE_SOFT)
    assert decision.attempts == 3


@pytest.mark.parametrize("lane", ALL)
@pytest.mark.parametrize("scope", list(ConfigScope))
def test_a_fault_of_ours_goes_to_the_next_gateway_at_once_and_costs_no_attempt(lane, scope):
    decision = decided(lane, "config", scope=scope)
    assert (decision.status, decision.gateway, decision.at_once) == (Status.PENDING, "ses", True)
    assert (decision.attempts, decision.tried) == (0, ("postal",))
    assert event_types(decision) == ["attempt_failed", "failed_over"]


@pytest.mark.parametrize("lane", ALL)
@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (ConfigScope.ACCOUNT, Status.PENDING),
        (ConfigScope.SENDER, Status.PENDING),
        (ConfigScope.DESTINATION, Status.FAILED),
    ],
)
def test_a_fault_of_ours_everywhere_waits_but_for_a_destination_it_is_the_end(lane, scope, status):
    decision = decided(lane, "config", scope=scope, stand=standing(tried=("ses",)))
    assert (decision.status, decision.attempts, decision.at_once) == (status, 0, False)


@pytest.mark.parametrize("lane", PATIENT)
def test_waiting_for_our_own_configuration_uses_a_messages_time(lane):
    decision = decided(lane, "config", scope=ConfigScope.SENDER, stand=standing(tried=("ses",)))
    assert decision.extends == timedelta(0)


@pytest.mark.parametrize("lane", QUICK)
@pytest.mark.parametrize("wait", [None, 1, 5, 600])
def test_urgent_messages_go_elsewhere_when_a_gateway_says_too_fast(lane, wait):
    decision = decided(lane, "throttle", retry_after=wait and seconds(wait))
    assert (decision.status, decision.gateway, decision.at_once) == (Status.PENDING, "ses", True)
    assert decision.attempts == 0


@pytest.mark.parametrize("lane", ["P1", "P2", "P3"])
@pytest.mark.parametrize(("said", "wait"), [(None, 5), (7, 7), (60, 60)])
def test_others_wait_as_long_as_the_gateway_asks_when_that_is_short(lane, said, wait):
    decision = decided(lane, "throttle", retry_after=said and seconds(said))
    assert (decision.status, decision.gateway, decision.delay) == (Status.PENDING, "postal", seconds(wait))
    assert (decision.attempts, decision.at_once) == (0, False)


@pytest.mark.parametrize("lane", ["P1", "P2", "P3"])
def test_others_go_elsewhere_when_the_gateway_asks_for_a_long_wait(lane):
    decision = decided(lane, "throttle", retry_after=seconds(61))
    assert (decision.gateway, decision.at_once, decision.attempts) == ("ses", True, 0)


def test_an_alert_goes_elsewhere_when_it_cannot_wait_as_long_as_asked():
    decision = decided("P1", "throttle", retry_after=seconds(5), stand=standing(expires_at=NOW + seconds(4)))
    assert (decision.gateway, decision.at_once) == ("ses", True)


@pytest.mark.parametrize("lane", PATIENT)
def test_a_throttled_newsletter_gets_its_wait_back(lane):
    decision = decided(lane, "throttle", retry_after=seconds(30))
    assert decision.extends == seconds(30)


@pytest.mark.parametrize("lane", AT_ONCE)
def test_an_urgent_message_that_was_not_taken_goes_through_the_next_gateway_at_once(lane):
    decision = decided(lane, "transient")
    assert (decision.status, decision.gateway, decision.at_once) == (Status.PENDING, "ses", True)
    assert (decision.attempts, decision.tried) == (0, ("postal",))


@pytest.mark.parametrize("lane", PATIENT)
def test_bulk_that_was_not_taken_waits_for_its_next_round(lane):
    decision = decided(lane, "transient")
    assert (decision.status, decision.at_once, decision.delay) == (Status.PENDING, False, seconds(120))
    assert decision.attempts == 1


@pytest.mark.parametrize("lane", PATIENT)
def test_bulk_does_not_wait_for_a_gateway_that_is_known_to_be_ill(lane):
    decision = decided(lane, "transient", stand=standing(ill=True))
    assert (decision.status, decision.gateway, decision.at_once) == (Status.PENDING, "ses", True)
    assert (decision.attempts, decision.tried) == (0, ("postal",))


@pytest.mark.parametrize(
    ("lane", "waits"),
    [
        ("P0", [2, 10, 30, 60]),
        ("P4", [2, 10, 30, 60]),
        ("P1", [120, 240, 480]),
        ("P2", [120, 240, 480]),
        ("P3", [120, 240, 480]),
    ],
)
def test_rounds_are_further_and_further_apart(lane, waits):
    stands = [
        standing(gateway="ses", tried=("postal",), attempts=n, max_attempts=9) for n in range(len(waits))
    ]
    delays = [decided(lane, "transient", stand=stand).delay for stand in stands]
    assert delays == [seconds(wait) for wait in waits]


def test_one_attempt_is_one_round_through_the_whole_chain():
    decision = decided("P0", "transient", stand=standing(gateway="ses", tried=("postal",)))
    assert (decision.attempts, decision.gateway, decision.tried) == (1, "postal", ())


@pytest.mark.parametrize("lane", QUICK)
def test_what_always_tries_uses_up_no_attempt_where_all_gateways_are_known_to_be_ill(lane):
    stand = standing(gateway="ses", tried=("postal",), attempts=2, ill=True)
    decision = decided(lane, "transient", stand=stand)
    assert (decision.status, decision.attempts, decision.tried) == (Status.PENDING, 2, ())
    assert decision.delay == seconds({"P0": 5, "P4": 60}[lane])
    assert event_types(decision) == ["attempt_failed"]


@pytest.mark.parametrize("lane", QUICK)
def test_nor_does_it_go_on_when_its_time_is_over(lane):
    stand = standing(gateway="ses", tried=("postal",), ill=True, expires_at=NOW + seconds(4))
    assert decided(lane, "transient", stand=stand).status is Status.EXPIRED


@pytest.mark.parametrize("lane", QUICK)
def test_what_may_have_been_sent_is_not_sent_again_for_ever(lane):
    stand = standing(gateway="ses", tried=("postal",), attempts=2, ill=True)
    assert decided(lane, "unknown", stand=stand).status is Status.FAILED


@pytest.mark.parametrize("lane", ALL)
def test_out_of_attempts_is_failed(lane):
    stand = standing(gateway="ses", tried=("postal",), attempts=2)
    decision = decided(lane, "transient", stand=stand, code="503", detail="busy")
    assert (decision.status, decision.attempts) == (Status.FAILED, 3)
    assert decision.error == "503: busy"


@pytest.mark.parametrize("lane", ALL)
def test_out_of_time_is_expired_and_keeps_the_last_error(lane):
    stand = standing(gateway="ses", tried=("postal",), expires_at=NOW + seconds(1))
    decision = decided(lane, "transient", stand=stand, code="503", detail="busy")
    assert (decision.status, decision.error) == (Status.EXPIRED, "503: busy")
    assert event_types(decision) == ["attempt_failed", "expired"]


@pytest.mark.parametrize("lane", AT_ONCE)
def test_an_urgent_message_of_unknown_fate_is_sent_again_and_marked(lane):
    decision = decided(lane, "unknown")
    assert (decision.status, decision.gateway, decision.at_once) == (Status.PENDING, "ses", True)
    assert decision.possible_duplicate


@pytest.mark.parametrize("lane", PATIENT)
def test_bulk_of_unknown_fate_is_held(lane):
    decision = decided(lane, "unknown", code="timed_out")
    assert (decision.status, decision.attempts) == (Status.HELD, 0)
    assert event_types(decision) == ["held"]
    assert decision.error_class is OutcomeClass.UNKNOWN


@pytest.mark.parametrize("kind", ["accepted", "transient", "content"])
def test_what_follows_a_try_of_unknown_fate_is_marked_on_each_event(kind):
    decision = decided("P0", kind, stand=standing(possible_duplicate=True))
    assert decision.possible_duplicate
    assert decision.events[0].data == {"possible_duplicate": True}


# Rules over everything that can come

lanes = st.sampled_from(list(LANES.values()))
chains = st.lists(st.sampled_from(["postal", "ses", "sendgrid"]), min_size=1, max_size=3, unique=True)
waits = st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=2)))
outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(list(OutcomeClass)),
    retry_after=waits,
    scope=st.one_of(st.none(), st.sampled_from(list(ConfigScope))),
    opt_out=st.booleans(),
)
chances = st.floats(0, 1, exclude_max=True)


@st.composite
def standings(draw):
    chain = draw(chains)
    max_attempts = draw(st.integers(1, 5))
    return Standing(
        gateway=draw(st.sampled_from(chain)),
        chain=chain,
        tried=draw(st.lists(st.sampled_from(chain), unique=True)),
        attempts=draw(st.integers(0, max_attempts - 1)),
        max_attempts=max_attempts,
        expires_at=NOW + draw(st.timedeltas(timedelta(seconds=-10), timedelta(days=2))),
        possible_duplicate=draw(st.booleans()),
    )


def untried(stand):
    return [name for name in stand.chain if name != stand.gateway and name not in stand.tried]


@given(outcomes, standings(), lanes, chances)
def test_attempts_never_exceed_the_most_there_may_be(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    assert stand.attempts <= decision.attempts <= stand.max_attempts
    assert decision.status is not Status.PENDING or decision.attempts < stand.max_attempts


@given(outcomes, standings(), lanes, chances)
def test_only_what_is_to_be_sent_again_has_a_wait(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    if decision.status is not Status.PENDING:
        assert (decision.delay, decision.at_once) == (timedelta(0), False)
    if decision.at_once:
        assert decision.delay == timedelta(0)
        assert decision.gateway in untried(stand)


@given(outcomes, standings(), lanes, chances)
def test_nobody_waits_beyond_the_end_of_a_messages_time(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    if decision.status is Status.PENDING and not decision.at_once:
        assert NOW + decision.delay < stand.expires_at + decision.extends


@given(outcomes, standings(), lanes, chances)
def test_a_lane_on_the_clock_never_moves_its_end(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    if lane.on_clock:
        assert decision.extends == timedelta(0)
    assert decision.extends <= decision.delay


@given(standings(), st.sampled_from(["P0", "P4"]), waits, chances)
def test_urgent_messages_never_wait_while_another_gateway_is_left(stand, lane, wait, chance):
    outcome = Outcome(kind=OutcomeClass.THROTTLE, retry_after=wait)
    decision = decide(outcome, stand, LANES[Priority(lane)], NOW, chance)
    if untried(stand):
        assert (decision.at_once, decision.gateway) == (True, untried(stand)[0])


@given(outcomes, standings(), lanes, chances)
def test_being_throttled_or_misconfigured_uses_no_attempt(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    if outcome.kind in (OutcomeClass.THROTTLE, OutcomeClass.CONFIG):
        assert decision.attempts == stand.attempts


@given(outcomes, standings(), lanes, chances)
def test_a_possible_duplicate_stays_marked_whatever_comes(outcome, stand, lane, chance):
    decision = decide(outcome, stand, lane, NOW, chance)
    assert decision.possible_duplicate or not stand.possible_duplicate


@given(outcomes, standings(), lanes, chances)
def test_every_decision_leaves_a_line_in_the_history(outcome, stand, lane, chance):
    assert decide(outcome, stand, lane, NOW, chance).events


@given(outcomes, standings(), lanes)
def test_chance_adds_a_quarter_at_most(outcome, stand, lane):
    least = decide(outcome, stand, lane, NOW, 0.0)
    most = decide(outcome, stand, lane, NOW, 0.999)
    if least.status is most.status:
        assert least.delay <= most.delay <= least.delay * 1.25


@given(standings(), lanes, st.timedeltas(timedelta(0), timedelta(days=2)), st.booleans())
def test_putting_back_never_uses_an_attempt(stand, lane, delay, by_us):
    decision = put_back(stand, lane, delay, NOW, by_us=by_us)
    assert decision.attempts == stand.attempts
    assert decision.tried == tuple(stand.tried)
    assert decision.status in (Status.PENDING, Status.EXPIRED)


@given(standings(), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_newsletter_that_we_keep_waiting_gets_its_wait_back_whole(stand, delay):
    decision = put_back(stand, LANES[Priority.P2], delay, NOW)
    if decision.status is Status.PENDING:
        assert decision.extends == delay
    else:
        assert stand.expires_at <= NOW


@pytest.mark.parametrize("lane", AT_ONCE)
def test_a_message_on_the_clock_expires_rather_than_wait_too_long(lane):
    decision = put_back(standing(expires_at=NOW + seconds(9)), LANES[Priority(lane)], seconds(10), NOW)
    assert decision.status is Status.EXPIRED
    assert [event.event_type for event in decision.events] == [EventType.EXPIRED]


def test_a_newsletter_that_nobody_takes_expires_by_the_clock():
    stand = standing(expires_at=NOW + seconds(9))
    decision = put_back(stand, LANES[Priority.P2], seconds(10), NOW, by_us=False)
    assert decision.status is Status.EXPIRED
