"""Asking the simulated vendors whether our accounts are well."""

from datetime import timedelta

import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import BreakerState, Channel, ConfigScope, OutcomeClass
from app.gateways.base import HttpFailure, HttpResponse, Probing
from app.gateways.registry import gateways as configured
from app.services.audit import Who
from app.services.upkeep.probing import probe_gateways
from app.settings import load
from app.simulator.environment import environment
from tests.world import gateways, only, settings, world

__all__ = ["gateways", "settings", "world"]

POSTAL = (Channel.EMAIL, "postal")
# Apple and mail relays have no question that sends nothing.
ASKED = {
    "postal", "ses", "sendgrid", "twilio", "twilio_whatsapp", "twilio_voice", "bandwidth", "messagebird",
    "bird", "fcm",
}  # fmt: skip


@pytest.fixture(scope="module")
def vendors(gateways):
    settings = load(_env_file=None, **{name.lower(): v for name, v in environment(gateways.base).items()})
    return configured(settings)


def asked(world, gateway):
    answer = world.app.transports().fetch(gateway.probe(world.clock()))
    assert not isinstance(answer, HttpFailure), answer
    return gateway.read_probe(answer)


def state(world):
    return world.tools.breakers.states([POSTAL])[POSTAL].state


def with_a_wrong_key(world, settings):
    postal = world.app.gateways["postal"]
    wrong = postal.__class__(url=settings.postal_url, api_key="wrong", timeout=timedelta(seconds=1))
    return world.with_tools(gateways={**world.tools.gateways, "postal": wrong})


def test_ten_vendors_can_be_asked(vendors):
    assert {name for name, gateway in vendors.items() if isinstance(gateway, Probing)} == ASKED


@pytest.mark.parametrize("name", sorted(ASKED))
def test_an_account_that_is_well_is_found_so_and_nothing_is_sent(world, vendors, gateways, name):
    assert asked(world, vendors[name]) == Outcome(kind=OutcomeClass.ACCEPTED, code="well")
    assert gateways.accepted() == 0


@pytest.mark.parametrize("name", sorted(ASKED - {"fcm"}))
def test_a_refusal_of_the_credentials_is_one_of_the_account(vendors, name):
    answer = HttpResponse(status=401, headers={}, body=b'{"status": "error"}')
    outcome = vendors[name].read_probe(answer)
    assert (outcome.kind, outcome.scope) == (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)


@pytest.mark.parametrize("name", sorted(ASKED - {"fcm"}))
def test_a_key_that_may_only_send_is_no_fault_of_the_account(vendors, name):
    answer = HttpResponse(status=403, headers={"x-amzn-errortype": "AccessDeniedException"}, body=b"{}")
    assert vendors[name].read_probe(answer).kind is OutcomeClass.UNKNOWN


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ses", b'{"SendingEnabled": false}'),
        ("ses", b'{"SendingEnabled": true, "EnforcementStatus": "SHUTDOWN"}'),
        ("sendgrid", b'{"scopes": ["stats.read"]}'),
        ("twilio", b'{"status": "suspended"}'),
        ("messagebird", b'{"payment": "prepaid", "amount": 0}'),
        ("postal", b'{"status": "error", "data": {"code": "ServerSuspended"}}'),
    ],
)
def test_an_account_that_may_not_send_is_found_out(vendors, name, body):
    outcome = vendors[name].read_probe(HttpResponse(status=200, headers={}, body=body))
    assert (outcome.kind, outcome.scope) == (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)


def test_what_a_probe_came_to_is_written_down(world):
    probe_gateways(world.tools)
    row = only(world.health("postal"))
    assert (row.probe_outcome, row.probe_detail) == ("accepted", "well")
    assert row.probed_at is not None


def test_an_account_that_is_refused_opens_the_breaker(world, settings):
    strangers = with_a_wrong_key(world, settings)
    probe_gateways(strangers.tools)
    assert state(world) is BreakerState.OPEN
    row = only(world.health("postal"))
    assert (row.breaker_state, row.probe_outcome) == ("open", "config")
    assert "refuses our account" in row.failure_reason


def test_a_sender_that_is_refused_leaves_the_gateway_open_for_all_others(world, settings):
    postal = world.app.gateways["postal"]

    class Fussy(postal.__class__):
        def read_probe(self, _response):
            return Outcome(kind=OutcomeClass.CONFIG, scope=ConfigScope.SENDER, code="unknown sender")

    fussy = Fussy(url=settings.postal_url, api_key="simulated", timeout=timedelta(seconds=1))
    probe_gateways(world.with_tools(gateways={**world.tools.gateways, "postal": fussy}).tools)
    assert only(world.health("postal")).probe_outcome == "config"
    assert state(world) is BreakerState.CLOSED


def test_a_good_answer_closes_no_breaker(world):
    world.tools.breakers.trip(*POSTAL, "for the test")
    probe_gateways(world.tools)
    assert state(world) is BreakerState.OPEN


def test_a_vendor_that_is_down_is_told_and_its_breaker_left_to_messages(world):
    world.gateways.break_("postal", "error")
    probe_gateways(world.tools)
    assert only(world.health("postal")).probe_outcome == "transient"
    assert state(world) is BreakerState.CLOSED


def test_a_gateway_out_of_use_is_not_asked(world):
    world.app.gateway_control.disable(Who(actor="ann"), *POSTAL, why="we left them")
    world.tools.catalog.forget()
    assert "postal" not in probe_gateways(world.tools)


def test_one_that_says_nothing_does_not_hold_up_the_others(world):
    world.gateways.break_("postal", "refuse")
    probe_gateways(world.tools)
    assert [only(world.health(name)).probe_outcome for name in ("postal", "ses")] == ["transient", "accepted"]


def test_only_a_change_of_what_it_comes_to_is_told(world):
    for _ in range(2):
        probe_gateways(world.tools)
    world.gateways.break_("postal", "error")
    for _ in range(2):
        probe_gateways(world.tools)
    told = world.app.gateway_control.changes(gateway="postal").items
    assert [(change.kind, change.before, change.after) for change in told] == [
        ("probe", "accepted", "transient")
    ]
