from datetime import UTC, datetime, timedelta

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.domain.vocabulary import Priority
from app.errors import Invalid
from app.gateways.base import Attachment
from app.gateways.push.apns.provider_token import ProviderTokens
from app.gateways.push.apns.sending import Apns

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UUID = "019a4f6e-7c1d-7a3b-8f00-1234567890ab"
TAG = f"{UUID}_P3_2"
TOKEN = "70c51200" + "0" * 56


@pytest.fixture(scope="module")
def apns():
    key = ec.generate_private_key(ec.SECP256R1())
    return Apns(topic="org.example.app", tokens=ProviderTokens(team="TEAM", key_id="KEY", key=key))


@pytest.fixture
def sent(apns, push):
    """Gives the headers (without the token) and the payload of the request."""

    def build(**changes):
        request = apns.build([push(**({"address": TOKEN} | changes))], NOW)
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        return headers, orjson.loads(request.body)

    return build


def test_a_request_names_the_device_and_goes_over_http2(apns, push):
    request = apns.build([push(address=TOKEN.upper())], NOW)
    assert request.url == f"https://api.push.apple.com/3/device/{TOKEN}"
    assert (request.method, request.http2) == ("POST", True)
    assert request.headers["authorization"].startswith("bearer ey")


def test_a_notification_is_spelled_as_apple_wants_it(sent):
    headers, payload = sent(expires_at=NOW + timedelta(hours=1))
    assert headers == {
        "apns-id": UUID,
        "apns-push-type": "alert",
        "apns-topic": "org.example.app",
        "apns-priority": "5",
        "apns-collapse-id": UUID.replace("-", ""),
        "apns-expiration": "1795352400",
    }
    assert payload == {"aps": {"alert": {"title": "Title", "body": "Words"}}, "tocsin": TAG}


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("alert", "org.example.app"),
        ("background", "org.example.app"),
        ("voip", "org.example.app.voip"),
        ("complication", "org.example.app.complication"),
        ("fileprovider", "org.example.app.pushkit.fileprovider"),
        ("mdm", "org.example.app"),
        ("location", "org.example.app.location-query"),
        ("liveactivity", "org.example.app.push-type.liveactivity"),
        ("pushtotalk", "org.example.app.voip-ptt"),
        ("widgets", "org.example.app.push-type.widgets"),
    ],
)
def test_each_push_type_has_its_topic(sent, kind, topic):
    headers, _ = sent(push={"push_type": kind})
    assert (headers["apns-push-type"], headers["apns-topic"]) == (kind, topic)


@pytest.mark.parametrize(
    ("priority", "kind", "expected"),
    [
        (Priority.P0, "alert", "10"),
        (Priority.P1, "alert", "10"),
        (Priority.P2, "alert", "5"),
        (Priority.P3, "alert", "5"),
        (Priority.P4, "alert", "10"),
        (Priority.P0, "background", "5"),
        (Priority.P3, "voip", "10"),
        (Priority.P3, "pushtotalk", "10"),
    ],
)
def test_the_lane_decides_the_priority_but_nothing_in_the_background_is_urgent(
    sent, tag, priority, kind, expected
):
    headers, _ = sent(tag=tag._replace(priority=priority), push={"push_type": kind})
    assert headers["apns-priority"] == expected


def test_a_silent_message_is_in_the_background(sent):
    headers, payload = sent(push={"silent": True, "data": {"a": "b"}})
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("background", "5")
    assert payload == {"aps": {"content-available": 1}, "a": "b", "tocsin": TAG}


def test_what_is_in_the_background_stays_unhurried_whatever_the_caller_says(sent):
    headers, _ = sent(push={"silent": True, "apns": {"headers": {"apns-priority": "10"}}})
    assert headers["apns-priority"] == "5"


