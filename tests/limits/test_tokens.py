import heapq
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.db.redis import short_client
from app.domain.vocabulary import Priority
from app.errors import CountsLost
from app.limits.tokens import Ask, Limit, Tokens, Window

GMAIL = Limit(key="domain:gmail.com", per_hour=100)
LENGTHS = {
    "per_second": timedelta(seconds=1),
    "per_minute": timedelta(minutes=1),
    "per_hour": timedelta(hours=1),
    "per_day": timedelta(days=1),
}


@pytest.fixture
def tokens(client, clock):
    return Tokens(client, prefix="comm:rate:", reserve=0.2, clock=clock)


def take(tokens, count, *limits, priority=Priority.P3):
    return tokens.take([Ask(limits=limits or (GMAIL,), count=count)], priority)[0]


@pytest.mark.parametrize(
    ("priority", "share"),
    [(Priority.P1, 80), (Priority.P2, 80), (Priority.P3, 80), (Priority.P4, 90)],
)
def test_each_priority_gets_its_share_of_a_window(tokens, priority, share):
    assert take(tokens, 200, priority=priority).taken == share


def test_what_others_took_counts_for_everybody(tokens):
    take(tokens, 85, priority=Priority.P4)
    assert [take(tokens, 10, priority=priority).taken for priority in (Priority.P3, Priority.P4)] == [0, 5]


def test_an_emergency_gets_all_of_a_gateway(tokens):
    gateway = Limit(key="gateway:postal", per_hour=100)
    assert take(tokens, 200, gateway, priority=Priority.P0).taken == 100


@pytest.mark.parametrize("kind", ["domain", "isp", "ip_pool", "recipient"])
def test_an_emergency_waits_for_no_other_limit(tokens, kind):
    assert take(tokens, 200, Limit(key=f"{kind}:x", per_hour=10), priority=Priority.P0).taken == 200


def test_an_emergency_counts_for_those_after_it(tokens):
    take(tokens, 500, priority=Priority.P0)
    assert take(tokens, 1).taken == 0


def test_a_limit_of_one_lets_one_through(tokens):
    assert take(tokens, 5, Limit(key="recipient:x", per_minute=1)).taken == 1


def test_a_limit_of_nothing_lets_nothing_through(tokens):
    grant = take(tokens, 2, Limit(key="domain:x", per_hour=0))
    assert (grant.taken, min(grant.waits) >= timedelta(minutes=59)) == (0, True)


def test_without_a_limit_everything_goes(tokens):
    assert take(tokens, 10_000, Limit(key="domain:x")).taken == 10_000


def test_no_asks_are_no_grants(tokens):
    assert tokens.take([], Priority.P1) == []


def test_a_message_that_one_limit_stops_takes_nothing_from_the_others(tokens):
    tight = Limit(key="recipient:x", per_hour=10)
    take(tokens, 50, GMAIL, tight)
    assert [usage.per_hour for usage in tokens.usage([GMAIL, tight])] == [8, 8]


def test_asks_of_one_call_share_what_is_there(tokens):
    grants = tokens.take([Ask(limits=(GMAIL,), count=50), Ask(limits=(GMAIL,), count=50)], Priority.P3)
    assert [grant.taken for grant in grants] == [50, 30]


def test_tokens_come_back_when_the_window_has_passed(tokens, clock):
    take(tokens, 80)
    clock.pass_(minutes=61)
    assert take(tokens, 80).taken == 80


def test_tokens_do_not_come_back_before(tokens, clock):
    take(tokens, 80)
    clock.pass_(minutes=59, seconds=59)
    assert take(tokens, 1).taken == 0


def test_who_comes_back_at_the_promised_times_gets_a_token(tokens, clock):
    take(tokens, 80)
    begin = clock.now
    waits = take(tokens, 200).waits
    granted = 0
    for wait in waits:
        clock.now = begin + wait
        granted += take(tokens, 1).taken
    assert granted == 200


def test_there_is_a_wait_for_each_message_left_over(tokens):
    grant = take(tokens, 200)
    assert (grant.taken, len(grant.waits), list(grant.waits)) == (80, 120, sorted(grant.waits))


def test_the_second_caller_waits_behind_the_first(tokens):
    take(tokens, 80)
    first, second = take(tokens, 50).waits, take(tokens, 50).waits
    assert second[0] > first[-1]


