"""Devices, topics and what people send us, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.api.application import create_app
from app.db.tables import device_tokens, inbound_messages
from app.domain.vocabulary import Channel
from app.services.catalog import Catalog
from tests.api.conftest import Api

FCM = "f" + "Aa1:_-" * 25
APNS = "ab" * 32
DEVICE = {"token": FCM, "platform": "fcm", "recipient_type": "subscriber", "recipient_id": 7}
PUSH = {
    "channel": "push",
    "priority": "P4",
    "message_type": "transactional",
    "recipient_type": "subscriber",
    "recipient_id": 7,
    "subject": "Hello",
    "body_text": "Spring is here.",
}


def fields(answer):
    return {fault["field"] for fault in answer.json["errors"]}


def token(number):
    return f"{FCM}{number}"


@pytest.fixture
def pushing(app):
    """The application knows both gateways of push."""
    capabilities = {"apns": frozenset({"apns"}), "fcm": frozenset({"fcm"})}
    app.__dict__["catalog"] = Catalog(app.engine, {Channel.PUSH: ("apns", "fcm")}, capabilities)
    return app


@pytest.fixture
def api(pushing, keys):
    return Api(create_app(pushing).test_client(), keys)


def test_a_device_is_registered_once(api):
    first = api.post("/v1/devices", DEVICE)
    again = api.post("/v1/devices", DEVICE | {"locale": "de"})
    assert (first.status_code, first.json["is_new"]) == (201, True)
    assert (again.status_code, again.json["is_new"]) == (200, False)
    assert again.json["device"]["locale"] == "de"
    assert api.get(f"/v1/devices/{first.json['device']['id']}").json["token"] == FCM


def test_devices_are_listed_by_recipient(api):
    api.post("/v1/devices", DEVICE)
    api.post("/v1/devices", DEVICE | {"token": token(1), "recipient_id": 8})
    items = api.get("/v1/devices?recipient_type=subscriber&recipient_id=7").json["items"]
    assert [item["token"] for item in items] == [FCM]


def test_a_token_that_cannot_be_is_422(api):
    answer = api.post("/v1/devices", DEVICE | {"token": "x"})
    assert (answer.status_code, fields(answer)) == (422, {"token"})


def test_a_token_is_refreshed_and_taken_out_of_use(api):
    api.post("/v1/devices", DEVICE)
    refreshed = api.post("/v1/devices/refresh", {"token": FCM, "new_token": token(1)})
    assert (refreshed.status_code, refreshed.json["token"]) == (200, token(1))
    out = api.post("/v1/devices/deactivate", {"token": token(1)})
    assert (out.status_code, out.json["deactivated_why"]) == (200, "asked")
    assert api.post("/v1/devices/deactivate", {"token": token(2)}).status_code == 404


def test_writing_devices_needs_its_scope(api):
    assert api.as_key("reader").post("/v1/devices", DEVICE).status_code == 403


# A push to a person


def test_a_push_to_a_person_goes_to_every_device(api):
    api.post("/v1/devices", DEVICE)
    api.post("/v1/devices", DEVICE | {"token": APNS, "platform": "apns"})
    answer = api.post("/v1/messages", PUSH)
    assert answer.status_code == 202
    messages = answer.json["messages"]
    assert answer.json["uuid"] == messages[0]["uuid"]
    assert {message["gateway"] for message in messages} == {"apns", "fcm"}
    found = [api.get(message["links"]["self"]).json["recipient_address"] for message in messages]
    assert sorted(found) == sorted([FCM, APNS])


def test_a_push_to_one_platform_goes_there_alone(api):
    api.post("/v1/devices", DEVICE)
    api.post("/v1/devices", DEVICE | {"token": APNS, "platform": "apns"})
    answer = api.post("/v1/messages", PUSH | {"platform": "apns"})
    assert [message["gateway"] for message in answer.json["messages"]] == ["apns"]


@pytest.mark.parametrize(
    "change", [{"recipient_id": 8}, {"recipient_type": "smb"}, {"recipient_type": None}, {"platform": "apns"}]
)
def test_a_push_to_a_person_without_a_device_is_422(api, change):
    api.post("/v1/devices", DEVICE)
    answer = api.post("/v1/messages", PUSH | change)
    assert (answer.status_code, fields(answer)) == (422, {"recipient_id"})


def test_a_push_to_nobody_is_422(api):
    answer = api.post("/v1/messages", PUSH | {"recipient_id": None})
    assert (answer.status_code, fields(answer)) == (422, {"recipient_address"})


def test_only_a_push_may_lack_an_address(api, message):
    app_catalog = {key: value for key, value in message.items() if key != "recipient_address"}
    answer = api.post("/v1/messages", app_catalog | {"channel": "push", "recipient_id": None})
    assert fields(answer) == {"recipient_address"}


def test_a_device_not_seen_for_a_week_gets_nothing(api, app):
    api.post("/v1/devices", DEVICE)
    long_ago = datetime.now(UTC) - timedelta(days=7, seconds=1)
    with app.engine.begin() as conn:
        conn.execute(sa.update(device_tokens).values(last_seen_at=long_ago))
    assert api.get("/v1/devices").json["items"][0]["is_stale"] is True
    assert api.post("/v1/messages", PUSH).status_code == 422


def test_the_first_answer_comes_again_though_a_device_is_gone(api):
    api.post("/v1/devices", DEVICE)
    headers = {"Idempotency-Key": "k1"}
    first = api.post("/v1/messages", PUSH, headers=headers)
    api.post("/v1/devices/deactivate", {"token": FCM})
    again = api.post("/v1/messages", PUSH, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    other = api.post("/v1/messages", PUSH | {"subject": "x"}, headers=headers)
    assert (other.status_code, other.json["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize("address", ["topic:news", "condition:'a' in topics && 'b' in topics"])
def test_a_push_may_go_to_a_topic_of_fcm(api, address):
    answer = api.post("/v1/messages", PUSH | {"recipient_address": address})
    assert (answer.status_code, answer.json["gateway"]) == (202, "fcm")


# Topics


def test_a_topic_is_made_once_and_listed(api):
    made = api.post("/v1/topics", {"name": "news", "description": "All of it"})
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/topics/news")
    assert api.post("/v1/topics", {"name": "news"}).status_code == 409
    assert [topic["name"] for topic in api.get("/v1/topics").json["items"]] == ["news"]
    assert api.get("/v1/topics/other").status_code == 404


def test_each_token_is_told_what_became_of_it(api):
    api.post("/v1/topics", {"name": "news"})
    api.post("/v1/devices", DEVICE | {"token": APNS, "platform": "apns"})
    api.post("/v1/devices", DEVICE)
    told = api.post("/v1/topics/news/subscribe", {"tokens": [APNS, token(9), FCM]})
    # Without an account at FCM nobody can be told, and who joined waits.
    assert [result["state"] for result in told.json["results"]] == ["subscribed", "unknown", "waiting"]
    assert told.json["counts"] == {"subscribed": 1, "unknown": 1, "waiting": 1}
    assert api.get("/v1/topics/news").json["members"] == 2
    left = api.post("/v1/topics/news/unsubscribe", {"tokens": [APNS]})
    assert left.json["counts"] == {"unsubscribed": 1}
    assert [member["token"] for member in api.get("/v1/topics/news/members").json["items"]] == [FCM]


def test_a_topic_is_sent_to_as_one_batch_a_platform(api, app):
    api.post("/v1/topics", {"name": "news"})
    for number in range(3):
        api.post("/v1/devices", DEVICE | {"token": token(number)})
    api.post("/v1/devices", DEVICE | {"token": APNS, "platform": "apns"})
    api.post("/v1/topics/news/subscribe", {"tokens": [APNS, *(token(number) for number in range(3))]})
    words = {"channel": "push", "priority": "P3", "message_type": "campaign", "body_text": "Hello"}
    headers = {"Idempotency-Key": "k" * 255}
    answer = api.post("/v1/topics/news/messages", words, headers=headers)
    assert answer.status_code == 202
    assert [(item["platform"], item["received"]) for item in answer.json["items"]] == [
        ("apns", 1),
        ("fcm", 3),
    ]
    again = api.post("/v1/topics/news/messages", words, headers=headers)
    assert [item["batch"] for item in again.json["items"]] == [item["batch"] for item in answer.json["items"]]


def test_a_topic_that_nobody_follows_cannot_be_sent_to(api):
    api.post("/v1/topics", {"name": "news"})
    words = {"channel": "push", "priority": "P3", "message_type": "campaign", "body_text": "Hello"}
    assert api.post("/v1/topics/news/messages", words).status_code == 422
    assert api.post("/v1/topics/other/messages", words).status_code == 404


# What people send us


def test_what_people_sent_is_listed_for_whom_it_answers(api, app):
    rows = [
        {"body": "to nobody", "client_id": None},
        {"body": "to us", "client_id": 1},
        {"body": "to others", "client_id": 2},
    ]
    shared = {
        "channel": "sms",
        "gateway": "twilio",
        "sender_address": "+15558675310",
        "recipient_address": "+15017122661",
    }
    with app.engine.begin() as conn:
        own, other = conn.execute(sa.text("SELECT id FROM api_clients ORDER BY name DESC")).scalars()
        owners = {1: own, 2: other}
        conn.execute(
            sa.insert(inbound_messages),
            [shared | row | {"client_id": owners.get(row["client_id"])} for row in rows],
        )
    assert [item["text"] for item in api.get("/v1/inbound").json["items"]][::-1] == [
        "to nobody",
        "to us",
        "to others",
    ]
    mine = api.as_key("reader").get("/v1/inbound?sender=%2B15558675310").json["items"]
    assert [item["text"] for item in mine] == ["to us", "to nobody"]


# Dry runs


def test_apple_has_no_dry_run(api):
    answer = api.post("/v1/devices/validate", {"token": APNS, "platform": "apns"})
    assert (answer.status_code, fields(answer)) == (422, {"platform"})


def test_without_fcm_nothing_can_be_validated(api):
    answer = api.post("/v1/devices/validate", {"token": FCM, "platform": "fcm"})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/no-gateway")
