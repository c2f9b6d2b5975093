"""What a gateway is called follows what is known of it."""

import pytest

from app.domain.condition import Condition, judge
from app.domain.vocabulary import BreakerState


def judged(**known):
    usual = {"breaker": BreakerState.CLOSED, "breaker_reason": "", "share": 1.0, "hour": 1.0, "day": 1.0}
    return judge(**{**usual, **known})


@pytest.mark.parametrize(
    ("known", "condition", "well"),
    [
        ({}, Condition.HEALTHY, True),
        ({"hour": 0.9}, Condition.HEALTHY, True),
        ({"hour": 0.89}, Condition.DEGRADED, False),
        ({"hour": 0.0}, Condition.DEGRADED, False),
        ({"hour": None}, Condition.HEALTHY, True),
        ({"hour": None, "day": 0.0}, Condition.DEGRADED, False),
        ({"hour": 1.0, "day": 0.1}, Condition.HEALTHY, True),
        ({"hour": None, "day": None}, Condition.UNTRIED, True),
        ({"share": 0.5}, Condition.SLOW, False),
        ({"share": 0.5, "hour": 0.2}, Condition.DEGRADED, False),
        ({"breaker": BreakerState.OPEN}, Condition.OPEN, False),
        ({"breaker": BreakerState.HALF_OPEN, "hour": 0.0}, Condition.HALF_OPEN, False),
    ],
)
def test_the_worst_that_is_known_gives_the_word(known, condition, well):
    found = judged(**known)
    assert (found.condition, found.is_well) == (condition, well)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"hour": 0.0}, "0 % accepted in the last hour"),
        ({"hour": 0.004}, "under 1 % accepted in the last hour"),
        ({"hour": 0.8512}, "85 % accepted in the last hour"),
        (
            {"hour": None, "day": 0.25},
            "25 % accepted in the last 24 hours, nothing tried in the last hour",
        ),
        ({"breaker": BreakerState.OPEN, "breaker_reason": "refused"}, "refused"),
        ({}, ""),
    ],
)
def test_the_reason_gives_the_figure(known, words):
    assert judged(**known).reason == words


def test_what_is_just_below_the_bound_is_not_rounded_up_to_it():
    assert judged(hour=0.8999).reason == "89 % accepted in the last hour"
