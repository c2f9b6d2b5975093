from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.vocabulary import Priority
from app.errors import Invalid
from app.gateways.base import Attachment, HttpResponse
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.gateways.push.fcm.sending import Fcm
from app.simulator.accounts.fcm import PRIVATE_KEY

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UUID = "019a4f6e7c1d7a3b8f001234567890ab"
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
TOKEN = "delivered-1:".ljust(142, "A")
ACCOUNT = {
    "project_id": "town",
    "client_email": "t@town.iam.gserviceaccount.com",
    "private_key_id": "kid",
    "private_key": PRIVATE_KEY,
}


@pytest.fixture(scope="module")
def fcm():
    account = ServiceAccount.read(orjson.dumps(ACCOUNT).decode())
    answer = HttpResponse(status=200, headers={}, body=b'{"access_token":"ya29.a","expires_in":3599}')
    return Fcm(project="town", tokens=AccessTokens(account, lambda _: answer))


@pytest.fixture
def sent(fcm, push):
    """Gives the message in the request's body."""
    return lambda **changes: orjson.loads(fcm.build([push(**changes)], NOW).body)["message"]


def test_a_request_goes_to_the_project_with_the_access_token_over_http2(fcm, push):
    request = fcm.build([push()], NOW)
    assert request.url == "https://fcm.googleapis.com/v1/projects/town/messages:send"
    assert request.headers == {"Authorization": "Bearer ya29.a", "Content-Type": "application/json"}
    assert (request.method, request.http2) == ("POST", True)


def test_a_notification_for_a_token_is_spelled_as_fcm_wants_it(sent):
    assert sent(expires_at=NOW + timedelta(hours=1)) == {
        "token": TOKEN,
        "notification": {"title": "Title", "body": "Words"},
        "data": {"tocsin": TAG},
        "android": {
            "collapse_key": UUID,
            "priority": "NORMAL",
            "ttl": "3600s",
            "notification": {"tag": UUID},
        },
        "apns": {
            "headers": {
                "apns-collapse-id": UUID,
                "apns-push-type": "alert",
                "apns-priority": "5",
                "apns-expiration": "1795352400",
            }
        },
        "webpush": {"headers": {"Topic": UUID, "Urgency": "normal", "TTL": "3600"}},
        "fcm_options": {"analytics_label": TAG},
    }


@pytest.mark.parametrize(
    ("address", "name", "value"),
    [
        ("topic:weather", "topic", "weather"),
        ("condition:'a' in topics && 'b' in topics", "condition", "'a' in topics && 'b' in topics"),
    ],
)
def test_topics_and_conditions_are_targets_of_their_own(sent, address, name, value):
    message = sent(address=address)
    assert message[name] == value
    assert "token" not in message


@pytest.mark.parametrize(
    ("priority", "android", "apple", "web"),
    [
        (Priority.P0, "HIGH", "10", "high"),
        (Priority.P1, "HIGH", "10", "high"),
        (Priority.P2, "NORMAL", "5", "normal"),
        (Priority.P3, "NORMAL", "5", "normal"),
        (Priority.P4, "HIGH", "10", "high"),
    ],
)
def test_the_lane_decides_who_is_woken(sent, tag, priority, *, android, apple, web):
    message = sent(tag=tag._replace(priority=priority))
    assert message["android"]["priority"] == android
    assert message["apns"]["headers"]["apns-priority"] == apple
    assert message["webpush"]["headers"]["Urgency"] == web


def test_title_image_badge_and_sound_reach_every_kind_of_device(sent):
    message = sent(push={"title": "Own", "image": "https://e.org/i.png", "badge": 3, "sound": "bell"})
    assert message["notification"] == {"title": "Own", "body": "Words", "image": "https://e.org/i.png"}
    assert message["apns"]["payload"] == {"aps": {"badge": 3, "sound": "bell"}}
    assert message["android"]["notification"] == {"tag": UUID, "sound": "bell", "notification_count": 3}


def test_a_silent_message_shows_nothing_and_wakes_the_app(sent, tag):
    message = sent(push={"silent": True, "data": {"a": "b"}}, tag=tag._replace(priority=Priority.P0))
    assert message["data"] == {"a": "b", "tocsin": str(tag._replace(priority=Priority.P0))}
    assert "notification" not in message
    # With a key of its own, all but four of them would be lost to a device that is away.
    assert message["android"].keys() == {"priority"}
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}
    assert message["apns"]["headers"]["apns-push-type"] == "background"
    assert message["apns"]["headers"]["apns-priority"] == "5"


