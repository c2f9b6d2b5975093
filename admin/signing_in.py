"""Signing in: password, then the code of a second factor where there is one."""

from dataclasses import asdict
from datetime import timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_user

from admin import people
from admin.page import safe
from app.bootstrap import App
from app.errors import Unauthenticated, Unavailable
from app.services.openid import Journey
from app.services.openid_users import admitted
from app.services.signing_in import Proven

# Between the password and the code.
_HALFWAY = timedelta(minutes=5)


def blueprint(app: App) -> Blueprint:
    """Make the views that are reached without being signed in."""
    made = Blueprint("signing_in", __name__, url_prefix="/admin/sign-in")
    door = Door(app)
    made.add_url_rule("", "form", door.form, methods=["GET"])
    made.add_url_rule("", "password", door.password, methods=["POST"])
    made.add_url_rule("/code", "code_form", door.code_form, methods=["GET"])
    made.add_url_rule("/code", "code", door.code, methods=["POST"])
    made.add_url_rule("/oidc", "oidc_start", door.oidc_start, methods=["GET"])
    made.add_url_rule("/oidc/return", "oidc_return", door.oidc_return, methods=["GET"])
    return made


class Door:
    """The views, each as Flask calls it."""

    def __init__(self, app: App) -> None:
        self._app = app

    def form(self) -> ResponseReturnValue:
        """Ask who it is."""
        return redirect(url_for("home.index")) if people.is_signed_in() else self._form()

    def password(self) -> ResponseReturnValue:
        """Check a password, and let in whom it suffices for."""
        email, given = request.form.get("email", ""), request.form.get("password", "")
        sign_in = self._app.sign_in
        try:
            proven = sign_in.by_password(email, given, address=people.address(), now=people.now())
        except Unauthenticated as exc:
            return self._form(email=email, fault=str(exc)), 401
        return self._go_on(proven)

    def oidc_start(self) -> ResponseReturnValue:
        """Send somebody to the organisation's provider."""
        openid = self._app.openid
        if openid is None:
            abort(404)
        journey = Journey()
        try:
            address = openid.address(journey, self._back(), now=people.now())
        except Unavailable as exc:
            return self._form(fault=f"Not now: {exc}. Try again, or use a password."), 503
        session["journey"] = asdict(journey)
        return redirect(address)

    def oidc_return(self) -> ResponseReturnValue:
        """Let in whom the provider vouches for."""
        openid, kept = self._app.openid, session.pop("journey", None)
        if openid is None or kept is None:
            return redirect(url_for("signing_in.form"))
        try:
            identity = openid.identity(Journey(**kept), request.args, self._back(), now=people.now())
            proven = admitted(self._app.engine, identity, origin=people.address(), now=people.now())
        except Unauthenticated as exc:
            return self._form(fault=str(exc)), 401
        except Unavailable as exc:
            return self._form(fault=f"Not now: {exc}. Try again, or use a password."), 503
        return self._go_on(proven)

    def _go_on(self, proven: Proven) -> ResponseReturnValue:
        if not proven.needs_code:
            return enter(self._app, proven.user_id)
        session["halfway"] = {"user": proven.user_id, "at": people.now().timestamp()}
        return redirect(url_for("signing_in.code_form"))

    def _back(self) -> str:
        base = self._app.settings.public_base_url or request.host_url
        return base.rstrip("/") + url_for("signing_in.oidc_return")

    def _form(self, **values: str) -> str:
        return render_template("console/sign_in.html", oidc=self._app.openid is not None, **values)

    def code_form(self) -> ResponseReturnValue:
        """Ask for a code."""
        if _halfway() is None:
            return redirect(url_for("signing_in.form"))
        return render_template("console/code.html")

    def code(self) -> ResponseReturnValue:
        """Check the code."""
        user_id = _halfway()
        if user_id is None:
            flash("That took too long. Begin again with your password.", "warning")
            return redirect(url_for("signing_in.form"))
        given = request.form.get("code", "")
        try:
            self._app.sign_in.by_code(user_id, given, address=people.address(), now=people.now())
        except Unauthenticated as exc:
            return render_template("console/code.html", fault=str(exc)), 401
        return enter(self._app, user_id)


def enter(app: App, user_id: int) -> ResponseReturnValue:
    """Open a session for somebody who is proven, and go where they wanted to."""
    then = session.get("then")
    # Nothing from before may be used after, the token of its forms least of all.
    session.clear()
    agent = request.headers.get("User-Agent", "")
    token = app.sessions.open(user_id, origin=people.address(), agent=agent, now=people.now())
    signed = app.sessions.find(token, now=people.now())
    if signed is None:
        raise Unauthenticated("The account was shut meanwhile.")
    login_user(people.Person(token, signed))
    return redirect(safe(then))


def _halfway() -> int | None:
    found = session.get("halfway")
    if found is None or people.now().timestamp() - found["at"] > _HALFWAY.total_seconds():
        return None
    return int(found["user"])
