"""Templates in the console, without a browser: what each role may, and what each button comes to."""

import pytest

from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel
from app.services.template_views import Name
from tests.admin.browser.filled_templates import fill_templates

SPRING = Name("spring", Channel.EMAIL, None)
ONE = "/admin/templates/one/template/email/spring"
EDITOR = "/admin/template-editor"
FIELDS = {
    "name": "Welcome",
    "subject": "Hello {{ name }}",
    "markup": "html",
    "body_html": "<p>Good to have you, {{ name }}.</p>",
    "variable_name": ["name", ""],
    "variable_type": ["string", "string"],
    "variable_required": ["yes", "yes"],
    "variable_example": ["Ada", ""],
    "variable_default": ["", ""],
}

# What is left in the form of a name that was mistyped once.
MISTAKE = {
    "variable_name": "nmae",
    "variable_type": "any",
    "variable_required": "yes",
    "variable_example": "",
    "variable_default": "",
}


@pytest.fixture
def filled(app):
    fill_templates(app)
    return app


def confirmed(name, version=None, **more):
    selected = f"template/email/{name}/" + (f"@{version}" if version else "")
    return {"selected": selected, "confirmed": "1", "why": "as agreed", **more}


def test_what_is_written_is_saved_as_a_draft_and_then_activated(as_role, app):
    editor = as_role("editor")
    saved = editor.post(f"{EDITOR}/save/template/email/welcome", FIELDS | {"then": "keep"})
    assert saved.headers["Location"] == "/admin/templates/one/template/email/welcome?version=1"
    assert app.templates.get("welcome", Channel.EMAIL).active_version is None
    editor.post("/admin/templates/do/activate", confirmed("welcome", 1))
    view = app.templates.get("welcome", Channel.EMAIL)
    assert (view.active_version, view.active.created_by) == (1, "console/editor@example.com")


def test_what_is_wrong_is_told_and_nothing_that_was_written_is_lost(as_role, app):
    editor = as_role("editor")
    broken = FIELDS | {"body_html": "one\n{% if %}", "then": "activate"}
    answer = editor.post(f"{EDITOR}/save/template/email/welcome", broken)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "line 2" in page
    assert "{% if %}" in page
    assert app.templates.list().items == ()


def test_variables_that_are_used_and_not_listed_are_added(as_role, app):
    body = FIELDS | {"body_html": "<p>{{ name }} {{ other }}</p>", "then": "keep"}
    as_role("editor").post(f"{EDITOR}/save/template/email/welcome", body)
    saved = app.templates.version(Name("welcome", Channel.EMAIL, None), 1)
    assert {variable.name: variable.type for variable in saved.variables} == {
        "name": "string",
        "other": "any",
    }


MISTYPED = FIELDS | {"body_html": "<p>Good to have you, {{ nmae }}.</p>"}
ASKED = (
    "This version needs what the one in use does not: nmae. Messages that do not bring it will be refused."
)


def test_what_would_refuse_messages_is_asked_about_before_it_is_saved_and_activated(as_role, app):
    editor = as_role("editor")
    path = f"{EDITOR}/save/template/email/welcome"
    editor.post(path, FIELDS | {"then": "activate"})
    answer = editor.post(path, MISTYPED | {"then": "activate"})
    page = answer.get_data(as_text=True)
    assert (answer.status_code, ASKED in page) == (422, True)
    assert "Good to have you, {{ nmae }}." in page
    assert app.templates.get("welcome", Channel.EMAIL).latest_version == 1
    assert editor.post(path, MISTYPED | {"despite": "nmae"}).status_code == 302
    assert app.templates.get("welcome", Channel.EMAIL).active_version == 2


def test_what_cannot_be_activated_says_what_is_wrong_instead_of_asking(as_role, filled):
    body = FIELDS | {"body_html": "<p>{{ nmae }}</p>", "message_type": "campaign", "then": "activate"}
    answer = as_role("editor").post(f"{EDITOR}/save/template/email/spring", body)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "unsubscribe" in page.lower()
    assert "Not saved yet" not in page


