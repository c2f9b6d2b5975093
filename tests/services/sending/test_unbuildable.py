"""A gateway for which no request can be made now, for want of credentials: it keeps nobody else back."""

from dataclasses import replace

import pytest
from botocore.exceptions import CredentialRetrievalError

from app.domain.vocabulary import Channel, Priority
from app.services.sending import lane


def out_of_credentials():
    raise CredentialRetrievalError(provider="test", error_msg="gone")


@pytest.fixture
def poor(world):
    """The world in which new credentials for SES cannot be had."""
    ses = replace(world.tools.gateways["ses"], credentials=out_of_credentials)
    return world.with_tools(gateways={**world.tools.gateways, "ses": ses})


def work(world):
    """Send what is due, claims that are left to others too."""
    lane.work(world.tools, Priority.P3, sweep=False)
    for priority, claim in world.wake.claims:
        lane.work_claim(world.tools, priority, claim)


def test_only_its_own_messages_have_a_round_behind_them(poor):
    without, others = poor.add("P3", 2, gateway="ses"), poor.add("P3", 2, gateway="postal")
    work(poor)
    assert poor.statuses(others) == {"sent": 2}
    for message in without:
        row = poor.row(message)
        assert (row.status, row.attempts, row.last_error_class) == ("pending", 1, "transient")
        assert row.last_error == "not_built: AWS credentials cannot be renewed now"
        assert poor.history(message) == ["queued", "attempt_failed"]


def test_what_is_urgent_goes_by_the_next_gateway_at_once(poor):
    message = poor.one("P1", gateway="ses")
    lane.work(poor.tools, Priority.P1, sweep=False)
    [(priority, messages)] = poor.wake.failed_over
    lane.work_these(poor.tools, priority, messages)
    row = poor.row(message)
    assert (row.status, row.gateway, row.attempts) == ("sent", "postal", 0)


def test_often_enough_it_opens_the_breaker_so_that_the_rest_is_not_even_tried(poor):
    poor.add("P3", 20, gateway="ses", subject=None, body_text="Each {{ n }}")
    lane.work(poor.tools, Priority.P3, sweep=False)
    assert poor.tools.breakers.admit(Channel.EMAIL, "ses", 1, urgent=False).admitted == 0
