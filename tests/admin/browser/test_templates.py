"""Templates as their editor works on them: colours, a preview that follows, findings, what buttons do."""

import pytest
from playwright.sync_api import expect

from app.domain.vocabulary import Channel
from tests.admin.browser.conftest import WIDTHS

SPRING = "/admin/template-editor/one/template/email/spring"


@pytest.fixture
def editor(visit):
    visitor = visit("editor")
    visitor.open(SPRING)
    return visitor


def mail(page):
    return page.frame_locator("[data-sight] iframe:visible")


def test_the_preview_follows_what_is_written(editor):
    page = editor.page
    expect(mail(page).locator("h1")).to_have_text("Spring is here, Ada")
    page.fill("#f-body_html", '<h1>Autumn, {{ name }}</h1><a href="{{ unsubscribe_url }}">Out</a>')
    expect(mail(page).locator("h1")).to_have_text("Autumn, Ada")
    page.get_by_role("button", name="Plain text").click()
    expect(mail(page).locator(".plain")).to_contain_text("Out (https://example.com/u/1)")
    page.once("dialog", lambda dialog: dialog.accept())


def test_a_fault_is_found_as_one_writes(editor):
    page = editor.page
    page.fill("#f-body_html", "<p>\n{% if %}")
    expect(page.locator("[data-findings]")).to_contain_text("line 2")
    expect(page.locator("[data-findings]")).to_contain_text("1 error")
    page.once("dialog", lambda dialog: dialog.accept())


def test_the_dark_shows_the_mails_own_colours(editor):
    page = editor.page
    expect(mail(page).locator("h1")).to_be_visible()
    page.get_by_role("group", name="How it is shown").get_by_role("button", name="Dark").click()
    expect(mail(page).locator("body")).to_have_css("background-color", "rgb(17, 17, 17)")


def test_what_is_written_is_drawn_in_colours_right_behind_it(editor):
    area, ink = editor.page.locator("#f-body_html"), editor.page.locator(".code-ink").first
    assert ink.inner_text().rstrip("\n") == area.input_value().rstrip("\n")
    assert ink.locator(".ink-print").first.inner_text() == "{{ name }}"
    assert ink.locator(".ink-statement").first.inner_text() == "{% for bulb in bulbs %}"
    boxes = [each.bounding_box() for each in (area, ink)]
    assert abs(boxes[0]["x"] - boxes[1]["x"]) < 1
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 1


def test_a_mail_can_do_nothing_in_its_frame(editor):
    page = editor.page
    page.fill("#f-body_html", '<h1>x</h1><script>parent.stolen = 1; document.title = "run"</script>')
    expect(mail(page).locator("h1")).to_have_text("x")
    assert page.evaluate("window.stolen === undefined")
    assert page.frames[-1].evaluate("document.title") != "run"
    # Chromium tells that it refused to run it.
    assert all("script" in complaint.lower() for complaint in editor.complaints)
    editor.complaints.clear()
    page.once("dialog", lambda dialog: dialog.accept())


def test_a_draft_is_saved_looked_at_and_activated(visit, site):
    visitor = visit("editor")
    page = visitor.page
    visitor.open("/admin/template-editor/?kind=template&channel=email&slug=hello&name=Hello")
    page.fill("#f-subject", "Hello {{ name }}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Hello")
    assert site.app.templates.get("hello", Channel.EMAIL).active_version is None
    page.get_by_role("button", name="Activate").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("#f-why").fill("it is good")
    dialog.get_by_role("button", name="Activate").click()
    expect(page.locator(".note-success")).to_contain_text("Version 1 of hello is active")
    assert site.app.templates.get("hello", Channel.EMAIL).active_version == 1


def test_a_template_can_be_written_without_a_script(visit, site):
    visitor = visit("editor", script=False)
    page = visitor.page
    visitor.open(SPRING)
    page.get_by_role("button", name="Phone").click()
    expect(page.frame_locator("iframe[name=preview]").locator("h1")).to_have_text("Spring is here, Ada")
    page.fill("#f-body_html", "<p>{% if %}")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("[data-findings]")).to_contain_text("line 1")
    assert page.input_value("#f-body_html").strip() == "<p>{% if %}"


def test_the_editor_fits_a_telephone_while_something_is_written(visit):
    visitor = visit("editor", width=min(WIDTHS))
    visitor.open(SPRING)
    visitor.page.fill("#f-body_html", f"<p>{'long ' * 200}</p>\n{{{{ name }}}}")
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    assert not visitor.is_too_wide()
