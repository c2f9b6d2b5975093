"""What a browser adds to signing in, to actions and to Home."""

import re

import sqlalchemy as sa
from playwright.sync_api import expect

from app.db.tables import audit_log, message_queue, user_sessions
from tests.admin.conftest import PASSWORD


def sign_in(visitor, password=PASSWORD):
    visitor.open("/admin/account/")
    visitor.page.fill("#f-email", "editor@example.com")
    visitor.page.fill("#f-password", password)
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")


def test_one_signs_in_and_out_without_any_script(visit, site):
    visitor = visit(None, script=False)
    sign_in(visitor)
    assert visitor.page.url.endswith("/admin/account/")
    visitor.page.click("nav.side >> text=Sign out")
    visitor.page.wait_for_url(re.compile("/admin/sign-in$"))
    visitor.open("/admin/account/")
    assert visitor.page.url.endswith("/admin/sign-in")
    with site.app.engine.connect() as conn:
        query = sa.select(user_sessions.c.revoked_at).order_by(user_sessions.c.id.desc()).limit(1)
        assert conn.execute(query).scalar() is not None


def test_a_wrong_password_says_so_and_keeps_the_email(visit):
    visitor = visit(None)
    sign_in(visitor, "wrong, and long enough")
    assert "That did not work" in visitor.page.text_content("[role=alert]")
    assert visitor.page.input_value("#f-email") == "editor@example.com"
    # Chromium itself tells of a 401.
    assert len(visitor.complaints) == 1
    visitor.complaints.clear()


def test_home_follows_what_happens_without_being_loaded_again(visit, site):
    visitor = visit("admin")
    visitor.open("/admin/")
    due = visitor.page.locator("#live-lanes tr", has_text="P4").locator("td").nth(1)
    assert due.inner_text().strip() == "0"
    with site.app.engine.begin() as conn:
        query = sa.select(message_queue).where(message_queue.c.priority == "P1").limit(1)
        row = dict(conn.execute(query).mappings().one())
        for name in ("id", "uuid"):
            row.pop(name)
        values = {**row, "priority": "P4", "message_type": "transactional"}
        (added,) = conn.execute(sa.insert(message_queue).values(values).returning(message_queue.c.id)).one()
        conn.exec_driver_sql("INSERT INTO lane_flows VALUES ('P4', 'email', 1) ON CONFLICT DO NOTHING")
    expect(due).to_have_text("1")
    with site.app.engine.begin() as conn:
        conn.execute(sa.delete(message_queue).where(message_queue.c.id == added))


def test_home_says_all_without_a_script(visit):
    visitor = visit("admin", script=False)
    visitor.open("/admin/?span=day&by=priority")
    text = visitor.page.inner_text("main")
    for word in ("P0", "postal", "No scheduler leads", "Sent, by priority", "Load the page again"):
        assert word in text


def test_the_chart_tells_its_figures_to_a_pointer_and_to_the_keyboard(visit):
    visitor = visit("admin")
    visitor.open("/admin/")
    chart = visitor.page.locator("[data-chart]")
    chart.hover()
    expect(visitor.page.locator("[data-tip]")).to_contain_text("sent:")
    visitor.page.mouse.move(0, 0)
    chart.focus()
    visitor.page.keyboard.press("ArrowRight")
    first = visitor.page.inner_text("[data-tip]")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.page.inner_text("[data-tip]") != first


def test_what_is_read_on_the_chart_stays_when_new_figures_come(visit):
    visitor = visit("admin")
    visitor.open("/admin/")
    visitor.page.locator("[data-chart]").hover()
    expect(visitor.page.locator("[data-tip]")).to_contain_text("sent:")
    part = visitor.page.locator("[id^=live-]:has([data-chart])")
    part.evaluate("part => { part.dataset.html = 'of before' }")
    expect(part).not_to_have_attribute("data-html", "of before")
    expect(visitor.page.locator("[data-tip]")).to_contain_text("sent:")


def test_colours_are_chosen_at_once_and_remembered(visit):
    visitor = visit("admin")
    visitor.open("/admin/account/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visitor.page.evaluate(ground)
    with visitor.page.expect_response("**/account/theme"):
        visitor.page.click("nav.side >> text=Dark")
    assert visitor.page.evaluate(ground) != light
    visitor.open("/admin/account/")
    assert visitor.page.get_attribute("html", "data-theme") == "dark"


def test_times_are_in_the_viewers_zone_with_utc_on_hover(visit):
    visitor = visit("admin")
    visitor.open("/admin/account/")
    time = visitor.page.locator("td[data-label=Since] time").first
    utc = time.get_attribute("title")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", utc)
    # Amsterdam is an hour or two ahead.
    hour = int(re.search(r"(\d\d):\d\d:\d\d", time.inner_text())[1])
    assert (hour - int(utc[11:13])) % 24 in {1, 2}


def test_a_telephones_menu_opens_by_keyboard_and_leads_on(visit):
    visitor = visit("admin", width=360)
    visitor.open("/admin/account/")
    assert not visitor.page.is_visible("nav.menu-sheet")
    visitor.page.locator("summary", has_text="Menu").focus()
    visitor.page.keyboard.press("Enter")
    assert visitor.page.is_visible("nav.menu-sheet")
    visitor.page.keyboard.press("Escape")
    assert not visitor.page.is_visible("nav.menu-sheet")


def test_the_first_stop_of_the_keyboard_skips_to_the_content(visit):
    visitor = visit("admin")
    visitor.open("/admin/account/")
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.className") == "skip"
    visitor.page.keyboard.press("Enter")
    assert visitor.page.evaluate("document.activeElement.id") == "content"


def test_an_action_asks_in_a_dialog_and_does_what_is_confirmed_there(visit, site):
    visitor = visit("admin")
    visitor.open("/admin/users/")
    row = visitor.page.locator("tr", has_text="viewer@example.com")
    row.locator("button[formaction$='/do/sign_out']").click()
    dialog = visitor.page.locator("dialog[open]")
    dialog.locator("h1").wait_for()
    assert visitor.violations() == []
    visitor.page.keyboard.press("Escape")
    assert not visitor.page.locator("dialog[open]").count()
    row.locator("button[formaction$='/do/sign_out']").click()
    dialog.locator("[name=why]").fill("A lost laptop")
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")
    assert visitor.page.url.endswith("/admin/users/")
    with site.app.engine.connect() as conn:
        query = sa.select(audit_log.c.actor, audit_log.c.why).where(audit_log.c.action == "user.sign_out")
        assert conn.execute(query).all() == [("console/admin@example.com", "A lost laptop")]


def test_an_action_asks_on_a_page_of_its_own_without_a_script(visit):
    visitor = visit("admin", script=False)
    visitor.open("/admin/users/")
    with visitor.page.expect_navigation():
        visitor.page.locator("button[formaction$='/do/sign_out']").first.click()
    assert visitor.page.is_visible("#confirm [name=why]")
    visitor.page.click("[data-close]")
    assert visitor.page.url.endswith("/admin/users/")


def test_where_no_row_was_ticked_that_is_said_once(visit):
    page = (visitor := visit("operator")).page
    visitor.open("/admin/messages/")
    page.click("button:has-text('Cancel')")
    expect(page.locator(".note", has_text="Nothing was selected")).to_have_count(1)
