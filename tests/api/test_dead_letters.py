"""Dead letters over HTTP."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import message_queue

WHY = {"why": "the account is paid again"}


@pytest.fixture
def put(api, app, message):
    """Send a message and let it come to rest in a state; gives its uuid."""

    def put(status, sender=api, **columns):
        uuid = sender.post("/v1/messages", message).json["uuid"]
        values = {"status": status, "gateway": "postal", **columns}
        with app.engine.begin() as conn:
            conn.execute(sa.update(message_queue).where(message_queue.c.uuid == uuid).values(values))
        return uuid

    return put


def listed(api, query=""):
    answer = api.get(f"/v1/dead-letters{query}")
    assert answer.status_code == 200, answer.json
    return [letter["uuid"] for letter in answer.json["items"]]


def test_dead_letters_are_listed_and_counted_by_reason(api, put):
    failed = put("failed", last_error="550: no such user", last_error_class="recipient")
    held = put("held", last_error_class="unknown")
    put("pending")
    assert listed(api) == [held, failed]
    assert listed(api, "?status=held") == [held]
    assert listed(api, "?error_class=recipient&code=550&gateway=postal") == [failed]
    reasons = api.get("/v1/dead-letters/reasons?status=failed").json
    assert reasons["complete"] is True
    [reason] = reasons["items"]
    assert (reason["error_class"], reason["code"], reason["count"]) == ("recipient", "550", 1)


def test_what_was_cancelled_is_listed_when_it_is_asked_for(api, put):
    cancelled = put("cancelled")
    assert listed(api) == []
    assert listed(api, "?status=cancelled") == [cancelled]


def test_a_replay_is_previewed_begun_looked_at_and_listed(api, put):
    uuid = put("failed")
    wanted = {"messages": {"error_class": ""}, **WHY}
    preview = api.post("/v1/dead-letters/replay", {**wanted, "dry_run": True})
    assert (preview.status_code, preview.json) == (200, {"count": 1, "complete": True})
    assert listed(api) == [uuid]
    begun = api.post("/v1/dead-letters/replay", wanted)
    assert (begun.status_code, begun.json["replayed"], begun.json["state"]) == (202, 1, "finished")
    path = f"/v1/dead-letters/replays/{begun.json['uuid']}"
    assert api.get(path).json["replayed"] == 1
    assert [each["uuid"] for each in api.get("/v1/dead-letters/replays").json["items"]] == [
        begun.json["uuid"]
    ]
    assert api.delete(f"{path}?why=enough").status_code == 409
    message = api.get(f"/v1/messages/{uuid}").json
    assert (message["status"], message["events"][-1]["event_type"]) == ("pending", "replayed")


def test_a_replay_under_the_callers_own_id_is_begun_once(api, put):
    put("failed")
    wanted = {"messages": {}, "replay_id": str(uuid4()), **WHY}
    assert api.post("/v1/dead-letters/replay", wanted).json["is_new"] is True
    again = api.post("/v1/dead-letters/replay", wanted)
    assert (again.status_code, again.json["is_new"], again.json["replayed"]) == (202, False, 1)
    other = api.post("/v1/dead-letters/replay", {**wanted, "messages": {"priority": "P0"}})
    assert other.status_code == 422


def test_one_message_is_replayed_once(api, put):
    uuid = put("failed")
    path = f"/v1/messages/{uuid}/replay"
    assert api.post(path, WHY).json["status"] == "pending"
    assert api.post(path, WHY).status_code == 409
    assert api.post(f"/v1/messages/{uuid4()}/replay", WHY).status_code == 404
    assert api.post(path, {"why": ""}).status_code == 422
    assert api.post(path, {**WHY, "through": "nobody"}).status_code == 422


@pytest.mark.parametrize(
    ("decision", "status"),
    [("sent", "sent"), ("resend", "pending"), ("give_up", "failed"), ("cancel", "cancelled")],
)
def test_a_held_message_is_decided_about_once(api, put, decision, status):
    path = f"/v1/messages/{put('held')}/decision"
    assert api.post(path, {"decision": decision, **WHY}).json["status"] == status
    again = api.post(path, {"decision": decision, **WHY})
    assert (again.status_code, status in again.json["detail"]) == (409, True)


def test_held_messages_are_decided_about_by_selection(api, put):
    chosen, other = put("held"), put("held")
    wanted = {"messages": {"uuids": [chosen]}, "decision": "sent", **WHY}
    assert api.post("/v1/dead-letters/decide", {**wanted, "dry_run": True}).json["count"] == 1
    assert api.post("/v1/dead-letters/decide", wanted).json == {"decision": "sent", "count": 1}
    assert listed(api) == [other]


def test_a_client_without_admin_sees_and_changes_its_own(api, put, app, keys):
    own, others = put("failed", sender=api.as_key("sender")), put("failed")
    sender = api.as_key("sender")
    assert listed(sender) == [own]
    assert sender.post("/v1/dead-letters/replay", {"messages": {}, **WHY}).status_code == 403
    assert sender.post(f"/v1/messages/{own}/replay", WHY).status_code == 403
    assert listed(api) == [others, own]


def test_a_person_is_given_out_and_erased_by_an_admin_alone(api, put):
    put("sent", sent_at=sa.func.now())
    path = "/v1/recipients/Reader@example.com"
    assert api.as_key("reader").get(path).status_code == 403
    export = api.get(path)
    assert (export.status_code, export.mimetype) == (200, "application/x-ndjson")
    assert b"It is 123456." in export.data
    assert api.delete(path).status_code == 422
    erased = api.delete(f"{path}?why=asked").json
    assert (erased["messages"], erased["in_flight"]) == (1, 0)
    assert api.get(path).status_code == 404
    assert api.get("/v1/recipients/%00").status_code == 404
