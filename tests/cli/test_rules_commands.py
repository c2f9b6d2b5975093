"""Templates, suppressions and the queue from the command line."""

import json

import pytest


@pytest.fixture
def saved(app, tocsin):
    """Saves the next version of the template `hello` with this text."""

    def saved(text, *more):
        said = tocsin("templates", "save", "hello", "--subject", "Hi", "--text", text, "--json", *more)
        assert said.code == 0, said.err
        return said.json

    return saved


def test_a_template_gets_a_version_with_each_save(saved):
    assert [saved("one")["version"], saved("two")["version"]] == [1, 2]


def test_a_template_is_shown_with_its_versions(saved, tocsin):
    saved("Hello {{ name }}")
    shown = tocsin("templates", "show", "hello", "--json").json
    assert shown["template"]["active"]["body_text"] == "Hello {{ name }}"
    assert [version["version"] for version in shown["versions"]] == [1]
    assert "variables  name: " in tocsin("templates", "show", "hello").out


def test_a_version_may_be_saved_for_later_and_activated_then(saved, tocsin):
    saved("one")
    saved("two", "--no-activate")
    assert tocsin("templates", "preview", "hello", "--part", "text").out == "one\n"
    assert tocsin("templates", "activate", "hello", "2").code == 0
    assert tocsin("templates", "preview", "hello", "--part", "text").out == "two\n"


def test_a_preview_is_filled_in(saved, tocsin):
    saved("Hello {{ name }}")
    content = tocsin("templates", "preview", "hello", "-d", "name=Anna", "--json").json
    said = {part: content[part] for part in ("subject", "html", "text")}
    assert said == {"subject": "Hi", "html": None, "text": "Hello Anna"}


def test_templates_are_listed(saved, tocsin):
    saved("one")
    assert [item["slug"] for item in tocsin("templates", "list", "--json").json["items"]] == ["hello"]
    assert "hello" in tocsin("templates", "list").out


def test_versions_are_compared_and_an_old_one_saved_again(saved, tocsin):
    saved("one\ntwo")
    saved("one\nthree")
    assert tocsin("templates", "diff", "hello", "1", "2").out == "body_text:\n  one\n- two\n+ three\n"
    assert tocsin("templates", "restore", "hello", "1", "--json").json["version"] == 3


def test_a_template_with_an_error_fails_its_check(saved, tocsin):
    saved("Hello", "--html", '<a href="/shop">Shop</a>', "--no-activate")
    said = tocsin("templates", "check", "hello")
    assert said.code != 0
    assert "body_html, line 1" in said.out


def test_a_template_that_does_not_compile_is_refused(app, tocsin):
    said = tocsin("templates", "save", "hello", "--subject", "Hi", "--text", "{% if %}")
    assert said.code == 5
    assert "body_text" in said.err


@pytest.mark.parametrize("variables", ["{", '{"name": "x"}', '[{"nome": "x"}]', "[1]"])
def test_variables_that_cannot_be_read_are_a_wrong_call(app, tocsin, variables):
    said = tocsin("templates", "save", "hello", "--subject", "Hi", "--text", "x", "--variables", variables)
    assert said.code == 2
    assert "--variables" in said.err


def test_an_address_is_suppressed_found_and_released(app, tocsin):
    row = tocsin("suppressions", "add", "Anna@Example.com", "--reason", "legal", "--json").json
    assert row["added"] is True
    found = tocsin("suppressions", "list", "anna@example.com", "--json").json["items"]
    assert [(item["address"], item["reason"], item["source"]) for item in found] == [
        ("anna@example.com", "legal", "cli")
    ]
    assert tocsin("suppressions", "release", row["suppression"]["id"], "--why", "asked for it").code == 0
    assert tocsin("suppressions", "list", "--json").json["items"] == []


def test_a_release_needs_its_reason(app, tocsin):
    said = tocsin("suppressions", "release", "1")
    assert said.code == 2
    assert "--why" in said.err


def test_an_export_is_what_an_import_reads(app, tocsin, tmp_path):
    tocsin("suppressions", "add", "anna@example.com", "--category", "weekly")
    tocsin("suppressions", "add", "+41791234567", "--channel", "sms")
    exported = tmp_path / "list.ndjson"
    assert tocsin("suppressions", "export", "-o", exported).code == 0
    assert tocsin("suppressions", "export").out.encode() == exported.read_bytes()
    imported = tocsin("suppressions", "import", exported, "--json").json
    assert (imported["received"], imported["added"], imported["known"]) == (2, 0, 2)


def test_an_import_tells_which_lines_it_refused(app, tocsin):
    said = tocsin(
        "suppressions", "import", "-", stdin=b'{"channel": "email", "address": "a@example.com"}\n{}\n'
    )
    assert said.code == 0
    assert "rejected because" in said.out


def test_csv_is_imported_too(app, tocsin, tmp_path):
    (tmp_path / "list.csv").write_text("channel,address\nemail,anna@example.com\n")
    assert tocsin("suppressions", "import", tmp_path / "list.csv", "--json").json["added"] == 1


def test_the_queue_shows_what_is_due_in_each_lane_and_every_gateway(app, tocsin):
    tocsin("send", "--to", "anna@example.com", "--subject", "x", "--text", "x", "--type", "alert")
    seen = tocsin("queue", "--json").json
    assert {lane["priority"]: lane["due"] for lane in seen["lanes"]} == {
        "P0": 0, "P1": 1, "P2": 0, "P3": 0, "P4": 0,
    }  # fmt: skip
    assert [(rate["gateway"], rate["breaker"]) for rate in seen["gateways"]] == [("postal", "closed")]
    assert seen["breakers_known"] is True


def test_the_queue_is_a_table_for_people(app, tocsin):
    shown = tocsin("queue").out
    assert "P0         emergency" in shown
    assert "postal" in shown


def test_without_redis_the_queue_is_shown_all_the_same(app, tocsin, bare):
    bare.setenv("REDIS_URL", "unix:///nowhere.sock")
    said = tocsin("queue", "--json")
    assert said.code == 0
    assert json.loads(said.out)["breakers_known"] is False
