"""Layouts, partials, versions, checks, previews and tests of templates over HTTP."""

import pytest

LAYOUT = {
    "slug": "house",
    "channel": "email",
    "name": "House",
    "body_html": "<html><head><style>p{color:red}</style></head><body>{{ content }}"
    '{% include "foot" %}</body></html>',
    "body_text": "{{ content }}\n-- \nThe House",
}
PARTIAL = {
    "slug": "foot",
    "channel": "email",
    "name": "Foot",
    "body_html": '<a href="{{ unsubscribe_url }}">Unsubscribe</a>',
}
OFFER = {
    "slug": "offer",
    "channel": "email",
    "name": "Offer",
    "subject": "Hello {{ name }}",
    "body_html": "<p>Spring, {{ name }}!</p>",
    "layout": "house",
    "message_type": "campaign",
}
ONE = "/v1/templates/email/offer"


@pytest.fixture
def offer(api):
    """A campaign's template in a layout with a partial; gives its answer."""
    for body, kind in ((PARTIAL, "partials"), (LAYOUT, "layouts")):
        saved = api.post(f"/v1/templates/{kind}", body)
        assert saved.status_code == 201, saved.json
    saved = api.post("/v1/templates", OFFER)
    assert saved.status_code == 201, saved.json
    return saved.json


def fields(answer):
    return {fault["field"] for fault in answer.json["errors"]}


def codes(report):
    return {finding["code"] for finding in report["findings"]}


def test_a_template_is_sent_in_its_layout_with_styles_in_the_elements(offer, api):
    data = {"data": {"name": "Ada", "unsubscribe_url": "https://example.com/u"}}
    html = api.post(f"{ONE}/preview", data).json["html"]
    assert '<p style="color: red;">Spring, Ada!</p><a href="https://example.com/u">' in html
    assert offer["body_html"] == OFFER["body_html"]
    assert [(part["kind"], part["slug"], part["version"]) for part in offer["taken_in"]] == [
        ("layout", "house", 1),
        ("partial", "foot", 1),
    ]


def test_a_text_is_made_of_the_html_where_none_is_written(offer, api):
    data = {"data": {"name": "Ada", "unsubscribe_url": "https://example.com/u"}}
    assert "Unsubscribe (https://example.com/u)" in api.post(f"{ONE}/preview", data).json["text"]


def test_a_new_layout_reaches_templates_only_when_they_are_rebuilt(offer, api):
    other = LAYOUT | {"body_html": LAYOUT["body_html"].replace("red", "blue")}
    api.post("/v1/templates/layouts", other)
    assert "color: red" in api.get(ONE).json["active"]["compiled_html"]
    assert "outdated" in codes(api.get(f"{ONE}/check").json)

    path = "/v1/templates/layouts/email/house"
    assert [each["slug"] for each in api.get(f"{path}/templates").json["templates"]] == ["offer"]
    rebuilt = api.post(f"{path}/rebuild", {"activate": True, "why": "new colours"}).json["templates"]
    assert [(each["version"], each["is_active"]) for each in rebuilt] == [(2, True)]
    assert "color: blue" in api.get(ONE).json["active"]["compiled_html"]


