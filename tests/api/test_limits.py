"""Rate limits over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, delivery_events, message_queue
from app.domain.vocabulary import Priority
from app.limits.tokens import Ask, Limit
from app.services.limit_counts import recount


def put(api, path, **body):
    return api.put(f"/v1/rate-limits/{path}", body)


def patch(api, path, **body):
    return api.call("PATCH", f"/v1/rate-limits/{path}", json=body)


def use(app, key, count, **figures):
    recount(app.tools)
    limit = Limit(key=key, **figures)
    app.tokens.take([Ask(limits=(limit,), count=count)], Priority.P0)


def window(view, name="hour"):
    return next(use for use in view["usage"] if use["window"] == name)


def test_a_new_installation_has_its_limits(api):
    items = api.get("/v1/rate-limits").json["items"]
    assert {(item["limit_type"], item["limit_key"]): item["max_per_hour"] for item in items} == {
        ("domain", "gmail.com"): 10_000,
        ("domain", "yahoo.com"): 5_000,
        ("domain", "hotmail.com"): 5_000,
        ("domain", "outlook.com"): 5_000,
        ("domain", "aol.com"): 3_000,
        ("recipient", "default"): None,
    }
    assert [item["max_per_minute"] for item in items if item["limit_type"] == "recipient"] == [10]


def test_the_list_tells_what_is_used_and_by_how_much(api, app):
    use(app, "domain:gmail.com", 2_500, per_hour=10_000)
    view = api.get("/v1/rate-limits/domain/gmail.com").json
    assert window(view) == {"window": "hour", "used": 2_500, "most": 10_000, "share": 0.25}
    assert view["factor"] == 1


def test_only_one_type_can_be_listed(api):
    items = api.get("/v1/rate-limits?limit_type=recipient").json["items"]
    assert [item["limit_key"] for item in items] == ["default"]


def test_a_limit_is_made_once_and_then_replaced(api):
    made = put(api, "gateway/postal", max_per_second=50)
    again = put(api, "gateway/postal", max_per_minute=100)
    assert (made.status_code, again.status_code) == (201, 200)
    assert (again.json["max_per_second"], again.json["max_per_minute"]) == (None, 100)


def test_a_change_leaves_what_it_does_not_name(api):
    put(api, "gateway/postal", max_per_second=50, max_per_hour=100, notes="agreed")
    view = patch(api, "gateway/postal", max_per_second=None, max_per_day=500).json
    figures = [view[f"max_per_{name}"] for name in ("second", "minute", "hour", "day")]
    assert (figures, view["notes"]) == ([None, None, 100, 500], "agreed")


def test_a_removed_limit_is_gone_with_its_counts(api, app):
    use(app, "domain:aol.com", 10, per_hour=3_000)
    assert api.delete("/v1/rate-limits/domain/aol.com").status_code == 204
    assert api.get("/v1/rate-limits/domain/aol.com").status_code == 404
    assert window(put(api, "domain/aol.com", max_per_hour=5).json)["used"] == 0


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("domain/no_domain", {"max_per_hour": 1}, "limit_key"),
        ("isp/somebody", {"max_per_hour": 1}, "limit_key"),
        ("gateway/postal", {}, "max_per_hour"),
        ("gateway/postal", {"max_per_hour": 0}, "max_per_hour"),
        ("gateway/postal", {"max_per_week": 1}, "max_per_week"),
        (
            "gateway/postal",
            {"max_per_day": 9, "warmup": {"first": 1, "started_at": "2026-01-01T00:00:00Z"}},
            "warmup",
        ),
        (
            "ip_pool/new",
            {"max_per_hour": 9, "warmup": {"first": 1, "started_at": "2026-01-01T00:00:00Z"}},
            "max_per_day",
        ),
        (
            "ip_pool/new",
            {"max_per_day": 9, "warmup": {"first": 10, "started_at": "2026-01-01T00:00:00Z"}},
            "warmup.first",
        ),
    ],
)
def test_what_cannot_be_a_limit_is_refused_by_field(api, path, body, field):
    answer = put(api, path, **body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("domain/EXAMPLE.com", "example.com"),
        ("recipient/Jo.Reader@Example.com", "jo.reader@example.com"),
        ("recipient/+15551234567", "+15551234567"),
    ],
)
def test_what_is_limited_is_kept_as_it_is_compared(api, written, kept):
    assert put(api, written, max_per_hour=5).json["limit_key"] == kept


def test_a_warm_up_tells_where_it_is(api):
    began = datetime.now(UTC) - timedelta(days=3, hours=1)
    view = put(
        api,
        "ip_pool/new",
        max_per_day=1_000,
        warmup={"first": 50, "growth": "double", "started_at": began.isoformat()},
    ).json
    assert [view["warmup"][name] for name in ("day", "per_day_now", "ends_on_day")] == [4, 400, 6]
    assert window(view, "day")["most"] == 400


def test_a_new_window_counts_what_was_sent_in_the_last_hour(api, app):
    with app.engine.begin() as conn:
        row = {
            "priority": "P3",
            "message_type": "campaign",
            "client_id": 1,
            "channel": "email",
            "recipient_address": "reader@slow.example",
            "expires_at": sa.func.now() + timedelta(hours=1),
            "scheduled_for": sa.func.now(),
            "max_attempts": 3,
        }
        message = conn.scalar(sa.insert(message_queue).values(row).returning(message_queue.c.id))
        event = {"message_id": message, "priority": "P3", "event_type": "sent", "gateway": "postal"}
        told = {**event, "event_type": "delivered", "source": "postal"}
        conn.execute(sa.insert(delivery_events), [{**event, "source": "worker"}, told])
    assert window(put(api, "domain/slow.example", max_per_hour=5).json)["used"] == 1


def test_counts_are_forgotten_one_by_one_or_all(api, app):
    for domain in ("gmail.com", "yahoo.com", "aol.com"):
        use(app, f"domain:{domain}", 10, per_hour=3_000)
    api.post("/v1/rate-limits/domain/gmail.com/reset", {"why": "new addresses"})
    used = [window(item)["used"] for item in api.get("/v1/rate-limits?limit_type=domain").json["items"]]
    assert sorted(used) == [0, 0, 0, 10, 10]
    assert api.post("/v1/rate-limits/reset", {}).json["limits"] == 6
    used = [window(item)["used"] for item in api.get("/v1/rate-limits?limit_type=domain").json["items"]]
    assert sum(used) == 0


def test_a_lowered_pace_is_seen_and_can_be_forgotten(api, app):
    use(app, "flow:postal", 100, per_minute=1, counted=True)
    app.paces.lower("postal", "google", share=0.5, why="421 4.7.28: slow down", times=10)
    (pace,) = api.get("/v1/rate-limits/paces").json["items"]
    assert (pace["gateway"], pace["part"], pace["why"]) == ("postal", "google", "421 4.7.28: slow down")
    assert pace["factor"] == pytest.approx(0.5, abs=0.02)
    assert put(api, "isp/google", max_per_hour=9).json["factor"] == pytest.approx(0.5, abs=0.02)
    query = "gateway=postal&part=google"
    assert api.delete(f"/v1/rate-limits/paces?{query}").status_code == 204
    assert api.get("/v1/rate-limits/paces").json["items"] == []
    assert api.delete(f"/v1/rate-limits/paces?{query}").status_code == 404


def test_writing_limits_needs_the_scope(api):
    reader = api.as_key("reader")
    assert put(reader, "gateway/postal", max_per_hour=1).status_code == 403
    assert reader.get("/v1/rate-limits").status_code == 403
    assert reader.post("/v1/rate-limits/reset", {}).status_code == 403


def test_who_changed_a_limit_and_why_is_in_the_audit_log(api, app):
    put(api, "domain/gmail.com", max_per_hour=500, why="they complained")
    with app.engine.connect() as conn:
        (line,) = conn.execute(sa.select(audit_log).where(audit_log.c.action == "limit.set")).all()
    assert (line.actor, line.target, line.why) == (
        "own/everything",
        "limit:domain/gmail.com",
        "they complained",
    )
    assert (line.before["max_per_hour"], line.after["max_per_hour"]) == (10_000, 500)


def test_what_happened_to_limits_is_listed(api, app):
    put(api, "gateway/postal", max_per_minute=10)
    app.catalog.forget()
    use(app, "gateway:postal", 50, per_minute=10)
    (event,) = api.get("/v1/rate-limits/events").json["items"]
    assert (event["kind"], event["limit_type"], event["limit_key"]) == ("exceeded", "gateway", "postal")
