"""Chromium on the real web process: one server, one database and one browser for all of these tests."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

from app import settings as config
from app.bootstrap import build
from app.db.tables import users
from app.embedded.postgres import create_database
from bench.ports import free_port
from tests.admin.browser.filled import fill
from tests.admin.conftest import PASSWORD, people_of_each_role

ROOT = Path(__file__).parents[3]
WIDTHS = (360, 768, 1280)
HEIGHT = 900
LOUD = ("error", "warning")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Site:
    """The running console; `filled` names places that only exist because of what it was filled with."""

    url: str
    app: object
    filled: tuple[str, ...]


@dataclass
class Visitor:
    """A signed-in browser that notes whatever a page complains about."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> int:
        """Go there; gives the status."""
        answer = self.page.goto(self.url + path)
        return answer.status

    def violations(self, *rules: str) -> list[str]:
        """Say what axe finds on the page by some rules, or all, in a line each."""
        only = {"runOnly": list(rules)} if rules else {}
        found = Axe().run(self.page, options={"resultTypes": ["violations"], **only}).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {node['html'][:160]}" for each in found for node in each["nodes"]
        ]

    def is_too_wide(self) -> bool:
        """Tell whether the page scrolls sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium; where it is absent these tests are skipped, unless told that they must run."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("TOCSIN_BROWSER") == "required":
            pytest.fail("Chromium is not installed, and TOCSIN_BROWSER says that it must be.")
        pytest.skip("Chromium is not installed")
    return found


@pytest.fixture(scope="session")
def console_url(databases, template_database) -> str:
    """The address of a database that lasts for all of these tests."""
    create_database(databases.connection, "console", template=template_database)
    return databases.urls("console").application


@pytest.fixture(scope="session")
def site(chromium, console_url, valkey, password_hash, tmp_path_factory) -> Iterator[Site]:
    """The web process, with a person of each role and something on every page."""
    port = free_port()
    environment = {
        "DATABASE_URL": console_url,
        "REDIS_URL": valkey.url(),
        "POSTAL_URL": "http://127.0.0.1:9",
        "POSTAL_API_KEY": "secret",
        "SIMULATED": "true",
        "PORT": str(port),
    }
    own = {name.lower(): value for name, value in environment.items() if name != "PORT"}
    app = build(config.load(_env_file=None, **own), "test")
    with app.engine.begin() as conn:
        conn.execute(sa.insert(users), people_of_each_role(password_hash))
    filled = fill(app)
    log = tmp_path_factory.mktemp("web") / "log"
    with _serving(environment, port, log):
        yield Site(f"http://127.0.0.1:{port}", app, filled)
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


@contextmanager
def _serving(environment, port, log):
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "web"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_it_answers(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_it_answers(port, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    pytest.fail(f"the web process does not answer:\n{log.read_text()}")


@pytest.fixture(scope="session")
def browser(chromium, site):
    """One Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def cookies(browser, site):
    """Gives the cookies of a signed-in person of a role; each signs in once, by the form."""
    known = {}

    def of(role):
        if role not in known:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{site.url}/admin/")
            page.fill("#f-email", f"{role}@example.com")
            page.fill("#f-password", PASSWORD)
            page.click("text=Sign in >> nth=-1")
            page.wait_for_url(re.compile("/admin/$"))
            known[role] = context.cookies()
            context.close()
        return known[role]

    return of


@pytest.fixture
def visit(browser, site, cookies):
    """Gives a visitor of a role (None: a stranger), whose complaints must be none at the end."""
    visitors = []

    def visit(role, *, width=1280, script=True, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT}, java_script_enabled=script, color_scheme=scheme,
            timezone_id="Europe/Amsterdam", locale="en-GB",
        )  # fmt: skip
        context.set_default_timeout(10_000)
        if role:
            context.add_cookies(cookies(role))
        visitor = Visitor(context, context.new_page(), site.url)
        _listen(visitor)
        visitors.append(visitor)
        return visitor

    yield visit
    said = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert not said, said


def _listen(visitor):
    page, said = visitor.page, visitor.complaints
    page.on("console", lambda note: said.append(f"{note.type}: {note.text}") if note.type in LOUD else None)
    page.on("pageerror", lambda error: said.append(f"script: {error}"))
    page.on("request", lambda r: None if _is_own(r.url, visitor.url) else said.append(f"foreign: {r.url}"))


def _is_own(url, own):
    return url.startswith((f"{own}/", "data:", "about:", "blob:"))


@pytest.fixture
def screens():
    """The folder for screenshots, where some are wanted."""
    wanted = os.environ.get("TOCSIN_SCREENS")
    if not wanted:
        return None
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
