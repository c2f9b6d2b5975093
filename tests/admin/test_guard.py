"""Who may do what, and what every answer says: held against every endpoint that there is."""

import re
from contextlib import ExitStack
from pathlib import Path

import flask_admin.contrib.sqla
import pytest
from flask_admin import expose as flask_admin_expose
from pydantic import SecretStr

import admin
from admin.application import create_console
from admin.menu import FURTHER, GROUPS
from admin.page import Page
from admin.rights import PUBLIC, RIGHTS, Role, may
from app.api.operations import Share
from app.bootstrap import App
from app.db.engine import make_engine
from tests.admin.conftest import ROLES, Browser

PAGES = [page for group in GROUPS for page in group.pages] + list(FURTHER)
FILES = sorted(Path(admin.__file__).parent.rglob("*.html"))


def place(rule):
    """A path that the rule takes, of something that there is not."""
    path = re.sub(r"<uuid:[^>]+>", "00000000-0000-7000-8000-000000000000", rule.rule)
    return re.sub(r"<[^>]+>", "1", path)


def endpoints(console):
    return {rule.endpoint for rule in console.url_map.iter_rules()}


def page_rules(console):
    """Every rule of the console that somebody must be signed in for."""
    return [rule for rule in console.url_map.iter_rules() if rule.endpoint not in PUBLIC]


def named(console, kind):
    return {
        page.key: page
        for blueprint in console.extensions["admin"]
        for page in blueprint._views
        if isinstance(page, kind)
    }


def test_every_view_is_in_the_table_of_rights(console):
    actions = {f"{key}.do" for key in named(console, Page)}
    assert endpoints(console) - PUBLIC - actions <= RIGHTS.keys()


def test_every_action_is_in_the_table_of_rights(console):
    wanted = {f"{key}.{name}" for key, page in named(console, Page).items() for name in page.actions}
    assert wanted <= RIGHTS.keys()


def test_what_is_not_in_the_table_of_rights_nobody_may_do():
    assert [role for role in Role if may(role, "messages.shred")] == []


def test_an_action_has_no_name_that_a_view_has(console):
    for key, page in named(console, Page).items():
        views = {endpoint for endpoint in endpoints(console) if endpoint.startswith(f"{key}.")}
        assert not views & {f"{key}.{name}" for name in page.actions}


def test_who_may_do_anything_may_also_look(console):
    for right, roles in RIGHTS.items():
        page = right.partition(".")[0]
        assert roles <= RIGHTS[f"{page}.index"], right


def test_no_viewer_changes_anything_but_their_own_account(console):
    changing = {
        rule.endpoint
        for rule in page_rules(console)
        if "POST" in rule.methods and not rule.endpoint.endswith(".do")
    }
    actions = {f"{key}.{name}" for key, page in named(console, Page).items() for name in page.actions}
    theirs = {right for right in changing | actions if may(Role.VIEWER, right)}
    assert {right for right in theirs if not right.startswith("account.")} == set()


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_a_view_or_an_action_that_the_role_may_not_have_is_403(console, as_role, role):
    browser = as_role(role)
    asked = []
    for rule in page_rules(console):
        if not rule.arguments and not rule.endpoint.endswith(".do") and not may(role, rule.endpoint):
            ask = browser.get if "GET" in rule.methods else browser.post
            asked.append((rule.endpoint, ask(rule.rule).status_code))
    for key, page in named(console, Page).items():
        for name in page.actions:
            if not may(role, f"{key}.{name}"):
                answer = browser.post(f"/admin/{page.path}/do/{name}", {"selected": "1"})
                asked.append((f"{key}.{name}", answer.status_code))
    assert asked
    assert {status for _, status in asked} == {403}, asked


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_the_pages_that_it_may(as_role, role):
    browser = as_role(role)
    for page in PAGES:
        path = "/admin/" if page.key == "home" else f"/admin/{page.key.replace('_', '-')}/"
        expected = 200 if may(role, f"{page.key}.index") else 403
        assert (path, browser.get(path).status_code) == (path, expected)


def test_nobody_reaches_a_view_without_signing_in(console, stranger):
    for rule in page_rules(console):
        path = place(rule)
        answer = stranger.client.get(path)
        expected = (401, None) if rule.endpoint == "home.live" else (302, "/admin/sign-in")
        if "GET" in rule.methods:
            assert (path, answer.status_code, answer.location) == (path, *expected)


def test_every_change_needs_the_forms_token(console, as_role):
    browser = as_role("admin")
    for rule in console.url_map.iter_rules():
        if "POST" in rule.methods:
            path = place(rule)
            for token in ("", "IjAwMDAi.aSCxyw.AAAAAAAAAAAAAAAAAAAAAAAAAAA"):
                answer = browser.post(path, {"csrf_token": token})
                assert (path, answer.status_code) == (path, 400)


