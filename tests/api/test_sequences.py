"""Sequences over HTTP."""

from uuid import UUID

import pytest
import sqlalchemy as sa

from app.services.upkeep.advancing import advance_sequences

STEP = {"channel": "email", "after_seconds": 60, "recipient_address": "deputy@example.com"}


@pytest.fixture
def alert(message):
    return message | {"priority": "P1", "message_type": "alert", "sequence": [STEP]}


def test_the_answer_names_the_sequence_and_its_first_message(api, alert):
    answer = api.post("/v1/messages", alert)
    assert answer.status_code == 202
    path = answer.json["links"]["sequence"]
    assert path == f"/v1/sequences/{UUID(answer.json['sequence'])}"
    sequence = api.get(path).json
    assert sequence["state"] == "running"
    first, second = sequence["steps"]
    assert first["messages"] == [{"uuid": answer.json["uuid"], "status": "pending"}]
    assert (second["state"], second["after_seconds"], second["until"]) == ("waiting", 60, "delivered")


def test_a_message_without_a_sequence_names_none(api, message):
    answer = api.post("/v1/messages", message).json
    assert "sequence" not in answer
    assert "sequence" not in answer["links"]


def test_a_repeated_request_begins_no_second_sequence(api, alert):
    key = {"Idempotency-Key": "alert-1"}
    first, again = (api.post("/v1/messages", alert, headers=key) for _ in range(2))
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"


def test_what_is_due_follows(api, app, alert):
    path = api.post("/v1/messages", alert).json["links"]["sequence"]
    with app.engine.begin() as conn:
        conn.execute(sa.text("UPDATE sequence_steps SET due_at = now() WHERE state = 'waiting'"))
    assert advance_sequences(app.tools, app.settings) == 1
    sequence = api.get(path).json
    assert sequence["state"] == "finished"
    (sent,) = sequence["steps"][1]["messages"]
    assert api.get(f"/v1/messages/{sent['uuid']}").json["recipient_address"] == "deputy@example.com"


def test_deleting_a_sequence_stops_it(api, alert):
    path = api.post("/v1/messages", alert).json["links"]["sequence"]
    stopped = api.delete(path)
    assert (stopped.status_code, stopped.json["state"]) == (200, "cancelled")
    assert [step["state"] for step in stopped.json["steps"]] == ["sent", "cancelled"]
    assert api.delete(path).status_code == 409


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"after_seconds": 0}, "sequence.0.after_seconds"),
        ({"until": "opened"}, "sequence.0.until"),
        ({"channel": "fax"}, "sequence.0.channel"),
        ({"recipient_address": "nobody"}, "sequence.0.recipient_address"),
        ({"sms": {"smart_encoding": True}}, "sequence.0.sms"),
        ({"message_type": "emergency"}, "sequence.0.message_type"),
    ],
)
def test_a_step_that_cannot_be_is_refused_by_field(api, alert, wrong, field):
    answer = api.post("/v1/messages", alert | {"sequence": [STEP | wrong]})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


def test_a_channel_without_a_gateway_is_refused_for_a_step_too(api, alert):
    step = STEP | {"channel": "sms", "recipient_address": "+41791234567"}
    answer = api.post("/v1/messages", alert | {"sequence": [step]})
    assert answer.status_code == 422
    assert "sms" in answer.json["detail"]


def test_another_clients_sequence_is_not_there(api, alert):
    path = api.post("/v1/messages", alert).json["links"]["sequence"]
    assert api.as_key("sender").get(path).status_code == 404
