"""Single messages over HTTP."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import api_clients, idempotency_keys, message_queue, suppression_list


def fields(response):
    return {fault["field"] for fault in response.json["errors"]}


def test_a_message_is_accepted_with_202_and_can_be_looked_up_where_location_says(api, message):
    accepted = api.post("/v1/messages", message)
    assert accepted.status_code == 202
    assert accepted.json["status"] == "pending"
    assert accepted.json["priority"] == "P4"
    assert accepted.json["gateway"] == "postal"
    assert accepted.headers["Location"] == accepted.json["links"]["self"]

    found = api.get(accepted.headers["Location"])
    assert found.status_code == 200
    assert found.json["uuid"] == accepted.json["uuid"]
    assert [event["event_type"] for event in found.json["events"]] == ["queued"]


def test_a_suppressed_address_is_answered_with_200_and_the_reason(api, app, message):
    with app.engine.begin() as conn:
        conn.execute(
            sa.insert(suppression_list).values(
                channel="email", address="reader@example.com", reason="bounce_hard", source="test"
            )
        )
    answer = api.post("/v1/messages", message)
    assert answer.status_code == 200
    assert answer.json["status"] == "suppressed"
    assert answer.json["reason"] == "bounce_hard"


def test_the_same_key_and_body_get_the_first_answer_again_and_say_so(api, message):
    first = api.post("/v1/messages", message, headers={"Idempotency-Key": "order-1"})
    again = api.post("/v1/messages", message, headers={"Idempotency-Key": "order-1"})
    assert again.status_code == 202
    assert again.json == first.json
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_the_same_key_with_another_body_is_422(api, message):
    api.post("/v1/messages", message, headers={"Idempotency-Key": "order-1"})
    other = api.post("/v1/messages", message | {"subject": "Other"}, headers={"Idempotency-Key": "order-1"})
    assert other.status_code == 422
    assert other.json["type"] == "/problems/idempotency-key-reused"


def test_a_key_whose_first_request_still_runs_is_409_at_once(api, app, message):
    headers = {"Idempotency-Key": "order-1"}
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(api.post("/v1/messages", message, headers=headers))
    )
    with app.engine.connect() as blocker:
        # The first request waits for this row, and everything about it is still open.
        blocker.execute(sa.insert(idempotency_keys).values(same_key(app, "order-1")))
        first.start()
        wait_until_somebody_waits_for_a_lock(app)
        second = api.post("/v1/messages", message, headers=headers)
        blocker.rollback()
    first.join()
    assert second.status_code == 409
    assert second.json["type"] == "/problems/request-in-flight"
    assert second.headers["Retry-After"] == "1"
    assert answers[0].status_code == 202


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "tab\tbed"])
def test_a_key_that_cannot_be_one_is_refused_not_ignored(api, message, key):
    answer = api.post("/v1/messages", message, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert fields(answer) == {"Idempotency-Key"}


def test_all_faults_of_a_body_are_told_at_once_by_field(api):
    answer = api.post(
        "/v1/messages",
        {
            "channel": "pigeon",
            "priority": "P9",
            "recipient_adress": "reader@example.com",
            "source_id": "7",
            "scheduled_for": "tomorrow",
            "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "***"}],
        },
    )
    assert answer.status_code == 422
    assert fields(answer) == {
        "channel",
        "priority",
        "message_type",
        "recipient_adress",
        "source_id",
        "scheduled_for",
        "attachments.0.content",
    }


def test_an_unknown_field_is_told_with_the_nearest_known_one(api, message):
    answer = api.post("/v1/messages", message | {"bodytext": "x"})
    (fault,) = answer.json["errors"]
    assert fault["field"] == "bodytext"
    assert "body_text" in fault["message"]


def test_a_fault_deep_inside_names_its_path_and_the_nearest_field_there(api, message):
    attachment = {"filename": "a.txt", "content_type": "text/plain", "content": "YQ==", "contentid": "x"}
    answer = api.post("/v1/messages", message | {"attachments": [attachment]})
    (fault,) = answer.json["errors"]
    assert fault["field"] == "attachments.0.contentid"
    assert "content_id" in fault["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"recipient_address": "secret.person@@example.com"},
        {"channel": "secret.person"},
        {"source_id": "secret.person"},
        {"template": "secret.person with blanks"},
        {"scheduled_for": "secret.person"},
        {"sender": "secret.person"},
        {"headers": {"X-Evil": "secret.person"}},
    ],
)
def test_no_value_that_was_sent_comes_back_in_a_fault(api, message, change):
    answer = api.post("/v1/messages", message | change)
    assert answer.status_code == 422
    assert "secret.person" not in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Hello\r\nBcc: all@example.com"},
        {"recipient_address": "reader@example.com\r\nBcc: all@example.com"},
        {"recipient_address": "Reader <reader@example.com>, all@example.com"},
        {"reply_to": "a@example.com\nX: y"},
        {"headers": {"In-Reply-To": "<a@b>\r\nBcc: all@example.com"}},
        {"headers": {"Bcc": "all@example.com"}},
    ],
)
def test_headers_cannot_be_injected(api, app, message, change):
    answer = api.post("/v1/messages", message | change)
    assert answer.status_code == 422
    assert count(app) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"channel": "email",}', 400),
        (b"\xff\xfe", 400),
        (b'{"data": {"x": NaN}}', 400),
        (b'{"data": {"x": 1e999}}', 400),
        (b'{"data": {"x": "\\ud800"}}', 400),
        (b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
    ],
)
def test_what_is_no_json_or_no_object_gets_a_clear_4xx(api, body, status):
    answer = api.call("POST", "/v1/messages", data=body, content_type="application/json")
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_nul_characters_are_refused_by_field(api, message):
    answer = api.post("/v1/messages", message | {"subject": "a\0b", "metadata": {"x": ["\0"]}})
    assert answer.status_code == 422
    assert fields(answer) == {"subject", "metadata.x.0"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"template": "no-such-template", "subject": None, "body_text": None}, "template"),
        ({"gateway": "pigeon"}, "gateway"),
        ({"sender": "nobody"}, "sender"),
        ({"scheduled_for": "2027-01-31T09:00:00"}, "scheduled_for"),
        ({"source_id": 2**63}, "source_id"),
        ({"source_id": 1.5}, "source_id"),
        ({"priority": 4}, "priority"),
        ({"data": []}, "data"),
    ],
)
def test_what_cannot_be_is_422_with_its_field(api, message, change, field):
    answer = api.post("/v1/messages", message | change)
    assert answer.status_code == 422
    assert field in fields(answer)


def test_another_media_type_is_415(api):
    answer = api.call("POST", "/v1/messages", data=b"a=b", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert answer.json["type"] == "/problems/unsupported-media-type"


def test_an_encoded_body_is_415_where_none_is_taken(api, message):
    answer = api.post("/v1/messages", message, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_a_body_of_20_mb_is_413(api):
    answer = api.call("POST", "/v1/messages", data=b" " * 20_000_000, content_type="application/json")
    assert answer.status_code == 413
    assert answer.json["type"] == "/problems/body-too-large"


def test_p0_needs_its_scope(api, message):
    emergency = message | {"priority": "P0", "message_type": "emergency"}
    answer = api.as_key("sender").post("/v1/messages", emergency)
    assert answer.status_code == 403
    assert "messages:p0" in answer.json["detail"]
    assert api.post("/v1/messages", emergency).status_code == 202


def test_another_priority_than_the_types_needs_its_scope(api, message):
    answer = api.as_key("sender").post("/v1/messages", message | {"priority": "P1"})
    assert answer.status_code == 403
    assert "messages:priority" in answer.json["detail"]


def test_a_channel_without_a_gateway_is_422(api, message):
    answer = api.post("/v1/messages", message | {"channel": "sms", "recipient_address": "+41791234567"})
    assert answer.status_code == 422
    assert answer.json["type"] in ("/problems/no-gateway", "/problems/invalid-request")


def test_a_pending_message_is_cancelled_once(api, message):
    path = api.post("/v1/messages", message).headers["Location"]
    assert api.delete(path).json["status"] == "cancelled"
    again = api.delete(path)
    assert again.status_code == 409
    assert "cancelled" in again.json["detail"]


def test_messages_of_another_client_are_not_there(api, message):
    path = api.post("/v1/messages", message).headers["Location"]
    other = api.as_key("sender")
    assert other.get(path).status_code == 404
    assert other.delete(path).status_code == 404
    assert other.get("/v1/messages").json["items"] == []


def test_search_goes_page_by_page_from_the_newest(api, message):
    sent = [
        api.post("/v1/messages", message | {"source_type": "orders", "source_id": 7}).json["uuid"]
        for _ in range(3)
    ]
    first = api.get("/v1/messages?source_type=orders&source_id=7&limit=2").json
    second = api.get(f"/v1/messages?source_type=orders&source_id=7&limit=2&cursor={first['next']}").json
    assert [item["uuid"] for item in first["items"] + second["items"]] == sent[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "status=lost",
        "unknown=1",
        "cursor=%00",
        "limit=1&limit=2",
        "batch=7",
        "cursor=zzz",
    ],
)
def test_a_query_that_cannot_be_is_422(api, query):
    assert api.get(f"/v1/messages?{query}").status_code == 422


def test_a_reported_event_counts_once_a_key(api, message):
    path = api.post("/v1/messages", message).headers["Location"]
    body = {"event_type": "converted", "data": {"value": 12}}
    first = api.post(f"{path}/events", body, headers={"Idempotency-Key": "sale-1"})
    again = api.post(f"{path}/events", body, headers={"Idempotency-Key": "sale-1"})
    assert first.status_code == again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    events = api.get(f"{path}/events").json["items"]
    assert [event["event_type"] for event in events] == ["queued", "converted"]


def test_a_key_stands_for_the_path_too(api, message):
    paths = [api.post("/v1/messages", message).headers["Location"] for _ in range(2)]
    headers = {"Idempotency-Key": "sale-1"}
    first, second = (
        api.post(f"{path}/events", {"event_type": "converted"}, headers=headers) for path in paths
    )
    assert first.status_code == 201
    assert second.status_code == 422
    assert second.json["type"] == "/problems/idempotency-key-reused"


def test_a_media_type_may_have_parameters(api, message):
    answer = api.call(
        "POST", "/v1/messages", data=json.dumps(message), content_type="application/json; charset=utf-8"
    )
    assert answer.status_code == 202


def test_only_what_callers_can_know_may_be_reported(api, message):
    path = api.post("/v1/messages", message).headers["Location"]
    assert api.post(f"{path}/events", {"event_type": "delivered"}).status_code == 422


def same_key(app, key):
    with app.engine.connect() as conn:
        client = conn.execute(sa.select(api_clients.c.id).where(api_clients.c.name == "own")).scalar_one()
    return {
        "client_id": client,
        "key": key,
        "request_hash": b"",
        "state": "in_flight",
        "expires_at": datetime.now(UTC) + timedelta(hours=1),
    }


def wait_until_somebody_waits_for_a_lock(app):
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with app.engine.connect() as conn:
            if conn.execute(waiting).scalar_one():
                return
    raise AssertionError("nobody waits")


def count(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(sa.func.count()).select_from(message_queue)).scalar_one()
