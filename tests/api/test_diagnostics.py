"""/v1/diagnostics, /readyz/sending and /metrics over the API."""

import pytest
from prometheus_client.parser import text_string_to_metric_families


def test_the_first_look_is_a_fresh_one_and_the_next_gives_it_again(api):
    first = api.get("/v1/diagnostics").get_json()
    assert first["scope"] == "quick"
    assert api.get("/v1/diagnostics").get_json()["id"] == first["id"]
    assert api.get("/v1/diagnostics?fresh=true").get_json()["id"] > first["id"]


def test_a_finding_says_all_that_one_needs(api):
    found = api.get("/v1/diagnostics").get_json()["findings"]
    ranks = ["critical", "high", "medium", "low", "info"]
    priorities = [ranks.index(each["finding"]["priority"]) for each in found]
    assert priorities == sorted(priorities)
    (no_workers,) = [
        each for each in found
        if (each["finding"]["code"], each["finding"]["target"]) == ("lane_without_workers", "P0")
    ]  # fmt: skip
    assert no_workers["is_new"] is True
    assert all(no_workers["finding"][name] for name in ("meaning", "advice", "subject"))


def test_what_was_there_before_keeps_its_time_and_what_is_mended_is_gone(api, app):
    before = api.get("/v1/diagnostics").get_json()
    with app.engine.begin() as conn:
        conn.exec_driver_sql("INSERT INTO job_leader VALUES ('scheduler', 'me', now() + interval '1 min')")
    after = api.get("/v1/diagnostics?fresh=true").get_json()
    assert [each["code"] for each in after["gone"]] == ["no_scheduler"]
    assert {each["is_new"] for each in after["findings"]} == {False}
    assert {each["since"] for each in after["findings"]} == {before["started_at"]}


def test_one_subject_can_be_asked_for_and_takes_nothing_from_the_others(api):
    api.get("/v1/diagnostics")
    one = api.get("/v1/diagnostics?subject=scheduler").get_json()
    assert (one["scope"], one["subjects"], one["gone"]) == ("chosen", ["scheduler"], [])
    assert api.get("/v1/diagnostics?subject=nonsense").status_code == 422


def test_runs_are_listed_newest_first_by_pages(api):
    for _ in range(3):
        api.get("/v1/diagnostics?fresh=true&subject=limits")
    page = api.get("/v1/diagnostics/runs?limit=2").get_json()
    ids = [each["id"] for each in page["items"]]
    rest = api.get(f"/v1/diagnostics/runs?cursor={page['next']}").get_json()["items"]
    assert ids == sorted(ids, reverse=True)
    assert len(rest) == 1
    assert rest[0]["id"] < ids[-1]
    assert api.get(f"/v1/diagnostics/runs/{ids[0]}").get_json()["id"] == ids[0]
    assert api.get("/v1/diagnostics/runs/999999").status_code == 404


@pytest.mark.parametrize("path", ["/v1/diagnostics", "/v1/diagnostics/runs", "/v1/diagnostics/runs/1"])
def test_a_key_needs_the_scope(api, path):
    assert api.as_key("reader").get(path).status_code == 403


def test_what_is_not_sent_is_not_ready_and_messages_are_accepted_still(api):
    answer = api.as_key(None).get("/readyz/sending")
    assert answer.status_code == 503
    assert answer.get_json()["checks"]["scheduler"]["ok"] is False
    assert api.as_key(None).get("/readyz").status_code == 200


def test_the_metrics_are_what_prometheus_can_read_and_hold_each_step(api, message):
    assert api.post("/v1/messages", message).status_code == 202
    text = api.as_key(None).get("/metrics").get_data(as_text=True)
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"tocsin_messages_accepted", "tocsin_queue_due_messages", "tocsin_breaker_state"} <= names


def test_the_home_of_the_console_is_told_what_is_wrong_worst_first(app):
    assert app.diagnostics.standing().outdated
    app.diagnostics.run()
    standing = app.diagnostics.standing()
    assert standing.worst == "critical"
    assert not standing.outdated
    assert all(known.finding.priority != "info" for known in standing.findings)


def test_of_what_changes_soon_the_newest_look_counts_and_since_when_it_is_so(app):
    kept = app.diagnostics.run()
    with app.engine.begin() as conn:
        conn.exec_driver_sql("INSERT INTO job_leader VALUES ('scheduler', 'me', now() + interval '1 min')")
    standing = app.diagnostics.standing(looked=app.diagnostics.look())
    found = {known.finding.code: known for known in standing.findings}
    before = {known.finding.code for known in app.diagnostics.standing().findings}
    assert before - set(found) == {"no_scheduler"}
    assert found["lane_without_workers"].since == kept.started_at
    assert {known.finding.subject for known in standing.findings} > {"workers"}
    assert len(app.diagnostics.history().items) == 1
