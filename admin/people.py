"""Who is signed in, as Flask-Login sees it: what names a person to it is the session's token."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import g, request
from flask_login import LoginManager, UserMixin, current_user

from admin.rights import may
from app.api.access import address_of
from app.bootstrap import App
from app.services.audit import Who
from app.services.sessions import Signed

# Asked every two seconds by each viewer: it neither keeps a session alive nor costs a query each time.
WATCHING = "home.live"

_BELIEVED = timedelta(seconds=10)
_MOST_BELIEVED = 1000


class Recent:
    """Sessions that were found a moment ago; one that was ended goes on watching for ten seconds at most."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[datetime, Signed]] = {}

    def find(self, token: str, at: datetime) -> Signed | None:
        """Give the session if it was found lately and still lasts."""
        until, signed = self._known.get(token, (at, None))
        return signed if signed is not None and at < min(until, signed.expires_at) else None

    def note(self, token: str, signed: Signed | None, at: datetime) -> Signed | None:
        """Remember what was found; gives it back."""
        if len(self._known) >= _MOST_BELIEVED:
            self._known.clear()
        self._known.pop(token, None)
        if signed is not None:
            self._known[token] = (at + _BELIEVED, signed)
        return signed


class Person(UserMixin):  # type: ignore[misc] # Flask-Login has no types.
    """Somebody who is signed in, and the session they are in."""

    def __init__(self, token: str, signed: Signed) -> None:
        self.token = token
        self.signed = signed

    def get_id(self) -> str:
        return self.token

    @property
    def called(self) -> str:
        """What to call them: their name, else their email."""
        return self.signed.name or self.signed.email

    def may(self, right: str) -> bool:
        """Tell whether they may do what `admin/rights.py` names so."""
        return may(self.signed.role, right)


def login_manager(app: App) -> LoginManager:
    """Make Flask-Login look tokens up among the sessions; those that are watched do not last on by it."""
    manager = LoginManager()
    # Our own sessions know better, and its "strong" would sign people out who change networks.
    manager.session_protection = None

    recent = Recent()

    def find(token: str) -> Person | None:
        at = datetime.now(UTC)
        if request.endpoint != WATCHING:
            signed = app.sessions.find(token, now=at)
        else:
            signed = recent.find(token, at)
            if signed is None:
                signed = recent.note(token, app.sessions.find(token, now=at, used=False), at)
        return None if signed is None else Person(token, signed)

    manager.user_loader(find)
    return manager


def person() -> Person:
    """Give who is signed in; only for views that the guard lets nobody else into."""
    found: Person = current_user._get_current_object()  # noqa: SLF001 - Flask-Login's documented way.
    return found


def who() -> Who:
    """Name who is signed in, as the audit log is to have it."""
    return Who(actor=f"console/{person().signed.email}", origin=address())


def address() -> str:
    """Tell where the request comes from."""
    if not hasattr(g, "address"):
        g.address = address_of(request.environ, g.proxies)
    return str(g.address)


def is_signed_in() -> bool:
    """Tell whether anybody is."""
    return bool(current_user.is_authenticated)


def now() -> datetime:
    """Tell the time of the request."""
    if not hasattr(g, "now"):
        g.now = datetime.now(UTC)
    found: Any = g.now
    return found  # type: ignore[no-any-return]
