"""A push to a person, from the request to the gateways and back, over simulated FCM and APNs."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from app.domain.callers import SCOPES, Caller
from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.devices import DeviceDraft, DeviceService
from app.services.messages import MessageService
from app.services.requests import SendRequest
from app.services.sending import lane
from app.services.way import Way
from app.wake import NoWake
from tests.world import only

TAIL = "Aa1_" * 30
CALLER = Caller(client_id=1, name="tests", scopes=frozenset(SCOPES))


@pytest.fixture
def devices(world):
    return DeviceService(world.tools.engine, stale_after=timedelta(days=7))


def push(world):
    request = SendRequest(
        channel=Channel.PUSH,
        message_type=MessageType.TRANSACTIONAL,
        recipient_id=7,
        subject="Hello",
        body_text="Spring is here.",
    )
    tools = world.tools
    service = MessageService(tools.engine, tools.catalog, NoWake(), world.app.settings, Way(None))
    return service.send(CALLER, request)


def test_every_device_gets_it_by_its_own_gateway_and_who_is_gone_leaves(world, devices):
    devices.register(DeviceDraft(token=f"delivered-1:{TAIL}", platform="fcm", recipient_id=7))
    devices.register(DeviceDraft(token=f"bounce-1:{TAIL}", platform="fcm", recipient_id=7))
    devices.register(DeviceDraft(token="ab" * 32, platform="apns", recipient_id=7))
    accepted = push(world)
    lane.work_these(world.tools, Priority.P4, [each.message for each in accepted.messages])
    found = {}
    for each in accepted.messages:
        row = world.row(SimpleNamespace(id=each.message))
        found[row.recipient_address[:2]] = (row.status, row.gateway)
    assert found == {"de": ("sent", "fcm"), "bo": ("failed", "fcm"), "ab": ("sent", "apns")}
    out = only(devices.search(is_active=False).items)
    assert (out.token[:6], out.deactivated_why) == ("bounce", "gateway")
    assert world.suppressed() == []
