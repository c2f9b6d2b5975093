"""Emergency procedures over HTTP: who may, what is answered, what is refused."""

import pytest
import sqlalchemy as sa

WHY = {"why": "the wrong price went out"}


def do(api, procedure, **fields):
    return api.post(f"/v1/emergency/{procedure}", WHY | fields)


def send(api, make):
    answer = api.post("/v1/messages", make())
    assert answer.status_code == 202
    return answer.json["uuid"]


@pytest.fixture
def message():
    """The body of a message that is accepted."""
    return lambda: {
        "channel": "email",
        "priority": "P4",
        "message_type": "transactional",
        "recipient_address": "reader@example.com",
        "subject": "Your code",
        "body_text": "It is 123456.",
    }


def test_everything_is_stopped_shown_and_resumed(api, message):
    stopped = do(api, "stop_all_sending")
    assert stopped.status_code == 201
    assert (stopped.json["scope"], stopped.json["state"], stopped.json["share"]) == ("all", "in_force", 0.0)
    send(api, message)
    state = api.get("/v1/emergency").json
    assert state["sending"] is False
    [stop] = state["stops"]
    assert (stop["id"], stop["why"], stop["waiting"], stop["at_least"]) == (
        stopped.json["id"], WHY["why"], 1, False,
    )  # fmt: skip
    lifted = do(api, "resume", stops=[stop["id"]], over_seconds=600)
    assert lifted.status_code == 200
    assert [(each["state"], each["share"]) for each in lifted.json["items"]] == [("resuming", 0.1)]
    assert api.get("/v1/emergency").json["sending"] is True


def test_accepting_goes_on_and_the_process_stays_ready_while_everything_is_stopped(api, message):
    do(api, "stop_all_sending", including_p0=True)
    send(api, message)
    assert api.as_key(None).get("/readyz").status_code == 200


def test_a_stop_of_one_thing_ends_by_naming_it(api):
    assert do(api, "stop", scope="channel", key="email", until="2035-01-01T00:00:00Z").status_code == 201
    assert do(api, "resume", scope="channel", key="sms").status_code == 404
    assert do(api, "resume", scope="channel", key="email").status_code == 200


def test_the_queue_is_counted_cleared_and_put_back(api, message):
    uuid = send(api, message)
    preview = do(api, "clear_queue", channel="email")
    assert (preview.status_code, preview.json["count"], preview.json["state"]) == (200, 1, "previewed")
    assert api.get(f"/v1/messages/{uuid}").json["status"] == "pending"
    done = do(api, "clear_queue", clearing=preview.json["id"])
    assert (done.status_code, done.json["cancelled"]) == (202, 1)
    assert api.get(f"/v1/messages/{uuid}").json["status"] == "cancelled"
    undone = do(api, "undo_clear", clearing=preview.json["id"])
    assert (undone.status_code, undone.json["restored"], undone.json["state"]) == (202, 1, "undone")
    assert api.get(f"/v1/messages/{uuid}").json["status"] == "pending"
    assert do(api, "undo_clear", clearing=preview.json["id"]).status_code == 409


def test_a_clearing_goes_by_no_other_filter_than_its_preview(api):
    preview = do(api, "clear_queue").json["id"]
    answer = do(api, "clear_queue", clearing=preview, channel="email")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "clearing")


@pytest.mark.parametrize("fields", [{}, {"everything": True, "stops": [1]}, {"scope": "all", "stops": [1]}])
def test_resuming_must_name_what_in_one_way(api, fields):
    answer = do(api, "resume", **fields)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "stops")


def test_a_reason_is_required_everywhere(api):
    for procedure, fields in {
        "stop_all_sending": {},
        "stop": {"scope": "all"},
        "resume": {"everything": True},
        "clear_queue": {},
        "undo_clear": {"clearing": 1},
        "switch_provider": {"channel": "email", "gateway": "postal"},
        "reset_rate_limits": {},
        "trip_breaker": {"channel": "email", "gateway": "postal"},
        "reset_breaker": {"channel": "email", "gateway": "postal"},
    }.items():
        answer = api.post(f"/v1/emergency/{procedure}", fields)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "why"), procedure


def test_without_the_scope_nobody_stops_anything(api, app):
    reader = api.as_key("reader")
    for answer in (do(reader, "stop_all_sending"), reader.get("/v1/emergency")):
        assert (answer.status_code, "emergency:use" in answer.json["detail"]) == (403, True)
    assert api.get("/v1/emergency").json["stops"] == []


def test_another_gateway_comes_first(api, app):
    names = [route.gateway for route in app.catalog.routes() if route.channel == "email"]
    answer = do(api, "switch_provider", channel="email", gateway=names[-1])
    assert (answer.status_code, answer.json["gateway"], answer.json["tier"]) == (200, names[-1], 1)
    assert do(api, "switch_provider", channel="email", gateway="nobody").status_code == 404


def test_a_breaker_is_tripped_and_reset(api, app):
    name = next(route.gateway for route in app.catalog.routes() if route.channel == "email")
    where = {"channel": "email", "gateway": name}
    assert do(api, "trip_breaker", **where).json["breaker"] == "open"
    assert do(api, "reset_breaker", **where).json["breaker"] == "closed"


def test_counts_of_limits_are_forgotten(api, app):
    key = f"{app.settings.rate_prefix}{{limits}}:hour:domain:example.com"
    app.redis.hset(key, mapping={"sum": 5, "newest": 1})
    assert do(api, "reset_rate_limits").json == {"windows": 1}
    assert not app.redis.exists(key)


def test_the_history_has_every_use_newest_first(api):
    do(api, "stop_all_sending")
    do(api, "resume", everything=True)
    do(api, "reset_rate_limits")
    page = api.get("/v1/emergency/history", query_string={"limit": 1}).json
    assert [use["procedure"] for use in page["items"]] == ["reset_rate_limits"]
    rest = api.get("/v1/emergency/history", query_string={"cursor": page["next"]}).json
    assert [(use["procedure"], use["state"]) for use in rest["items"]] == [("stop", "ended")]


def test_each_use_is_counted(api):
    def uses():
        text = api.as_key(None).get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("tocsin_emergency_controls_total")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'procedure="stop"' in line)

    before = uses()
    do(api, "stop_all_sending")
    assert uses() == before + 1


def test_the_audit_log_names_key_and_address(api, app):
    do(api, "stop_all_sending")
    with app.engine.connect() as conn:
        row = conn.execute(
            sa.text("SELECT actor, origin, action, why FROM audit_log ORDER BY id DESC")
        ).first()
    assert tuple(row)[1:] == ("127.0.0.1", "emergency.stop", WHY["why"])