def test_another_mistake_is_asked_about_anew(as_role, app):
    editor = as_role("editor")
    path = f"{EDITOR}/save/template/email/welcome"
    editor.post(path, FIELDS | {"then": "activate"})
    other = MISTYPED | {"subject": "{{ salutaion }}", "despite": "nmae"}
    assert editor.post(path, other).status_code == 422
    assert app.templates.get("welcome", Channel.EMAIL).latest_version == 1


def test_activating_a_version_that_is_saved_says_what_it_needs(as_role, app):
    editor = as_role("editor")
    editor.post(f"{EDITOR}/save/template/email/welcome", FIELDS | {"then": "activate"})
    editor.post(f"{EDITOR}/save/template/email/welcome", MISTYPED | {"then": "keep"})
    wish = {"selected": "template/email/welcome/@2"}
    assert ASKED in editor.post("/admin/templates/do/activate", wish).get_data(as_text=True)
    assert app.templates.get("welcome", Channel.EMAIL).active_version == 1


def test_a_variable_that_came_by_a_mistake_goes_with_it(as_role, app):
    editor = as_role("editor")
    editor.post(f"{EDITOR}/save/template/email/welcome", MISTYPED | {"then": "keep"})
    fields = {each: [*FIELDS[each][:1], kept] for each, kept in MISTAKE.items()}
    editor.post(f"{EDITOR}/save/template/email/welcome", FIELDS | fields | {"then": "keep"})
    saved = app.templates.version(Name("welcome", Channel.EMAIL, None), 2)
    assert [variable.name for variable in saved.variables] == ["name"]


def test_a_variable_is_removed_without_a_script(as_role, app):
    editor = as_role("editor")
    fields = {each: [*FIELDS[each][:1], kept] for each, kept in MISTAKE.items()}
    body = FIELDS | fields | {"remove": "1"}
    page = editor.post(f"{EDITOR}/check/template/email/welcome", body).get_data(as_text=True)
    assert 'name="variable_name" value="name"' in page
    assert 'value="nmae"' not in page


def test_a_mail_is_shown_closed_off_from_everything(as_role, filled):
    shown = as_role("viewer").get("/admin/templates/shown/template/email/spring/1")
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert shown.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "Spring is here, Ada" in shown.get_data(as_text=True)


def test_a_mails_own_rules_for_the_dark_hold_only_in_the_dark(as_role, filled):
    viewer = as_role("viewer")
    path = "/admin/templates/shown/template/email/spring/1?view="
    assert "@media (max-width: 0)" in viewer.get(f"{path}desktop").get_data(as_text=True)
    assert "@media (min-width: 0)" in viewer.get(f"{path}dark").get_data(as_text=True)


def test_a_layout_is_shown_with_a_sentence_in_it(as_role, filled):
    shown = as_role("viewer").get("/admin/templates/shown/layout/email/house/1").get_data(as_text=True)
    assert "Here stands what a template says." in shown
    assert 'href="https://example.com/u/1"' in shown


def test_what_somebody_saved_meanwhile_is_told_once(as_role, filled):
    editor = as_role("editor")
    body = '<p>{{ name }} <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
    late = FIELDS | {"body_html": body, "based_on": "1", "then": "keep"}
    told = editor.post(f"{EDITOR}/save/template/email/spring", late)
    assert "console/anna@example.com saved version 2" in told.get_data(as_text=True)
    assert filled.templates.get("spring", Channel.EMAIL).latest_version == 2
    assert 'name="based_on" value="2"' in told.get_data(as_text=True)
    editor.post(f"{EDITOR}/save/template/email/spring", late | {"based_on": "2"})
    assert filled.templates.get("spring", Channel.EMAIL).latest_version == 3


def test_an_old_version_is_restored_by_a_new_one(as_role, filled):
    as_role("editor").post("/admin/templates/do/restore", confirmed("spring", 1))
    assert filled.templates.get("spring", Channel.EMAIL).latest_version == 3


def test_what_differs_is_shown_line_by_line(as_role, filled):
    page = as_role("viewer").get("/admin/templates/diff/template/email/spring?old=1&new=2")
    text = page.get_data(as_text=True)
    assert "Ten per cent" in text
    assert "Twenty per cent" in text
    assert "lines are the same" in text


