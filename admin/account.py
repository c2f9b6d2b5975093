"""One's own account: password, second factor, where one is signed in."""

from datetime import timedelta

from flask import flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import logout_user

from admin import people
from admin.page import Page, expose, safe
from app.domain import qr
from app.errors import Conflict, Faults, Invalid, Unauthenticated
from app.services import passwords
from app.services.second_factor import address_of, new_secret
from app.services.sessions import end_all

THEMES = frozenset({"auto", "light", "dark"})

_YEAR = timedelta(days=365)


class AccountPage(Page):
    """What somebody may change about themselves."""

    key = "account"
    title = "Your account"

    @expose("/")
    def index(self) -> str:
        """Show the account and its open sessions."""
        signed = people.person().signed
        return self.show(
            "console/account.html",
            sessions=self.app.sessions.of(signed.user_id, now=people.now()),
            second_factor=self.app.second_factor.is_on(signed.user_id),
        )

    @expose("/password")
    def password_form(self) -> str:
        """Ask for a new password."""
        return self._password_form()

    @expose("/password", methods=("POST",))
    def password(self) -> ResponseReturnValue:
        """Change the password, and sign out everywhere else."""
        signed = people.person().signed
        new = request.form.get("password", "")
        try:
            faults = Faults()
            if new != request.form.get("again", ""):
                faults.add("again", "is not the same as above")
            current = request.form.get("current", "")
            faults.of(passwords.check_own, self.app.engine, signed.user_id, current=current, new=new)
            faults.end()
            passwords.change_own(
                self.app.engine,
                people.who(),
                signed.user_id,
                current=current,
                new=new,
                session_id=signed.session_id,
                now=people.now(),
            )
        except Invalid as exc:
            return self._password_form({fault.field: fault.message for fault in exc.faults}), 422
        flash("Your password is changed. You are signed out everywhere else.", "success")
        return redirect(url_for("home.index"))

    @expose("/sign-out", methods=("POST",))
    def sign_out(self) -> ResponseReturnValue:
        """End this session."""
        self.app.sessions.end(people.person().signed.session_id, now=people.now())
        logout_user()
        session.clear()
        flash("You are signed out.", "success")
        return redirect(url_for("signing_in.form"))

    @expose("/theme", methods=("POST",))
    def theme(self) -> ResponseReturnValue:
        """Remember which colours somebody wants, in a cookie of their browser."""
        answer = redirect(safe(request.form.get("back_to")))
        wanted = request.form.get("theme", "")
        if wanted in THEMES:
            answer.set_cookie(
                "tocsin-theme", wanted, max_age=_YEAR, path="/admin", samesite="Lax",
                secure=request.is_secure, httponly=True,
            )  # fmt: skip
        return answer

    @expose("/end-session", methods=("POST",))
    def end_session(self) -> ResponseReturnValue:
        """End one of the sessions."""
        session_id = request.form.get("session", type=int) or 0
        ended = self.app.sessions.end_one_of(people.person().signed.user_id, session_id, now=people.now())
        flash("That session is ended." if ended else "That session had ended already.", "success")
        return redirect(url_for("account.index"))

    @expose("/end-others", methods=("POST",))
    def end_others(self) -> ResponseReturnValue:
        """Sign out everywhere else."""
        signed = people.person().signed
        with self.app.engine.begin() as conn:
            ended = end_all(conn, signed.user_id, now=people.now(), but=signed.session_id)
        flash(f"Signed out of {ended} other sessions.", "success")
        return redirect(url_for("account.index"))

    @expose("/second-factor")
    def second_factor(self) -> ResponseReturnValue:
        """Offer a secret for a telephone."""
        if self.app.second_factor.is_on(people.person().signed.user_id):
            return redirect(url_for("account.index"))
        secret = session.setdefault("enrolling", new_secret())
        return self._enrolment(secret)

    @expose("/second-factor", methods=("POST",))
    def second_factor_on(self) -> ResponseReturnValue:
        """Turn the second factor on, once a code shows that the telephone has the secret."""
        secret = session.get("enrolling")
        if secret is None:
            return redirect(url_for("account.second_factor"))
        code = "".join(request.form.get("code", "").split())
        user_id = people.person().signed.user_id
        try:
            codes = self.app.second_factor.enrol(people.who(), user_id, secret, code, now=people.now())
        except (Invalid, Conflict) as exc:
            return self._enrolment(secret, str(exc)), 422
        session.pop("enrolling")
        return self.show("console/recovery_codes.html", codes=codes)

    @expose("/second-factor/off", methods=("POST",))
    def second_factor_off(self) -> ResponseReturnValue:
        """Turn the second factor off, for whoever still has it."""
        user_id = people.person().signed.user_id
        code = request.form.get("code", "")
        try:
            self.app.sign_in.by_code(user_id, code, address=people.address(), now=people.now())
        except Unauthenticated as exc:
            flash(str(exc), "danger")
            return redirect(url_for("account.index"))
        self.app.second_factor.remove(people.who(), user_id)
        flash("The second factor is off.", "success")
        return redirect(url_for("account.index"))

    def _password_form(self, faults: dict[str, str] | None = None) -> str:
        return self.show(
            "console/password.html",
            faults=faults or {},
            forced=people.person().signed.must_change_password,
            shortest=passwords.SHORTEST,
        )

    def _enrolment(self, secret: str, fault: str = "") -> str:
        groups = [secret[start : start + 4] for start in range(0, len(secret), 4)]
        address = address_of(secret, people.person().signed.email)
        drawn = qr.squares(address) if len(address.encode()) <= qr.MOST else []
        return self.show(
            "console/second_factor.html",
            groups=groups,
            address=address,
            fault=fault,
            side=len(drawn) + 8,
            path=qr.path(drawn),
        )
