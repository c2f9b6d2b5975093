"""Both gateways against their doubles, over the real transport."""

from datetime import UTC, datetime

import pytest

from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.push.apns.sending import Apns
from app.gateways.push.fcm.sending import Fcm
from app.simulator.recipients import Fate, address_for


@pytest.fixture(scope="module")
def gateways(simulated_settings):
    return {"fcm": Fcm.configured(simulated_settings), "apns": Apns.configured(simulated_settings)}


def sent(gateway, transport, messages):
    """Send many at once; their outcomes in order."""
    waiting = list(messages)

    def pull(free):
        given, waiting[:] = waiting[:free], waiting[free:]
        return [(message, gateway.build([message], datetime.now(UTC))) for message in given]

    outcomes = {}
    for finished in transport.exchange(pull):
        for message, response in finished:
            assert isinstance(response, HttpResponse), response
            (outcomes[message.address],) = gateway.read([message], response)
    return [outcomes[message.address] for message in messages]


@pytest.mark.parametrize("name", ["fcm", "apns"])
@pytest.mark.parametrize(
    ("fate", "kind", "scope"),
    [
        (Fate.DELIVERED, OutcomeClass.ACCEPTED, None),
        (Fate.BOUNCE, OutcomeClass.RECIPIENT, None),
        (Fate.SUPPRESSED, OutcomeClass.RECIPIENT, None),
        (Fate.REJECTED, OutcomeClass.CONTENT, None),
        (Fate.THROTTLED, OutcomeClass.THROTTLE, None),
        (Fate.DOWN, OutcomeClass.TRANSIENT, None),
        (Fate.GARBAGE, OutcomeClass.UNKNOWN, None),
    ],
)
def test_each_fate_comes_back_as_its_class(gateways, transport, push, *, name, fate, kind, scope):
    address = address_for(fate, Channel.PUSH, platform=name)
    (outcome,) = sent(gateways[name], transport, [push(address=address)])
    assert (outcome.kind, outcome.scope) == (kind, scope)


@pytest.mark.parametrize(("name", "scope"), [("fcm", ConfigScope.DESTINATION), ("apns", ConfigScope.ACCOUNT)])
def test_a_fault_of_our_configuration_has_its_scope(gateways, transport, push, name, scope):
    address = address_for(Fate.HELD, Channel.PUSH, platform=name)
    (outcome,) = sent(gateways[name], transport, [push(address=address)])
    assert (outcome.kind, outcome.scope) == (OutcomeClass.CONFIG, scope)


@pytest.mark.parametrize("name", ["fcm", "apns"])
def test_many_notifications_share_one_connection(gateways, transport, push, name):
    addresses = [address_for(Fate.DELIVERED, Channel.PUSH, number, platform=name) for number in range(300)]
    outcomes = sent(gateways[name], transport, [push(address=address) for address in addresses])
    assert {outcome.kind for outcome in outcomes} == {OutcomeClass.ACCEPTED}
    assert len(transport._sockets._probes) == 1