def test_a_fault_in_a_partial_is_told_with_its_line_there(offer, api):
    api.post("/v1/templates/partials", PARTIAL | {"slug": "more", "body_html": "<b>\n{{ here }}</b>"})
    body = OFFER | {"body_html": '<p>\n{% include "more" %}\n{{ oh', "layout": None, "message_type": None}
    answer = api.post("/v1/templates", body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["message"].startswith("line 3: ")


def test_what_is_not_there_cannot_be_taken_in(api):
    assert fields(api.post("/v1/templates", OFFER)) == {"layout"}
    body = OFFER | {"layout": None, "body_html": 'a\n{% include "nobody" %}'}
    answer = api.post("/v1/templates", body)
    assert "line 2: there is no active partial 'nobody'" in answer.json["errors"][0]["message"]


def test_partials_in_a_circle_are_refused(api):
    api.post("/v1/templates/partials", PARTIAL)
    api.post("/v1/templates/partials", PARTIAL | {"body_html": '{% include "foot" %}'})
    answer = api.post("/v1/templates", OFFER | {"layout": None, "body_html": '{% include "foot" %}'})
    assert "takes itself in" in answer.json["errors"][0]["message"]


def test_mjml_is_compiled_when_it_is_saved(api):
    mjml = (
        "<mjml><mj-body><mj-section><mj-column>{% for item in items %}<mj-text>{{ item }}</mj-text>"
        "{% endfor %}</mj-column></mj-section></mj-body></mjml>"
    )
    body = OFFER | {"layout": None, "message_type": None, "body_html": mjml, "markup": "mjml"}
    assert api.post("/v1/templates", body).status_code == 201
    preview = api.post(f"{ONE}/preview", {"data": {"name": "Ada", "items": ["one", "two"]}}).json
    assert preview["html"].count("<div style=") >= 2
    assert "mj-text" not in preview["html"]
    assert "googleapis" not in preview["html"]
    assert [line for line in preview["text"].splitlines() if line] == ["one", "two"]


def test_a_fault_in_mjml_is_told_with_its_line(api):
    mjml = "<mjml>\n<mj-body>\n<mj-section><mj-colum></mj-colum></mj-section></mj-body></mjml>"
    answer = api.post("/v1/templates", OFFER | {"layout": None, "body_html": mjml, "markup": "mjml"})
    assert answer.json["errors"] == [
        {"field": "body_html", "message": "line 3: <mj-colum> is no element of MJML"}
    ]


def test_foreign_html_is_cleaned_when_it_is_saved(api):
    foreign = (
        '<table>{% for a in b %}<tr><td onclick="x()">{{ a }}</td></tr>{% endfor %}</table><script>x</script>'
    )
    body = OFFER | {"layout": None, "message_type": None, "body_html": foreign, "foreign": True}
    saved = api.post("/v1/templates", body).json["body_html"]
    assert saved == ("<table><tbody>{% for a in b %}<tr><td>{{ a }}</td></tr>{% endfor %}</tbody></table>")


def test_a_campaign_without_a_way_out_can_be_saved_and_not_activated(api):
    body = OFFER | {"layout": None, "activate": False}
    assert api.post("/v1/templates", body).status_code == 201
    report = api.get(f"{ONE}/check").json
    assert (report["is_good"], "no_unsubscribe" in codes(report)) == (False, True)
    answer = api.post(f"{ONE}/activate", {"version": 1})
    assert (answer.status_code, fields(answer)) == (422, {"body_html"})
    assert api.post("/v1/templates", OFFER | {"layout": None}).status_code == 422


def test_a_draft_is_looked_over_without_being_saved(api):
    template = OFFER | {"body_html": '<a href="/shop">Shop</a>\n<img src="https://example.com/a.png">'}
    for name in ("slug", "channel", "layout"):
        template.pop(name)
    report = api.post("/v1/templates/check", {"template": template}).json
    found = {finding["code"]: finding for finding in report["findings"]}
    assert found["link_relative"]["line"] == 1
    assert found["image_alt"]["line"] == 2
    assert found["no_unsubscribe"]["level"] == "error"
    assert api.get("/v1/templates").json["items"] == []


def test_a_draft_that_does_not_compile_is_a_finding_with_its_line(api):
    template = {"name": "Draft", "subject": "Hi", "body_text": "one\n{% if %}"}
    report = api.post("/v1/templates/check", {"template": template}).json
    assert [(each["code"], each["line"]) for each in report["findings"]] == [("does_not_compile", 2)]


def test_versions_are_compared_line_by_line(offer, api):
    api.post("/v1/templates", OFFER | {"body_html": "<p>Spring, {{ name }}!</p>\n<p>Bye</p>"})
    parts = {each["part"]: each for each in api.get(f"{ONE}/versions/1/diff/2").json["parts"]}
    assert [line["op"] for line in parts["body_html"]["lines"]] == ["same", "added"]
    assert not parts["subject"]["is_changed"]


def test_a_restored_version_is_a_new_one_and_waits(offer, api):
    api.post("/v1/templates", OFFER | {"subject": "Other {{ name }}"})
    restored = api.post(f"{ONE}/versions/1/restore", {"why": "the other was wrong"})
    assert (restored.status_code, restored.json["version"]) == (201, 3)
    assert restored.json["subject"] == OFFER["subject"]
    assert api.get(ONE).json["active_version"] == 2


def test_a_locale_falls_back_step_by_step(api, app, message):
    api.post("/v1/templates", OFFER | {"layout": None, "message_type": None, "locale": "zh-Hant"})
    app.catalog.forget()
    words = {"template": "offer", "locale": "zh-Hant-TW", "data": {"name": "Ada"}}
    body = {name: value for name, value in message.items() if name not in {"subject", "body_text"}}
    sent = api.post("/v1/messages", body | words)
    assert sent.status_code == 202
    assert api.get(f"/v1/messages/{sent.json['uuid']}").json["locale"] == "zh-Hant"
    listed = api.get("/v1/templates?slug=offer&channel=email").json["items"]
    assert [each["locale"] for each in listed] == ["zh-Hant"]


def test_a_template_found_by_its_name(offer, api):
    api.post("/v1/templates", OFFER | {"slug": "other", "name": "Farewell"})
    found = api.get("/v1/templates?search=fare").json["items"]
    assert [each["slug"] for each in found] == ["other"]


def test_a_second_person_activates_where_the_template_asks_for_it(offer, api):
    assert api.post(f"{ONE}/protect", {"second_person": True}).json["second_person"]
    saved = api.post("/v1/templates", OFFER | {"subject": "New, {{ name }}"}).json
    assert (saved["version"], saved["is_active"]) == (2, False)
    refused = api.post(f"{ONE}/activate", {"version": 2})
    assert refused.status_code == 409
    assert "a second person" in refused.json["detail"]
    assert api.as_key("writer").post(f"{ONE}/activate", {"version": 2}).json["active_version"] == 2


def test_one_alone_cannot_do_away_with_the_second(offer, api):
    api.post(f"{ONE}/protect", {"second_person": True})
    assert api.as_key("writer").post(f"{ONE}/protect", {"second_person": False}).status_code == 403
    assert not api.post(f"{ONE}/protect", {"second_person": False}).json["second_person"]


def test_a_test_goes_the_way_of_every_message(offer, api):
    body = {"to": ["me@example.com"], "data": {"name": "Ada", "unsubscribe_url": "https://example.com/u"}}
    sent = api.as_key("writer").post(f"{ONE}/test", body)
    assert sent.status_code == 202, sent.json
    (told,) = sent.json["messages"]
    message = api.get(f"/v1/messages/{told['uuid']}").json
    assert (message["subject"], message["priority"]) == ("[Test] Hello Ada", "P4")
    assert message["metadata"]["template_test"] == "template:email/offer"


def test_a_test_to_somebody_suppressed_is_not_sent(offer, api):
    api.post("/v1/suppressions", {"channel": "email", "address": "me@example.com", "reason": "manual"})
    data = {"name": "Ada", "unsubscribe_url": "https://example.com/u"}
    (told,) = api.post(f"{ONE}/test", {"to": ["me@example.com"], "data": data}).json["messages"]
    assert (told["status"], told["reason"]) == ("suppressed", "manual")


def test_tests_of_a_template_are_few(offer, api):
    data = {"name": "Ada", "unsubscribe_url": "https://example.com/u"}
    to = [f"me{number}@example.com" for number in range(5)]
    answers = [api.post(f"{ONE}/test", {"to": to, "data": data}).status_code for _ in range(7)]
    assert answers == [202] * 6 + [409]


def test_a_push_says_what_its_parts_say(api):
    push = {
        "slug": "shipped",
        "channel": "push",
        "name": "Shipped",
        "subject": "On its way",
        "body_text": "Your parcel {{ number }}",
        "parts": {"image": "https://example.com/{{ number }}.png", "badge": 1},
    }
    assert api.post("/v1/templates", push).status_code == 201
    preview = api.post("/v1/templates/push/shipped/preview", {"data": {"number": "7"}}).json
    card = {part: preview["push"][part] for part in ("title", "body", "image")}
    assert card == {
        "title": "On its way",
        "body": "Your parcel 7",
        "image": "https://example.com/7.png",
    }


def test_a_part_of_another_channel_is_refused(api):
    answer = api.post("/v1/templates", OFFER | {"layout": None, "parts": {"language": "de"}})
    assert fields(answer) == {"parts.language"}


def test_a_layout_without_a_place_for_its_content_is_refused(api):
    answer = api.post("/v1/templates/layouts", LAYOUT | {"body_html": "<p>Nothing</p>"})
    assert fields(answer) == {"body_html"}


def test_a_layout_is_no_template_to_send(api, app, message):
    api.post("/v1/templates/partials", PARTIAL)
    api.post("/v1/templates/layouts", LAYOUT)
    app.catalog.forget()
    words = {name: value for name, value in message.items() if name not in {"subject", "body_text"}}
    answer = api.post("/v1/messages", words | {"template": "house"})
    assert fields(answer) == {"template"}


def test_what_a_version_was_made_with_is_what_it_is_checked_with(offer, api):
    link = "<a href='https://example.com'>Home</a>"
    api.post("/v1/templates/partials", PARTIAL | {"body_html": link})
    assert api.post(f"{ONE}/activate", {"version": 1}).status_code == 200
    assert api.post(f"{ONE}/rebuild", {"activate": True}).status_code == 422


def test_writing_layouts_needs_its_scope(api):
    assert api.as_key("reader").post("/v1/templates/layouts", LAYOUT).status_code == 403
