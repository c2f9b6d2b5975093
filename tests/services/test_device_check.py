"""Dry runs: FCM is asked about a device, and the device gets nothing."""

from datetime import UTC, datetime

import pytest

from app.db.engine import make_engine
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import Invalid, NoGateway
from app.gateways.base import HttpFailure, HttpRequest, HttpResponse
from app.services.device_check import DeviceCheck
from app.services.devices import DeviceDraft, DeviceService
from tests.services.test_devices import APNS, FCM, WEEK, used


class Vendor:
    """FCM as far as a dry run needs it: its answer's body is the outcome."""

    name = "fcm"
    channel = Channel.PUSH
    batch = 1

    def build(self, messages, _now):
        (message,) = messages
        assert message.options == {"platform": "fcm", "push": {"dry_run": True}}
        return HttpRequest(url=f"https://fcm.example/{message.address}", body=b"{}", headers={})

    def read(self, _messages, response):
        return [Outcome(kind=OutcomeClass(response.body.decode()), code="CODE")]


class Wire:
    """The transport, with one answer for everything."""

    def __init__(self, answer):
        self.answer = answer

    def fetch(self, _request):
        return self.answer


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=5, name="test")
    yield engine
    engine.dispose()


def checked(engine, answer):
    DeviceService(engine, stale_after=WEEK).register(DeviceDraft(token=FCM, platform="fcm", recipient_id=7))
    return DeviceCheck(engine, {"fcm": Vendor()}, lambda: Wire(answer), lambda: datetime.now(UTC)).check(
        FCM, "fcm"
    )


def answer(kind):
    return HttpResponse(status=200, headers={}, body=kind.encode())


@pytest.mark.parametrize(
    ("kind", "is_valid", "in_use"),
    [("accepted", True, [FCM]), ("recipient", False, []), ("config", None, [FCM]), ("throttle", None, [FCM])],
)
def test_a_device_is_valid_as_the_gateway_says(engine, kind, is_valid, in_use):
    view = checked(engine, answer(kind))
    assert (view.is_valid, view.outcome, view.code, view.gateway) == (is_valid, kind, "CODE", "fcm")
    assert used(engine) == in_use


def test_no_answer_says_nothing_about_the_device(engine):
    view = checked(engine, HttpFailure(written=True, detail="gone"))
    assert (view.is_valid, view.outcome) == (None, "unknown")
    assert used(engine) == [FCM]


def check(engine, gateways=None):
    return DeviceCheck(engine, gateways or {}, lambda: Wire(None), lambda: datetime.now(UTC))


def test_apple_has_no_dry_run(engine):
    with pytest.raises(Invalid):
        check(engine).check(APNS, "apns")


def test_without_fcm_there_is_nobody_to_ask(engine):
    with pytest.raises(NoGateway):
        check(engine).check(FCM, "fcm")


def test_a_topic_is_no_device(engine):
    with pytest.raises(Invalid):
        check(engine, {"fcm": Vendor()}).check("topic:news", "fcm")