def test_a_change_that_another_site_had_sent_is_refused_even_with_a_token(as_role):
    browser = as_role("viewer")
    answer = browser.post("/admin/account/end-others", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert browser.post("/admin/account/end-others").status_code == 302


def test_nothing_is_changed_by_a_get(console):
    for rule in page_rules(console):
        assert not {"GET", "POST"} <= rule.methods, rule.rule
        if rule.endpoint.endswith(".do"):
            assert "GET" not in rule.methods


# Headers


def test_every_answer_forbids_what_is_foreign_inline_or_framed(console, as_role, stranger):
    browser = as_role("admin")
    paths = ["/admin/", "/admin/nowhere", "/admin/live", "/admin/assets/console.css", "/admin/bootstrap.css"]
    for answer in [browser.get(path) for path in paths] + [stranger.get("/admin/sign-in")]:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_are_not_kept_and_assets_are(as_role):
    browser = as_role("viewer")
    page = browser.get("/admin/")
    assert page.headers["Cache-Control"] == "no-store"
    for path in re.findall(r'(?:href|src)="(/admin/[^"]+\?v=[^"]+)"', page.text):
        answer = browser.get(path)
        assert (path, answer.status_code) == (path, 200)
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_template_holds_what_the_policy_forbids(path):
    text = re.sub(r"{#.*?#}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"\sstyle\s*=|<style|\son[a-z]+\s*=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"""(?:href|src|action)=["'](?:https?:)?//""", text)


# What Flask-Admin would do by itself


def test_no_page_is_a_model_view_that_counts_skips_or_shows_every_column(console):
    assert not named(console, flask_admin.contrib.sqla.ModelView)


def test_of_flask_admins_own_files_only_the_style_sheet_is_served(stranger):
    assert stranger.get("/admin/bootstrap.css").status_code == 200
    for path in ("/admin/static/admin/js/helpers.js", "/static/admin/admin/js/helpers.js"):
        assert stranger.get(path).status_code != 200


def test_neither_the_redis_shell_nor_the_file_manager_is_there(console):
    modules = {kind.__module__ for page in named(console, Page).values() for kind in type(page).__mro__}
    assert not [module for module in modules if module.startswith("flask_admin.contrib")]
    everything = [page for each in console.extensions["admin"] for page in each._views]
    assert all(isinstance(page, Page) for page in everything)


def test_a_fault_in_a_view_is_not_hidden_by_a_second_call(app):
    calls = []

    class Faulty(Page):
        key, title = "faulty", "Faulty"

        @flask_admin_expose("/")
        def index(self):
            calls.append(1)
            raise TypeError("ours")

    page = Faulty(app)
    with pytest.raises(TypeError, match="ours"):
        page._run_view(Faulty.index.__wrapped__)
    assert calls == [1]


# Errors


@pytest.mark.parametrize(
    ("path", "status", "todo"),
    [("/admin/nowhere", 404, "Go on from the menu"), ("/admin/account/sign-out", 405, "Use the buttons")],
)
def test_an_error_says_what_to_do(as_role, path, status, todo):
    answer = as_role("viewer").get(path)
    assert answer.status_code == status
    assert todo in answer.text


def test_without_the_database_a_page_says_so(app):
    settings = app.settings.model_copy(update={"secret_key": SecretStr("x" * 40)})
    engine = make_engine("postgresql://nobody@127.0.0.1:9/none", pool=2, name="test")
    browser = Browser(create_console(App(settings=settings, engine=engine, name="test")).test_client())
    answer = browser.sign_in("viewer@example.com")
    assert answer.status_code == 503
    assert "tocsin diagnose" in answer.text


def test_too_many_at_once_are_sent_away_for_a_moment(console, as_role):
    browser = as_role("viewer")
    share = console.extensions["tocsin.shares"]
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(share.held(Share.CONSOLE))
        answer = browser.get("/admin/")
        assert answer.status_code == 503
        assert "Try again in a few seconds" in answer.text
    assert browser.get("/admin/").status_code == 200


def test_a_pages_files_come_also_where_the_share_is_full(console, as_role):
    browser = as_role("viewer")
    files = re.findall(r'(?:href|src)="(/admin/assets/[^"]+)"', browser.get("/admin/").text)
    share = console.extensions["tocsin.shares"]
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(share.held(Share.CONSOLE))
        assert len(files) > 2
        assert {browser.get(file).status_code for file in files} == {200}