@pytest.mark.parametrize(
    ("expires", "chosen", "seconds"),
    [
        (timedelta(minutes=10), None, 600),
        (timedelta(minutes=10), 60, 60),
        (timedelta(minutes=1), 3600, 60),
        (None, 30, 30),
        (timedelta(seconds=-5), None, 0),
        (timedelta(days=60), None, 2_419_200),
    ],
)
def test_it_waits_for_a_device_no_longer_than_it_holds(sent, expires, chosen, seconds):
    own = {} if chosen is None else {"ttl_seconds": chosen}
    message = sent(expires_at=expires and NOW + expires, push=own)
    assert message["android"]["ttl"] == f"{seconds}s"
    assert message["webpush"]["headers"]["TTL"] == str(seconds)
    expected = str(1795348800 + seconds) if seconds else "0"
    assert message["apns"]["headers"]["apns-expiration"] == expected


def test_without_a_limit_none_is_said(sent):
    message = sent(expires_at=None)
    assert "ttl" not in message["android"]
    assert "TTL" not in message["webpush"]["headers"]


def test_of_silent_messages_with_the_callers_key_the_last_is_enough(sent):
    assert sent(push={"silent": True, "collapse_key": "sync"})["android"]["collapse_key"] == "sync"


def test_the_callers_collapse_key_is_used_where_it_fits(sent):
    message = sent(push={"collapse_key": "score"})
    assert message["android"]["collapse_key"] == "score"
    assert message["android"]["notification"]["tag"] == "score"
    assert message["apns"]["headers"]["apns-collapse-id"] == "score"
    assert message["webpush"]["headers"]["Topic"] == "score"


def test_a_key_that_does_not_fit_is_shortened_the_same_way_each_time(sent):
    topics = {sent(push={"collapse_key": key})["webpush"]["headers"]["Topic"] for key in ["a b" * 30] * 2}
    assert len(topics) == 1
    assert len(topics.pop()) == 32


def test_what_the_caller_passes_through_goes_over_ours(sent):
    own = {
        "android": {"priority": "HIGH", "notification": {"channel_id": "c"}},
        "apns": {"headers": {"apns-priority": "1"}},
        "webpush": {"fcm_options": {"link": "https://e.org"}},
    }
    message = sent(push=own)
    assert message["android"]["priority"] == "HIGH"
    assert message["android"]["notification"] == {"tag": UUID, "channel_id": "c"}
    assert message["apns"]["headers"]["apns-priority"] == "1"
    assert message["apns"]["headers"]["apns-collapse-id"] == UUID
    assert message["webpush"]["fcm_options"] == {"link": "https://e.org"}


@pytest.mark.parametrize("dry", [False, True])
def test_a_dry_run_is_only_validated(fcm, push, dry):
    assert orjson.loads(fcm.build([push(push={"dry_run": dry})], NOW).body)["validate_only"] is dry


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"address": "ab" * 32}, "Apple"),
        ({"options": {"platform": "apns"}}, "Apple"),
        ({"push": {"data": {"from": "x"}}}, "from"),
        ({"push": {"data": {"message_type": "x"}}}, "message_type"),
        ({"push": {"data": {"google.a": "x"}}}, "google.a"),
        ({"push": {"data": {"gcm_b": "x"}}}, "gcm_b"),
        ({"push": {"data": {"tocsin": "x"}}}, "tocsin"),
        ({"push": {"data": {"n": 1}}}, "not text"),
        ({"push": {"data": ["n"]}}, "not text"),
        ({"push": {"image": "http://e.org/i.png"}}, "https"),
        ({"address": "topic:a b"}, "topic"),
        ({"address": "condition:nothing"}, "condition"),
        ({"address": "condition:" + " || ".join(["'a' in topics"] * 6)}, "five"),
        ({"attachments": [Attachment(filename="a", content_type="a/b", content=b"")]}, "attachment"),
        ({"subject": None, "text": None}, "without a title"),
        ({"text": "x" * 4100}, "4096 bytes"),
        ({"push": {"data": {"a": "x" * 4100}}}, "4096 bytes"),
        ({"push": {"apns": {"payload": {"a": "x" * 4100}}}}, "4096 bytes"),
        ({"address": "topic:a", "text": "x" * 2100}, "2048 bytes"),
    ],
)
def test_what_fcm_would_not_take_is_named_and_never_built(fcm, push, changes, named):
    message = push(**changes)
    assert named in fcm.cannot_express(message)
    with pytest.raises(Invalid):
        fcm.build([message], NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text": "x" * 3900},
        {"address": "topic:a", "text": "x" * 1800},
        {"subject": None, "text": None, "push": {"data": {"a": "b"}}},
        {"options": {"platform": "fcm", "push": {}}, "address": "ab" * 60},
        {"address": "condition:" + " || ".join(["'a' in topics"] * 5)},
    ],
)
def test_what_fits_is_not_refused(fcm, push, changes):
    assert fcm.cannot_express(push(**changes)) is None
