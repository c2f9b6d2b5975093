"""Templates, suppressions, senders and figures over HTTP."""

import gzip
import json

import pytest

WELCOME = {
    "slug": "welcome",
    "channel": "email",
    "name": "Welcome",
    "subject": "Hello {{ name }}",
    "body_text": "Good to have you, {{ name }}.",
}


def fields(answer):
    return {fault["field"] for fault in answer.json["errors"]}


def test_each_save_of_a_template_is_a_version_of_its_own(api):
    first = api.post("/v1/templates", WELCOME)
    second = api.post("/v1/templates", WELCOME | {"subject": "Hi {{ name }}", "activate": False})
    assert (first.status_code, first.json["version"]) == (201, 1)
    assert (second.status_code, second.json["version"]) == (201, 2)
    path = first.headers["Location"]
    assert api.get(path).json["active_version"] == 1
    assert [version["version"] for version in api.get(f"{path}/versions").json["items"]] == [2, 1]
    assert api.post(f"{path}/activate", {"version": 2}).json["active_version"] == 2


def test_a_template_in_a_locale_has_a_place_of_its_own(api):
    saved = api.post("/v1/templates", WELCOME | {"locale": "de-CH"})
    assert saved.headers["Location"].endswith("?locale=de-CH")
    assert api.get(saved.headers["Location"]).json["locale"] == "de-CH"
    assert api.get("/v1/templates/email/welcome").status_code == 404


def test_a_template_that_does_not_compile_is_422_by_part(api):
    answer = api.post("/v1/templates", WELCOME | {"body_text": "{{ name"})
    assert answer.status_code == 422
    assert fields(answer) == {"body_text"}


def test_a_preview_fills_the_parts_in(api):
    path = api.post("/v1/templates", WELCOME).headers["Location"]
    preview = api.post(f"{path}/preview", {"data": {"name": "Ada"}})
    said = {part: preview.json[part] for part in ("subject", "html", "text")}
    assert said == {"subject": "Hello Ada", "html": None, "text": "Good to have you, Ada."}


def test_a_draft_can_be_previewed_without_saving_it(api):
    draft = {"name": "Draft", "subject": "Hello {{ name }}"}
    preview = api.post("/v1/templates/preview", {"template": draft, "data": {"name": "Ada"}})
    assert preview.json["subject"] == "Hello Ada"
    assert api.get("/v1/templates").json["items"] == []


def test_a_retired_template_takes_no_new_message(api, app, message):
    path = api.post("/v1/templates", WELCOME).headers["Location"]
    assert api.delete(path).status_code == 204
    app.catalog.forget()
    words = message | {"subject": None, "body_text": None, "template": "welcome", "data": {"name": "Ada"}}
    answer = api.post("/v1/messages", words)
    assert answer.status_code == 422
    assert fields(answer) == {"template"}


def test_variables_that_are_missing_are_named(api, app, message):
    api.post("/v1/templates", WELCOME)
    app.catalog.forget()
    words = message | {"subject": None, "body_text": None, "template": "welcome", "data": {}}
    answer = api.post("/v1/messages", words)
    assert answer.status_code == 422
    assert fields(answer) == {"data.name"}


def test_writing_templates_needs_its_scope(api):
    assert api.as_key("reader").post("/v1/templates", WELCOME).status_code == 403


def test_an_address_is_suppressed_once_and_released_with_a_reason(api, message):
    body = {"channel": "email", "address": "Reader@Example.com", "reason": "manual"}
    assert api.post("/v1/suppressions", body).status_code == 201
    again = api.post("/v1/suppressions", body)
    assert (again.status_code, again.json["added"]) == (200, False)
    assert api.post("/v1/messages", message).json["status"] == "suppressed"

    path = f"/v1/suppressions/{again.json['suppression']['id']}"
    assert fields(api.post(f"{path}/release", {})) == {"why"}
    assert api.post(f"{path}/release", {"why": "they called"}).status_code == 200
    assert api.get(path).status_code == 404
    assert api.post("/v1/messages", message).json["status"] == "pending"


def test_what_is_exported_can_be_imported(api):
    rows = [{"channel": "email", "address": f"r{n}@example.com"} for n in range(3)]
    imported = api.ndjson(*rows, path="/v1/suppressions/import?why=moved")
    assert imported.status_code == 200
    assert (imported.json["received"], imported.json["added"]) == (3, 3)
    exported = api.get("/v1/suppressions/export")
    assert exported.content_type == "application/x-ndjson"
    assert len(exported.text.splitlines()) == 3
    again = api.ndjson(exported.data, path="/v1/suppressions/import")
    assert (again.json["received"], again.json["known"], again.json["invalid"]) == (3, 3, 0)


def test_an_import_names_the_lines_it_cannot_use(api):
    imported = api.ndjson(
        {"channel": "email", "address": "a@example.com"}, b"x\n", path="/v1/suppressions/import"
    )
    assert (imported.json["added"], imported.json["invalid"]) == (1, 1)
    assert [reject["line"] for reject in imported.json["rejects"]] == [2]


def test_csv_is_imported_compressed_too(api):
    csv = gzip.compress(b"channel,address\nemail,a@example.com\n")
    headers = {"Content-Encoding": "gzip"}
    imported = api.call("POST", "/v1/suppressions/import", data=csv, content_type="text/csv", headers=headers)
    assert imported.json["added"] == 1


def test_an_import_of_another_kind_is_415(api):
    answer = api.call("POST", "/v1/suppressions/import", data=b"x", content_type="text/plain")
    assert answer.status_code == 415


def test_a_list_that_breaks_off_while_it_streams_says_so_in_its_last_line(api, app):
    class Breaking:
        def export(self):
            yield b'{"address": "a@example.com"}\n'
            raise RuntimeError("secret")

    app.__dict__["suppressions"] = Breaking()
    lines = [json.loads(line) for line in api.get("/v1/suppressions/export").text.splitlines()]
    assert lines[-1]["error"]["type"] == "/problems/internal-error"
    assert "secret" not in json.dumps(lines)


def test_a_sender_is_made_replaced_and_removed(api):
    path = "/v1/senders/email/news"
    body = {"address": "news@example.com", "name": "News", "default_for": ["newsletter"]}
    assert api.put(path, body).json["default_for"] == ["newsletter"]
    assert api.put(path, body | {"name": "The News"}).json["name"] == "The News"
    assert {sender["slug"] for sender in api.get("/v1/senders").json["items"]} == {"house", "news"}
    assert api.delete(path).status_code == 204


@pytest.mark.parametrize(
    "change", [{"address": "x"}, {"name": "A\r\nBcc: b@example.com"}, {"default_for": ["x"]}]
)
def test_a_sender_that_cannot_be_is_422(api, change):
    body = {"address": "news@example.com"} | change
    assert api.put("/v1/senders/email/news", body).status_code == 422


def test_the_queue_is_told_by_lane(api, message):
    api.post("/v1/messages", message)
    lanes = api.get("/v1/messages/stats/queue").json["items"]
    assert [lane["priority"] for lane in lanes] == ["P0", "P1", "P2", "P3", "P4"]
    assert lanes[4]["due"] == 1
    assert lanes[4]["oldest_age_seconds"] >= 0


def test_gateways_are_told_with_their_breakers(api):
    answer = api.get("/v1/messages/stats/channels").json
    assert answer["breakers_known"] is True
    assert [(gateway["gateway"], gateway["breaker"]) for gateway in answer["items"]] == [("postal", "closed")]
