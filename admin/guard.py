"""What every request of the console has to pass: same site, signed in, a right in the table."""

from flask import Flask, abort, g, redirect, request, session, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response

from admin import people
from admin.rights import BEFORE_ALL_ELSE, PUBLIC
from app.bootstrap import App

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_OWN_SITE = (None, "same-origin", "none")


def install(flask: Flask, app: App) -> None:
    """Have every request of the application checked; nothing is reached that the table does not allow."""
    proxies = app.settings.trusted_proxies

    def note_proxies() -> None:
        g.proxies = proxies

    flask.before_request(note_proxies)
    CSRFProtect(flask)
    people.login_manager(app).init_app(flask)
    flask.before_request(_same_site)
    flask.before_request(_allowed)


def right_of() -> str:
    """Name the right that the request needs: its endpoint, or its page and the action that it names."""
    endpoint = request.endpoint or ""
    action = (request.view_args or {}).get("action")
    return f"{request.blueprint}.{action}" if action else endpoint


def _same_site() -> None:
    """Refuse changes that another site had a browser send, besides what the token in forms proves."""
    if request.method in CHANGING and request.headers.get("Sec-Fetch-Site") not in _OWN_SITE:
        abort(403, "The request came from another site.")


def _allowed() -> Response | None:
    if request.endpoint is None:
        # Nobody learns which pages there are without signing in.
        return None if people.is_signed_in() else _to_sign_in()
    if request.endpoint in PUBLIC:
        return None
    if not people.is_signed_in():
        return _to_sign_in()
    person = people.person()
    if person.signed.must_change_password and request.endpoint not in BEFORE_ALL_ELSE:
        return redirect(url_for("account.password_form"))
    if not person.may(right_of()):
        abort(403)
    return None


def _to_sign_in() -> Response:
    if request.endpoint == "home.live":
        # An event stream has no use for a page; this status ends it for good.
        abort(401)
    if request.method == "GET":
        session["then"] = request.full_path.rstrip("?")
    return redirect(url_for("signing_in.form"))
