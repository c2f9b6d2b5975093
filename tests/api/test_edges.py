"""What holds for every answer: problems, ids, headers, health, documents."""

import gzip
import json
import re
from html import unescape

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from app.api.application import create_app
from app.api.operations import Share
from app.api.problems import KINDS
from app.api.shares import limits, threads
from app.bootstrap import App
from app.db.engine import make_engine


@pytest.fixture
def without_database(settings):
    url = "postgresql://nobody@127.0.0.1:9/none"
    engine = make_engine(url, pool=1, name="test")
    yield create_app(App(settings=settings, engine=engine, name="test")).test_client()
    engine.dispose()


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1/messages/no-uuid", 404, "not-found"),
        ("GET", "//v1/messages", 404, "not-found"),
        ("GET", "/v1/messages/", 404, "not-found"),
        ("PATCH", "/v1/messages", 405, "method-not-allowed"),
        ("OPTIONS", "/v1/messages", 405, "method-not-allowed"),
        ("GET", "/v1/messages/01890000-0000-7000-8000-000000000000", 404, "not-found"),
        ("GET", "/v1/templates/pigeon/x", 404, "not-found"),
        ("GET", "/v1/suppressions/99999999999999999999", 404, "not-found"),
    ],
)
def test_routing_fails_with_problems_too(api, method, path, status, kind):
    answer = api.call(method, path)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["type"] == f"/problems/{kind}"
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_a_wrong_method_lists_the_right_ones(api):
    assert {"GET", "POST"} <= set(re.split(", ?", api.call("PUT", "/v1/messages").headers["Allow"]))


@pytest.mark.parametrize(
    ("given", "used"), [("my-request-42", True), ("x", False), ("a b c d e f g h", False)]
)
def test_a_sane_request_id_is_used_and_others_are_replaced(api, given, used):
    answer = api.get("/healthz", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) is used


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/docs", "/openapi.json", "/v1/messages"])
def test_every_answer_has_safe_headers_and_no_banner(api, path):
    headers = api.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Server"] == ""
    assert "Access-Control-Allow-Origin" not in headers


def test_an_unexpected_error_shows_nothing_but_the_id_under_which_it_is_logged(api, app, message):
    class Broken:
        def send(self, *_: object, **__: object) -> None:
            raise RuntimeError("the secret of reader@example.com")

    app.__dict__["messages"] = Broken()
    with capture_logs() as logs:
        answer = api.post("/v1/messages", message)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["unexpected error"]
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_a_request_is_one_line_in_the_log_without_address_or_body(api, message):
    with capture_logs() as logs:
        api.post("/v1/messages?secret=1", message)
    (line,) = [entry for entry in logs if entry["event"] == "request"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/messages", 202)
    assert line["client"]
    assert line["ms"] >= 0
    assert "reader@example.com" not in json.dumps(logs)
    assert "secret" not in json.dumps(logs)


def test_when_the_database_is_down_a_message_is_503_with_retry_after(without_database, message):
    answer = without_database.post("/v1/messages", json=message, headers={"Authorization": "Bearer tcs_x"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["type"] == "/problems/unavailable"


def test_the_process_lives_though_the_database_is_down(without_database):
    assert without_database.get("/healthz").status_code == 200


def test_it_is_not_ready_when_the_database_is_down_and_says_so(without_database):
    answer = without_database.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["ready"] is False
    assert answer.json["checks"]["database"]["ok"] is False


def test_it_is_ready_when_all_is_well(api):
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert all(check["ok"] for check in answer.json["checks"].values())
    assert set(answer.json["checks"]) == {"database", "migrations", "event_partitions", "oldest_p0", "redis"}


def test_without_redis_it_is_ready_but_says_so(app, settings):
    alone = App(
        settings=settings.model_copy(update={"redis_url": "redis://127.0.0.1:9"}), engine=app.engine, name="x"
    )
    answer = create_app(alone).test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json["checks"]["redis"]["ok"] is False


def test_it_is_not_ready_when_the_schema_is_an_older_one(api, owner_url):
    change(owner_url, "UPDATE alembic_version SET version_num = '0001'")
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"]["migrations"]["ok"] is False


def test_it_is_not_ready_when_next_months_partition_is_missing(api, owner_url):
    change(
        owner_url,
        """DO $$ BEGIN EXECUTE 'DROP TABLE delivery_events_' || to_char(
        date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', '"y"YYYY"m"MM'); END $$""",
    )
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"]["event_partitions"]["ok"] is False


def test_an_emergency_that_waits_too_long_is_shown_but_does_not_stop_accepting(api, owner_url, message):
    api.post("/v1/messages", message | {"priority": "P0", "message_type": "emergency"})
    change(owner_url, "UPDATE message_queue SET scheduled_for = now() - interval '1 hour'")
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["checks"]["oldest_p0"]["ok"] is False


def test_metrics_count_requests_by_route_and_never_by_path(api, message):
    path = api.post("/v1/messages", message).headers["Location"]
    api.get(path)
    text = api.get("/metrics").text
    assert 'tocsin_requests_total{route="/v1/messages",status="2xx"}' in text
    assert 'tocsin_accept_seconds_count{priority="P4"}' in text
    assert path not in text


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_type_of_a_problem_is_the_path_of_its_page(api, kind):
    page = api.get(kind.type)
    assert page.status_code == 200
    assert kind.title in unescape(page.text)


def test_the_docs_need_no_script_and_nothing_from_elsewhere(api):
    page = api.get("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "/v1/messages/bulk" in page.text


def test_the_docs_are_small_on_their_way(api):
    plain, packed = api.get("/docs"), api.get("/docs", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < 100_000
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["Content-Security-Policy"] == plain.headers["Content-Security-Policy"]
    assert api.get("/docs/style.css").content_type.startswith("text/css")


def test_every_link_inside_the_docs_leads_somewhere(api):
    text = api.get("/docs").text
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def test_full_shares_are_503_and_leave_all_others_alone(app, api, head, message, monkeypatch):
    monkeypatch.setattr("app.api.shares.limits", lambda _settings: dict.fromkeys(Share, 0))
    client = create_app(app).test_client()
    headers = {"Authorization": f"Bearer {api.keys['everything']}"}
    upload = client.post(
        "/v1/messages/bulk", json=head | {"recipients": [{"address": "a@example.com"}]}, headers=headers
    )
    assert upload.status_code == 503
    assert upload.headers["Retry-After"] == "2"
    assert client.post("/webhooks/postal", data=b"{}").status_code == 503
    assert client.post("/v1/messages", json=message, headers=headers).status_code == 202


def test_all_shares_together_leave_every_web_thread_to_single_messages(settings):
    assert threads(settings) - sum(limits(settings).values()) == settings.web_threads


def change(url, statement):
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as conn:
        conn.execute(sa.text(statement))
    engine.dispose()