def test_an_alert_does_not_wait_behind_campaigns(tokens):
    take(tokens, 5_000)
    assert take(tokens, 1, priority=Priority.P1).waits[0] <= timedelta(minutes=61)


def test_a_full_domain_does_not_move_the_line_of_the_gateway(tokens):
    gateway = Limit(key="gateway:postal", per_second=100)
    take(tokens, 80, gateway)
    take(tokens, 80)
    take(tokens, 5_000, gateway, GMAIL)
    assert take(tokens, 1, gateway).waits[0] < timedelta(seconds=3)


def test_a_window_with_room_does_not_slow_down_who_waits_for_another(tokens):
    waits = take(tokens, 108, Limit(key="domain:x", per_second=10, per_hour=1000)).waits
    assert (len(waits), waits[-1] < timedelta(seconds=20)) == (100, True)


def test_a_line_that_everybody_left_is_forgotten(tokens, clock):
    take(tokens, 10_000)
    clock.pass_(hours=4)
    take(tokens, 50)
    assert take(tokens, 50).waits[0] <= timedelta(minutes=61)


def test_a_line_whose_first_are_only_just_due_is_not_forgotten(tokens, clock):
    take(tokens, 80)
    take(tokens, 1_000)
    clock.pass_(minutes=61)
    assert take(tokens, 100).waits[0] > timedelta(hours=11)


def test_given_back_tokens_can_be_taken_again(tokens):
    grant = take(tokens, 80)
    tokens.give_back([Ask(limits=(GMAIL,), count=30)], grant.at)
    assert take(tokens, 80).taken == 30


def test_tokens_given_back_late_are_no_gift(tokens, clock):
    per_second = Limit(key="gateway:postal", per_second=100)
    grant = take(tokens, 80, per_second)
    clock.pass_(seconds=2)
    take(tokens, 80, per_second)
    tokens.give_back([Ask(limits=(per_second,), count=80)], grant.at)
    assert take(tokens, 80, per_second).taken == 0


def test_more_cannot_be_given_back_than_was_taken(tokens):
    grant = take(tokens, 5)
    tokens.give_back([Ask(limits=(GMAIL,), count=50)], grant.at)
    assert take(tokens, 200).taken == 80


def test_a_grant_tells_the_server_s_time(client):
    before = datetime.now(UTC)
    tokens = Tokens(client, prefix="comm:rate:", reserve=0.2)
    assert abs(take(tokens, 1).at - before) < timedelta(seconds=5)


def test_usage_shows_what_each_window_holds(tokens):
    limit = Limit(key="domain:x", per_second=10, per_day=1000)
    take(tokens, 7, limit)
    usage = tokens.usage([limit])[0]
    assert (usage.per_second, usage.per_minute, usage.per_hour, usage.per_day) == (7, None, None, 7)


def test_usage_leaves_out_what_has_passed(tokens, clock):
    take(tokens, 7)
    clock.pass_(minutes=30)
    take(tokens, 5)
    clock.pass_(minutes=31)
    assert tokens.usage([GMAIL])[0].per_hour == 5


def test_lost_counts_are_restored_from_what_was_sent(tokens, clock):
    tokens.restore({GMAIL: [(clock.now - timedelta(minutes=30), 50), (clock.now - timedelta(hours=3), 50)]})
    assert take(tokens, 80).taken == 30


def test_counts_that_are_there_are_not_restored(tokens, clock):
    take(tokens, 10)
    tokens.restore({GMAIL: [(clock.now - timedelta(minutes=30), 70)]})
    assert take(tokens, 80).taken == 70


def test_every_key_carries_the_prefix_and_one_hash_tag(tokens, client):
    take(tokens, 90)
    assert client.keys() == ["comm:rate:{limits}:hour:domain:gmail.com"]


def test_keys_go_when_nothing_is_left_to_count(tokens, client):
    take(tokens, 10)
    assert 60 * 60_000 <= client.pttl(client.keys()[0]) <= 63 * 60_000


def test_a_key_stays_for_as_long_as_somebody_was_told_to_wait(tokens, clock, client):
    take(tokens, 80)
    grant = take(tokens, 1_000)
    clock.pass_(minutes=1)
    take(tokens, 1, priority=Priority.P4)
    assert client.pttl(client.keys()[0]) > grant.waits[-1] / timedelta(milliseconds=1)


