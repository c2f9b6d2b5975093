"""The console as a WSGI application, and the web process's: the API with the console beside it."""

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache
from importlib import resources
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from flask import Flask, Response, g, request, send_from_directory
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme

from admin import banners, faults, formats, guard, headers, overview, people, signing_in
from admin.leads import lead_of
from admin.menu import FURTHER, GROUPS
from admin.page import Page
from admin.pages import batch_upload
from app.api import application as api
from app.api.calls import ROUTE
from app.api.observing import Observed
from app.api.operations import Share
from app.api.shares import Shares
from app.bootstrap import App
from app.settings import Settings

ROOT = "/admin"

_BOOTSTRAP = f"{ROOT}/bootstrap.css"
_LARGEST_FORM = 2 * 1024 * 1024
# A form with a list of recipients, and what else it says.
_LARGER_FORMS = {"batch_upload.take_in": batch_upload.LARGEST + 256 * 1024}


def create_console(app: App) -> Flask:
    """Make the console with these services; reads its key from the database."""
    flask = Flask("admin", static_url_path=f"{ROOT}/assets", root_path=str(resources.files("admin")))
    https = (app.settings.public_base_url or "").startswith("https:")
    flask.config.update(
        SECRET_KEY=app.console_key,
        SESSION_COOKIE_NAME="__Host-tocsin" if https else "tocsin",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=_LARGEST_FORM,
        MAX_FORM_PARTS=5000,
        # A token is as good as its session, and no Referer is sent that could be looked at.
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
    )
    flask.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    flask.before_request(_note_route)
    flask.before_request(_allow_larger)
    overview.install(flask, app)
    _keep_to_share(flask, Shares(app.settings))
    guard.install(flask, app)
    headers.install(flask, https=https)
    faults.install(flask)
    formats.install(flask)
    flask.register_blueprint(signing_in.blueprint(app))
    app.openid  # noqa: B018 - Made when first asked for, and complains then of half of a configuration.
    pages = _add_pages(flask, app)
    _teach_frame(flask, app, pages)
    flask.wsgi_app = Observed(flask.wsgi_app)  # type: ignore[method-assign]
    return flask


class Joined:
    """The API and the console as one application: a path below /admin is the console's."""

    def __init__(self, interface: WSGIApplication, console: WSGIApplication) -> None:
        self._interface = interface
        self._console = console

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        is_console = path == ROOT or path.startswith(f"{ROOT}/")
        return (self._console if is_console else self._interface)(environ, start_response)


def for_this_process(settings: Settings) -> Joined:
    """Make the web process's application, in the process that is to serve it."""
    app = api.app_of(settings, "web")
    return Joined(api.create_app(app), create_console(app))


def _keep_to_share(flask: Flask, shares: Shares) -> None:
    """Let in as many requests at once as the console's share of the process is.

    Assets are let in beyond that: a page asks for several at once, and each is there in no time.
    """
    flask.extensions["tocsin.shares"] = shares

    def enter() -> None:
        if request.endpoint in headers.ASSETS:
            return
        held = ExitStack()
        held.enter_context(shares.held(Share.CONSOLE))
        g.share = held

    def leave(_error: BaseException | None) -> None:
        if "share" in g:
            g.pop("share").close()

    flask.before_request(enter)
    flask.teardown_request(leave)


def _add_pages(flask: Flask, app: App) -> list[tuple[str, list[Page]]]:
    """Register every page; gives them as the menu shows them."""
    menu = [(group.heading, [page(app) for page in group.pages]) for group in GROUPS]
    home, *others = (page for _, pages in menu for page in pages)
    admin = Admin(
        flask,
        name="Tocsin",
        url=ROOT,
        endpoint=home.key,
        index_view=home,
        theme=Bootstrap4Theme(base_template="console/frame.html"),
    )
    # The one file that we use of Flask-Admin's; its whole folder is nobody's business.
    flask.add_url_rule(_BOOTSTRAP, "bootstrap", _bootstrap)
    admin.add_views(*others, *(page(app) for page in FURTHER))
    return menu


def _teach_frame(flask: Flask, app: App, menu: list[tuple[str, list[Page]]]) -> None:
    """Give the frame what it shows on every page."""
    versions = _versions()
    flask.jinja_env.globals.update(
        asset=lambda name: f"{ROOT}/assets/{name}?v={versions[name]}",
        bootstrap=f"{_BOOTSTRAP}?v=4.6.2",
        menu=menu,
        banners=lambda: _banners(app.settings),
        lead_of=lead_of,
        person=people.person,
        signed_in=people.is_signed_in,
    )


def _banners(settings: Settings) -> list[banners.Banner]:
    if people.is_signed_in():
        return banners.of(settings, overview.watch().look(people.now()))
    return banners.for_strangers(settings)


def _bootstrap() -> Response:
    folder = resources.files("flask_admin").joinpath("static/bootstrap/bootstrap4/css")
    return send_from_directory(str(folder), "bootstrap.min.css")


@cache
def _versions() -> dict[str, str]:
    """Name each of our assets by its content, so that browsers may keep it for ever."""
    files = (each for each in resources.files("admin").joinpath("static").iterdir() if each.is_file())
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest()[:12] for each in files}


def _note_route() -> None:
    request.environ[ROUTE] = request.url_rule.rule if request.url_rule else f"{ROOT}/…"


def _allow_larger() -> None:
    """Let a few forms be larger; before anything reads them."""
    larger = _LARGER_FORMS.get(request.endpoint or "")
    if larger is not None:
        request.max_content_length = larger
