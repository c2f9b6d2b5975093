"""Who is sent to more slowly, by what was said and about whom."""

from datetime import timedelta

import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass, Priority
from app.limits.paces import flow_of
from app.limits.tokens import Ask, Limit
from app.queue.rows import Claimed
from app.services.limit_counts import recount
from app.services.sending.refusals import heed

REFUSED = 5


def claimed(address):
    return Claimed._make([None] * len(Claimed._fields))._replace(
        id=1, channel="email", recipient_address=address
    )


def paces_after(world, code, detail, *, addresses=("a@gmail.com", "b@shop.example"), **more):
    """Have some messages to a claim's first address be refused after a hundred were sent in a second."""
    recount(world.tools)
    world.tools.tokens.take([Ask(limits=(flow_of("smtp"),), count=100)], Priority.P3)
    messages = [claimed(address) for address in addresses]
    outcome = Outcome(kind=OutcomeClass.THROTTLE, code=code, detail=detail, **more)
    heed(world.tools, "smtp", messages, messages[:1] * REFUSED, [outcome] * REFUSED)
    return {part: pace.usual for (_, part), pace in world.tools.paces.all().items()}


@pytest.mark.parametrize("said", [("4.7.28", "RCPT: 421 too fast"), ("421", "DOT: 421 too fast")])
def test_what_is_said_about_a_recipient_s_side_slows_down_for_its_isp_only(world, said):
    assert paces_after(world, *said) == {"google": 50.0}


def test_a_domain_of_nobody_s_stands_for_itself(world):
    assert paces_after(world, "4.7.1", "RCPT: 451 too fast", addresses=("a@shop.example",)) == {
        "shop.example": 100.0
    }


@pytest.mark.parametrize("said", [("421", "MAIL: 421 closing"), ("429", "Too many requests")])
def test_what_a_gateway_says_about_itself_slows_all_of_it_down(world, said):
    assert paces_after(world, *said) == {"*": 100.0}


def test_a_quota_that_is_used_up_is_no_matter_of_pace(world):
    assert paces_after(world, "429", "daily quota", retry_after=timedelta(hours=24)) == {}


def test_what_was_refused_stays_counted_for_the_gateway_alone(world):
    recount(world.tools)
    tokens, message = world.tools.tokens, claimed("a@shop.example")
    domain, gateway = Limit(key="domain:shop.example", per_hour=9), Limit(key="gateway:smtp", per_hour=9)
    ask = Ask(limits=(domain, gateway, flow_of("smtp")), count=1)
    tokens.holdings.hold([message.id], ask, tokens.take([ask], Priority.P3)[0].at)
    heed(world.tools, "smtp", [message], [message], [Outcome(kind=OutcomeClass.TRANSIENT, code="500")])
    of_domain, of_gateway, of_flow = tokens.usage(ask.limits)
    assert (of_domain.per_hour, of_gateway.per_hour, of_flow.per_minute) == (0, 1, 1)
    assert [held.limits for held, _ in tokens.holdings.unknown_since(world.clock())] == [(gateway,)]