def test_a_busy_window_stays_small(tokens, clock, client):
    limit = Limit(key="domain:x", per_second=1000, per_day=10_000_000)
    for _ in range(3000):
        clock.pass_(milliseconds=990)
        take(tokens, 5, limit)
    assert max(client.hlen(key) for key in client.scan_iter()) <= 60


def test_tokens_of_several_asks_in_one_call_all_come_back(tokens, clock):
    tokens.take([Ask(limits=(GMAIL,), count=20)] * 4, Priority.P3)
    clock.pass_(minutes=61)
    assert take(tokens, 80).taken == 80


def test_tokens_taken_while_the_clock_was_behind_come_back(tokens, clock):
    take(tokens, 40)
    clock.pass_(hours=-2)
    take(tokens, 40)
    clock.pass_(hours=2, minutes=61)
    assert take(tokens, 80).taken == 80


def test_a_clock_that_goes_back_gives_no_tokens_away(tokens, clock):
    take(tokens, 80)
    clock.pass_(hours=-2)
    assert take(tokens, 1).taken == 0


def allowed(most, priority):
    return max(1, most * {Priority.P4: 9}.get(priority, 8) // 10)


def most_in_any_window(times, length):
    first, most = 0, 0
    for position, time in enumerate(times):
        while times[first] <= time - length:
            first += 1
        most = max(most, position - first + 1)
    return most


figures = st.fixed_dictionaries(
    {},
    optional={
        "per_second": st.integers(1, 30),
        "per_minute": st.integers(1, 90),
        "per_hour": st.integers(1, 300),
    },
)
turns = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 40),
        st.sampled_from([Priority.P1, Priority.P3, Priority.P4]),
        st.sampled_from([1, 15, 20, 333, 990, 1_000, 5_000, 59_500, 60_000, 1_500_000]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(figures, figures, turns)
def test_no_window_anywhere_holds_more_than_its_share(valkey, make_clock, first, second, walk):
    clock = make_clock()
    limits = [Limit(key="domain:a", **first), Limit(key="ip_pool:b", **second)]
    sent = {limit.key: [] for limit in limits}
    with short_client(valkey.url()) as client:
        client.flushall()
        tokens = Tokens(client, prefix="", reserve=0.2, clock=clock)
        for which, count, priority, pause in walk:
            clock.pass_(milliseconds=pause)
            asked = (limits[:1], limits[1:], limits, limits)[which]
            grant = take(tokens, count, *asked, priority=priority)
            assert grant.taken + len(grant.waits) == count
            assert list(grant.waits) == sorted(grant.waits)
            for limit in asked:
                sent[limit.key] += [clock.now] * grant.taken
    for limit, chosen in zip(limits, (first, second), strict=True):
        for name, most in chosen.items():
            assert most_in_any_window(sent[limit.key], LENGTHS[name]) <= allowed(most, Priority.P4)


@settings(max_examples=100, deadline=None)
@given(turns)
def test_what_fits_into_a_window_and_one_bucket_is_always_granted(valkey, make_clock, walk):
    clock = make_clock()
    limit = Limit(key="domain:a", per_minute=50)
    sent = Counter()
    with short_client(valkey.url()) as client:
        client.flushall()
        tokens = Tokens(client, prefix="", reserve=0.2, clock=clock)
        for _, count, priority, pause in walk:
            clock.pass_(milliseconds=pause)
            lately = sum(n for at, n in sent.items() if at > clock.now - timedelta(seconds=61))
            grant = take(tokens, count, limit, priority=priority)
            assert grant.taken >= min(count, max(0, allowed(50, priority) - lately))
            sent[clock.now] += grant.taken


def drain(tokens, clock, limits, rows, poll):
    """Have four workers send so many rows, as the queue hands them out; gives send times and put-backs."""
    chance = random.Random(7)  # noqa: S311 - The walk must be the same each time.
    due = [clock.now] * rows
    workers = [(clock.now + poll * chance.random(), number) for number in range(4)]
    heapq.heapify(workers)
    sent, put_back = [], 0
    while due:
        clock.now, number = heapq.heappop(workers)
        count = 0
        while count < 100 and due and due[0] <= clock.now:
            heapq.heappop(due)
            count += 1
        if count:
            grant = take(tokens, count, *limits)
            sent += [clock.now] * grant.taken
            put_back += len(grant.waits)
            for wait in grant.waits:
                heapq.heappush(due, clock.now + wait)
        pause = timedelta(milliseconds=1) if count == 100 else poll
        heapq.heappush(workers, (clock.now + pause * (0.5 + chance.random()), number))
    return sent, put_back


@pytest.mark.parametrize(
    ("figures", "rows", "poll"),
    [
        ({"per_second": 100}, 6_000, timedelta(milliseconds=100)),
        ({"per_second": 10}, 500, timedelta(milliseconds=100)),
        ({"per_minute": 600}, 8_000, timedelta(seconds=1)),
        ({"per_hour": 1000}, 8_000, timedelta(seconds=10)),
        ({"per_minute": 600, "per_second": 20}, 8_000, timedelta(seconds=1)),
    ],
)
def test_four_workers_drain_a_backlog_within_the_limit_fast_and_calmly(tokens, clock, figures, rows, poll):
    begin = clock.now
    sent, put_back = drain(tokens, clock, [Limit(key="domain:x", **figures)], rows, poll)
    shares = {name: allowed(most, Priority.P3) for name, most in figures.items()}
    tightest = next(iter(figures))
    possible = shares[tightest] * ((sent[-1] - begin) / LENGTHS[tightest])
    assert all(most_in_any_window(sent, LENGTHS[name]) <= share for name, share in shares.items())
    assert rows >= 0.9 * possible
    assert put_back < 2 * rows


def test_workers_that_look_seldom_put_rows_back_seldom(tokens, clock):
    sent, put_back = drain(
        tokens, clock, [Limit(key="domain:x", per_second=100)], 3_000, timedelta(seconds=1)
    )
    assert (len(sent), put_back < 2 * 3_000) == (3_000, True)


def test_windows_are_as_long_as_their_names_say():
    lengths = [window.buckets * window.width for window in Window]
    assert lengths == [1_000, 60_000, 3_600_000, 86_400_000]


def take_for(tokens, recipient, count=1, *limits, priority=Priority.P3):
    ask = Ask(limits=limits, count=count, recipient=recipient, per_recipient=TEN)
    return tokens.take([ask], priority)[0]


TEN = Limit(key="recipient:default", per_minute=10)


@pytest.mark.parametrize(("priority", "share"), [(Priority.P3, 8), (Priority.P4, 9), (Priority.P0, 20)])
def test_each_recipient_has_a_window_of_its_own(tokens, priority, share):
    taken = [take_for(tokens, name, 20, priority=priority).taken for name in ("jo", "al")]
    assert taken == [share, share]


def test_what_a_recipient_got_leaves_its_window_after_a_minute(tokens, clock):
    take_for(tokens, "jo", 8)
    clock.pass_(seconds=59)
    assert take_for(tokens, "jo").taken == 0
    clock.pass_(seconds=3)
    assert take_for(tokens, "jo", 8).taken == 8


def test_a_recipient_s_messages_wait_one_behind_the_other(tokens):
    first = take_for(tokens, "jo", 20)
    second = take_for(tokens, "jo", 5)
    waits = [*first.waits, *second.waits]
    assert len(set(waits)) == len(waits) == 17
    assert waits == sorted(waits)


def test_a_recipient_s_tokens_can_be_given_back(tokens):
    grant = take_for(tokens, "jo", 8)
    tokens.give_back([Ask(limits=(), count=3, recipient="jo", per_recipient=TEN)], grant.at)
    assert take_for(tokens, "jo", 8).taken == 3


def test_no_more_of_a_recipient_s_tokens_can_be_given_back_than_were_taken(tokens):
    grant = take_for(tokens, "jo", 3)
    tokens.give_back([Ask(limits=(), count=30, recipient="jo", per_recipient=TEN)], grant.at)
    assert take_for(tokens, "jo", 20).taken == 8


def test_a_full_recipient_takes_nothing_from_the_limits_that_others_share(tokens):
    take_for(tokens, "jo", 20, GMAIL)
    assert tokens.usage([GMAIL])[0].per_hour == 8


def test_recipients_keys_are_gone_a_minute_later(tokens, client):
    take_for(tokens, "jo")
    (key,) = client.keys()
    assert 60_000 <= client.pttl(key) <= 63_000


@settings(max_examples=100, deadline=None)
@given(turns)
def test_no_recipient_ever_gets_more_than_a_window_holds(valkey, make_clock, walk):
    clock, sent = make_clock(), {"jo": [], "al": []}
    with short_client(valkey.url()) as client:
        client.flushall()
        tokens = Tokens(client, prefix="", reserve=0.2, clock=clock)
        for which, count, priority, pause in walk:
            clock.pass_(milliseconds=pause)
            name = ("jo", "al")[which % 2]
            grant = take_for(tokens, name, count, priority=priority)
            sent[name] += [clock.now] * grant.taken
            lately = [
                at for at in sent[name][: -grant.taken or None] if at > clock.now - timedelta(seconds=61)
            ]
            assert grant.taken >= min(count, max(0, allowed(10, priority) - len(lately)))
    for times in sent.values():
        assert most_in_any_window(times, timedelta(minutes=1)) <= 9


POSTAL = Limit(key="gateway:postal", per_minute=100)


def test_what_only_the_gateway_stops_is_spilled_and_promised_nothing(tokens):
    ask = Ask(limits=(POSTAL, GMAIL), count=100)
    grant = tokens.take([ask], Priority.P1, spill=True)[0]
    assert (grant.taken, grant.spilled, len(grant.waits)) == (80, 0, 20)
    grant = tokens.take([Ask(limits=(POSTAL,), count=50)], Priority.P1, spill=True)[0]
    assert (grant.taken, grant.spilled, grant.waits) == (0, 50, ())


def test_what_another_limit_stops_too_is_not_spilled(tokens):
    tight = Limit(key="domain:x", per_hour=100)
    take(tokens, 75, tight)
    take(tokens, 80, POSTAL)
    grant = tokens.take([Ask(limits=(POSTAL, tight), count=20)], Priority.P1, spill=True)[0]
    assert (grant.taken, grant.spilled, len(grant.waits)) == (0, 5, 15)


def test_a_full_window_is_told_once_in_its_length(client, clock):
    told = []
    tokens = Tokens(client, prefix="", reserve=0.2, told=told.append, clock=clock)
    limit = Limit(key="domain:x", per_minute=10, per_hour=1000)
    for _ in range(6):
        take(tokens, 50, limit)
        clock.pass_(seconds=25)
    assert [(full.limit.key, full.window) for full in told] == [("domain:x", Window.MINUTE)] * 2


def test_windows_that_are_full_at_once_are_all_told(client, clock):
    told = []
    tokens = Tokens(client, prefix="", reserve=0.2, told=told.append, clock=clock)
    take(tokens, 50, Limit(key="domain:x", per_minute=10, per_hour=10))
    assert {full.window for full in told} == {Window.MINUTE, Window.HOUR}


def test_a_full_recipient_is_told_once_too(client, clock):
    told = []
    tokens = Tokens(client, prefix="", reserve=0.2, told=told.append, clock=clock)
    for _ in range(5):
        take_for(tokens, "jo", 9)
    assert [(full.limit, full.window, full.priority) for full in told] == [(TEN, Window.MINUTE, Priority.P3)]


def test_a_window_with_room_is_not_told(client, clock):
    told = []
    tokens = Tokens(client, prefix="", reserve=0.2, told=told.append, clock=clock)
    take(tokens, 80)
    assert told == []


def test_a_limit_that_only_counts_stops_nobody(tokens):
    flow = Limit(key="flow:postal", per_minute=1, counted=True)
    take(tokens, 500, flow)
    assert take(tokens, 500, flow).taken == 500
    assert tokens.usage([flow])[0].per_minute == 1000


def test_a_thousand_recipients_are_one_call(tokens, client):
    take_for(tokens, "warm")
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    asks = [Ask(limits=(GMAIL,), count=1, recipient=f"r{n}", per_recipient=TEN) for n in range(1000)]
    grants = tokens.take(asks, Priority.P3)
    after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert sum(grant.taken for grant in grants) == 80
    assert after - before == 1


def test_a_process_that_knows_of_another_life_takes_nothing_before_it_is_restored(client, clock):
    tokens = Tokens(client, prefix="", reserve=0.2, restored=True, clock=clock)
    with pytest.raises(CountsLost):
        take(tokens, 1)
    tokens.recount({GMAIL: [(clock.now, 70)]}, {}, snapshot=clock.now, settling=timedelta(0))
    assert take(tokens, 50).taken == 10


def test_counts_are_restored_once(client, clock):
    tokens = Tokens(client, prefix="", reserve=0.2, restored=True, clock=clock)
    for count in (70, 10):
        tokens.recount({GMAIL: [(clock.now, count)]}, {}, snapshot=clock.now, settling=timedelta(0))
    assert take(tokens, 50).taken == 10