def test_nobody_activates_their_own_where_two_are_asked_for(as_role, filled):
    editor = as_role("editor")
    editor.post("/admin/templates/do/protect", confirmed("spring"))
    body = '<p>{{ name }} <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
    editor.post(f"{EDITOR}/save/template/email/spring", FIELDS | {"body_html": body, "then": "activate"})
    assert filled.templates.get("spring", Channel.EMAIL).active_version == 1
    editor.post("/admin/templates/do/activate", confirmed("spring", 3))
    assert filled.templates.get("spring", Channel.EMAIL).active_version == 1
    as_role("admin").post("/admin/templates/do/activate", confirmed("spring", 3))
    assert filled.templates.get("spring", Channel.EMAIL).active_version == 3


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_editors_write(as_role, filled, role):
    person = as_role(role)
    assert person.get(ONE).status_code == 200
    assert person.get(f"{EDITOR}/one/template/email/spring").status_code == 403
    assert person.post("/admin/templates/do/activate", confirmed("spring", 2)).status_code == 403
    assert person.post(f"{EDITOR}/save/template/email/spring", FIELDS).status_code == 403


def test_an_editor_cannot_do_away_with_the_second_person(as_role, filled):
    editor = as_role("editor")
    editor.post("/admin/templates/do/protect", confirmed("spring"))
    assert editor.post("/admin/templates/do/unprotect", confirmed("spring")).status_code == 403
    as_role("admin").post("/admin/templates/do/unprotect", confirmed("spring"))
    assert not filled.templates.get("spring", Channel.EMAIL).second_person


def test_templates_are_rebuilt_with_a_newer_layout(as_role, filled):
    layout = filled.templates.get("house", Channel.EMAIL, kind=Kind.LAYOUT).active
    editor = as_role("editor")
    body = {
        "name": "House",
        "markup": "html",
        "body_html": layout.body_html + "<!-- new -->",
        "then": "activate",
    }
    editor.post(f"{EDITOR}/save/layout/email/house", body)
    wish = {"selected": "layout/email/house/", "confirmed": "1", "why": "new", "activate": "yes"}
    editor.post("/admin/templates/do/rebuild_all", wish)
    assert "<!-- new -->" in filled.templates.get("spring", Channel.EMAIL).active.compiled_html


def test_a_test_is_not_sent_where_no_gateway_would_take_it(as_role, filled):
    wish = confirmed("spring", 1, to="me@example.com", message_type="transactional")
    answer = as_role("editor").post("/admin/templates/do/test", wish)
    assert answer.status_code == 422
    assert "default sender" in answer.get_data(as_text=True)


def test_where_a_variable_has_no_example_a_test_leads_to_where_it_is_given(as_role, app):
    body = FIELDS | {"body_html": "<p>{{ nobody_knows }}</p>", "then": "keep"}
    editor = as_role("editor")
    editor.post(f"{EDITOR}/save/template/email/welcome", body)
    asked = {"selected": "template/email/welcome/@1"}
    page = editor.post("/admin/templates/do/test", asked).get_data(as_text=True)
    assert 'href="/admin/template-editor/one/template/email/welcome?version=1"' in page
    assert "nobody_knows" in page


@pytest.mark.parametrize(
    ("channel", "slug", "said"),
    [("sms", "parcel", "2 SMS"), ("push", "shipped", "On its way"), ("voice", "storm", "en-GB")],
)
def test_other_channels_are_shown_as_they_arrive(as_role, filled, channel, slug, said):
    page = as_role("viewer").get(f"/admin/templates/shown/template/{channel}/{slug}/1")
    assert said in page.get_data(as_text=True)


def test_the_enter_key_neither_activates_nor_removes_anything(as_role, app):
    """A browser presses a form's first button, wherever in the form the key was pressed."""
    editor = as_role("editor")
    path = f"{EDITOR}/save/template/email/welcome"
    editor.post(path, FIELDS | {"then": "activate"})
    page = editor.post(path, MISTYPED | {"then": "activate"}).get_data(as_text=True)
    form = page[page.index("data-editor") :]
    assert 'name="despite"' in form
    assert 'form="' not in page
    assert "/check/template/email/welcome" in form[form.index("<button") :].partition(">")[0]