def test_badge_sound_and_image_are_there(sent):
    _, payload = sent(push={"badge": 0, "sound": "bell", "image": "https://e.org/i.png", "title": "Own"})
    assert payload == {
        "aps": {
            "alert": {"title": "Own", "body": "Words"},
            "badge": 0,
            "sound": "bell",
            "mutable-content": 1,
        },
        "image": "https://e.org/i.png",
        "tocsin": TAG,
    }


def test_what_the_caller_passes_through_goes_over_ours(sent):
    own = {
        "headers": {"apns-priority": "1", "Apns-Topic": "org.other", "apns-expiration": "0"},
        "payload": {"aps": {"alert": {"subtitle": "S"}, "thread-id": "t"}, "x": 1},
    }
    headers, payload = sent(push={"apns": own})
    assert headers["apns-priority"] == "1"
    assert headers["apns-topic"] == "org.other"
    assert headers["apns-expiration"] == "0"
    assert payload["aps"] == {
        "alert": {"title": "Title", "body": "Words", "subtitle": "S"},
        "thread-id": "t",
    }
    assert payload["x"] == 1


def test_a_time_that_is_over_means_now_or_never(sent):
    assert sent(expires_at=NOW)[0]["apns-expiration"] == "0"
    assert sent(expires_at=NOW - timedelta(days=1))[0]["apns-expiration"] == "0"
    assert "apns-expiration" not in sent(expires_at=None)[0]


def test_a_long_collapse_key_is_shortened_the_same_way_each_time(sent):
    keys = [sent(push={"collapse_key": "k" * 65})[0]["apns-collapse-id"] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 32
    assert sent(push={"collapse_key": "k" * 64})[0]["apns-collapse-id"] == "k" * 64


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"address": "delivered-1:".ljust(142, "A")}, "Apple issued"),
        ({"address": "topic:weather"}, "Apple issued"),
        ({"address": "condition:'a' in topics"}, "Apple issued"),
        ({"address": TOKEN, "options": {"platform": "fcm"}}, "Apple issued"),
        ({"address": "../3/device", "options": {"platform": "apns"}}, "Apple issued"),
        ({"push": {"dry_run": True}}, "dry run"),
        ({"push": {"data": {"aps": "x"}}}, "aps"),
        ({"push": {"data": ["n"]}}, "not text"),
        ({"push": {"data": {"tocsin": "x"}}}, "tocsin"),
        ({"push": {"push_type": "loud"}}, "push type"),
        ({"push": {"apns": {"live_activity_token": "x"}}}, "live_activity_token"),
        ({"push": {"apns": {"headers": {"authorization": "x"}}}}, "authorization"),
        ({"push": {"apns": {"headers": {"apns-priority": "7"}}}}, "apns-priority"),
        ({"push": {"apns": {"headers": {"apns-topic": "a\r\nb: c"}}}}, "apns-topic"),
        ({"push": {"apns": {"headers": {"apns-push-type": "loud"}}}}, "apns-push-type"),
        ({"push": {"apns": {"headers": {"apns-collapse-id": "k" * 65}}}}, "apns-collapse-id"),
        ({"attachments": [Attachment(filename="a", content_type="a/b", content=b"")]}, "attachment"),
        ({"text": "x" * 4100}, "4096 bytes"),
        ({"text": "x" * 5120, "push": {"push_type": "voip"}}, "5120 bytes"),
    ],
)
def test_what_apple_would_not_take_is_named_and_never_built(apns, push, changes, named):
    message = push(**({"address": TOKEN} | changes))
    assert named in apns.cannot_express(message)
    with pytest.raises(Invalid):
        apns.build([message], NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"address": "ab" * 80},
        {"text": "x" * 3900},
        {"text": "x" * 4900, "push": {"push_type": "voip"}},
        {"push": {"android": {"priority": "HIGH"}, "webpush": {"headers": {}}}},
    ],
)
def test_what_fits_is_not_refused(apns, push, changes):
    assert apns.cannot_express(push(**({"address": TOKEN} | changes))) is None
