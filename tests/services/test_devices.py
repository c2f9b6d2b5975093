"""Devices as they are registered, moved and taken out of use."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.tables import device_tokens, topic_members, topics
from app.domain.suppression import SuppressionPolicy
from app.domain.vocabulary import Channel, SuppressionReason
from app.errors import Invalid, NotFound
from app.services.devices import DeviceDraft, DeviceService, active_devices
from app.services.suppressing import Blame, suppress

FCM = "f" + "Aa1:_-" * 25
APNS = "ab" * 32
WEEK = timedelta(days=7)


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=5, name="test")
    yield engine
    engine.dispose()


@pytest.fixture
def devices(engine):
    return DeviceService(engine, stale_after=WEEK)


def draft(**changes) -> DeviceDraft:
    return DeviceDraft(**{"token": FCM, "platform": "fcm", "recipient_id": 7} | changes)


def now():
    return datetime.now(UTC)


def gone(engine, token, as_of):
    blame = Blame(
        message=None,
        channel=Channel.PUSH,
        address=token,
        reason=SuppressionReason.BOUNCE_HARD,
        source="fcm",
        as_of=as_of,
    )
    with engine.begin() as conn:
        suppress(conn, SuppressionPolicy(), [blame])


def used(engine, recipient_type=None, recipient_id=7, platform=None):
    with engine.connect() as conn:
        rows = active_devices(conn, recipient_type, recipient_id, platform=platform, stale_after=WEEK)
    return [row.token for row in rows]


def test_a_device_that_comes_again_is_the_same_and_its_last_owner_s(devices):
    first, is_new = devices.register(draft())
    second, is_new_again = devices.register(draft(recipient_id=8, recipient_type="smb", app="shop"))
    assert (first.id, is_new, is_new_again) == (second.id, True, False)
    assert (second.recipient_id, second.recipient_type, second.app) == (8, "smb", "shop")


def test_an_older_registration_changes_nothing(devices):
    devices.register(draft(recipient_id=8))
    view, _ = devices.register(draft(recipient_id=7, last_seen_at=now() - timedelta(days=1)))
    assert view.recipient_id == 8


def test_a_time_ahead_is_taken_for_now(devices):
    view, _ = devices.register(draft(last_seen_at=now() + timedelta(days=1)))
    assert view.last_seen_at <= now()


def test_a_token_of_apple_s_is_kept_in_lower_case_and_found_by_any(devices):
    devices.register(draft(token=APNS.upper(), platform="apns"))
    assert devices.deactivate(APNS.upper()).token == APNS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token": "x"}, "token"),
        ({"recipient_id": -1}, "recipient_id"),
        ({"recipient_type": ""}, "recipient_type"),
        ({"app": "a\nb"}, "app"),
        ({"locale": "deutsch!"}, "locale"),
        ({"last_seen_at": datetime(2030, 1, 1)}, "last_seen_at"),  # noqa: DTZ001 - that is the fault.
    ],
)
def test_a_device_that_cannot_be_is_refused(devices, changes, field):
    with pytest.raises(Invalid) as caught:
        devices.register(draft(**changes))
    assert [fault.field for fault in caught.value.faults] == [field]


def test_a_device_that_was_gone_is_back_when_it_registers(devices, engine):
    devices.register(draft(last_seen_at=now() - timedelta(hours=2)))
    gone(engine, FCM, now() - timedelta(hours=1))
    assert used(engine) == []
    devices.register(draft())
    assert used(engine) == [FCM]


def test_a_device_that_was_gone_stays_so_for_a_registration_before(devices, engine):
    devices.register(draft(last_seen_at=now() - timedelta(hours=2)))
    gone(engine, FCM, now())
    view, _ = devices.register(draft(last_seen_at=now() - timedelta(hours=1)))
    assert (view.is_active, view.deactivated_why) == (False, "gateway")


# Whom a push goes to


def test_a_recipient_of_another_type_is_another(devices, engine):
    devices.register(draft(recipient_type="smb"))
    assert used(engine, "subscriber") == []
    assert used(engine) == []
    assert used(engine, "smb") == [FCM]


def test_the_device_that_was_seen_last_comes_first(devices, engine):
    devices.register(draft(last_seen_at=now() - timedelta(days=1)))
    devices.register(draft(token=APNS, platform="apns"))
    assert used(engine) == [APNS, FCM]
    assert used(engine, platform="fcm") == [FCM]


@pytest.mark.parametrize(("ago", "found"), [(WEEK - timedelta(minutes=1), [FCM]), (WEEK, [])])
def test_a_device_not_seen_for_a_week_is_stale(devices, engine, ago, found):
    view, _ = devices.register(draft(last_seen_at=now() - ago))
    assert used(engine) == found
    assert view.is_stale is not bool(found)


# A new token


def follow(engine, device, state="subscribed", name="news"):
    with engine.begin() as conn:
        topic = conn.scalar(sa.insert(topics).values(name=name).returning(topics.c.id))
        row = {"topic_id": topic, "device_id": device, "state": state}
        conn.execute(sa.insert(topic_members).values(row))


def members(engine):
    with engine.connect() as conn:
        query = sa.select(device_tokens.c.token, topic_members.c.state)
        rows = conn.execute(query.join(topic_members, topic_members.c.device_id == device_tokens.c.id))
        return [tuple(row) for row in rows]


def test_a_new_token_takes_the_old_one_s_place(devices, engine):
    devices.register(draft(recipient_type="subscriber", app="shop", locale="de"))
    new = devices.refresh(FCM, FCM + "2")
    assert (new.recipient_id, new.recipient_type, new.app, new.locale) == (7, "subscriber", "shop", "de")
    assert used(engine, "subscriber") == [FCM + "2"]
    old = devices.search(token=FCM).items[0]
    assert old.deactivated_why == "replaced"


def test_a_new_token_follows_the_same_topics(devices, engine):
    view, _ = devices.register(draft())
    follow(engine, view.id)
    follow(engine, view.id, "unsubscribing", "left")
    devices.refresh(FCM, FCM + "2")
    assert members(engine) == [(FCM + "2", "subscribing")]


def test_the_same_token_again_is_only_seen(devices, engine):
    devices.register(draft(last_seen_at=now() - timedelta(days=1)))
    assert devices.refresh(FCM, FCM).is_active
    assert used(engine) == [FCM]


def test_a_token_that_nobody_knows_is_not_refreshed(devices):
    with pytest.raises(NotFound):
        devices.refresh(FCM, FCM + "2")


def test_a_new_token_that_cannot_be_is_refused(devices):
    devices.register(draft())
    with pytest.raises(Invalid) as caught:
        devices.refresh(FCM, "x")
    assert [fault.field for fault in caught.value.faults] == ["new_token"]


# Out of use


def test_a_device_out_of_use_leaves_its_topics(devices, engine):
    fcm, _ = devices.register(draft())
    apns, _ = devices.register(draft(token=APNS, platform="apns"))
    follow(engine, fcm.id)
    follow(engine, apns.id, name="other")
    devices.deactivate(FCM)
    devices.deactivate(APNS)
    assert members(engine) == [(FCM, "unsubscribing")]
    assert used(engine) == []


def test_a_device_is_taken_out_of_use_once(devices):
    devices.register(draft())
    first, second = devices.deactivate(FCM), devices.deactivate(FCM)
    assert first.deactivated_at == second.deactivated_at


def test_devices_come_in_pages_newest_first(devices):
    for number in range(5):
        devices.register(draft(token=f"{FCM}{number}"))
    first = devices.search(recipient_id=7, limit=3)
    second = devices.search(recipient_id=7, limit=3, cursor=first.next)
    found = [view.token[-1] for view in (*first.items, *second.items)]
    assert found == list("43210")
    devices.deactivate(FCM + "0")
    assert len(devices.search(is_active=True).items) == 4
