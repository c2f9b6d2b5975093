from datetime import UTC, datetime

import pytest

from app.domain.vocabulary import Channel
from app.simulator.recipients import fates_of
from tests.conformance.expectations import Expected, expected_of
from tests.conformance.messages import FEATURES, LENGTHS
from tests.conformance.stage import can_be_written_to, discovered, staged

_FOUND = discovered()


def pytest_generate_tests(metafunc):
    """Run a test for each gateway there is, and for each fate, feature or length that its channel has."""
    if "gateway" not in metafunc.fixturenames:
        return
    wanted = [fits for name, fits in _ONLY.items() if name in metafunc.fixturenames]
    found = {name: gateway for name, gateway in _FOUND.items() if all(fits(gateway) for fits in wanted)}
    cases = [(name, each) for name, gateway in found.items() for each in _range(metafunc, gateway.channel)]
    second = _second(metafunc)
    if second:
        metafunc.parametrize(("gateway", second), cases, ids=[f"{name}-{each}" for name, each in cases])
    else:
        metafunc.parametrize("gateway", list(found))


# Fixtures that only some gateways can have; a test that asks for one runs for those.
_ONLY = {
    "somebody_writes": can_be_written_to,
    "calls": lambda gateway: gateway.channel is Channel.VOICE,
}
_RANGES = {
    "fate": fates_of,
    "feature": lambda channel: FEATURES[channel],
    "length": lambda channel: LENGTHS[channel],
}


def _second(metafunc):
    return next((name for name in _RANGES if name in metafunc.fixturenames), None)


def _range(metafunc, channel):
    second = _second(metafunc)
    return list(_RANGES[second](channel)) if second else [None]


@pytest.fixture
def calls():
    """Mark a test of calls."""


@pytest.fixture(scope="session")
def theatre():
    with staged() as stage:
        yield stage


@pytest.fixture
def stage(theatre):
    theatre.reset()
    yield theatre
    theatre.control("DELETE", "faults")


@pytest.fixture
def expected(gateway) -> Expected:
    return expected_of(gateway)


@pytest.fixture
def write(theatre, gateway, expected):
    """Give a function that makes a message for the gateway, to an address with the fate named."""
    channel = _FOUND[gateway].channel
    # What a gateway fetches before its first message is there before anything breaks.
    for each in (theatre.gateways, theatre.impatient):
        each[gateway].build([expected.message(channel, "delivered")], datetime.now(UTC))

    def write(fate="delivered", number=0, **changes):
        return expected.message(channel, fate, number, **changes)

    return write
