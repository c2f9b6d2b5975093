"""People whom the organisation's provider knows, as users of the console."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.db.engine import unavailable_when_down
from app.db.tables import users
from app.errors import Unauthenticated
from app.services.audit import Who, record
from app.services.openid import Identity
from app.services.sessions import end_all
from app.services.signing_in import Proven

_U = users.c


def admitted(engine: sa.Engine, identity: Identity, *, origin: str, now: datetime) -> Proven:
    """Find, or make, the user that somebody is, with the role that the provider's claims give.

    An account that is there already is taken over by its verified email, once. Raises Unauthenticated for who
    has no role or was shut out, Unavailable.
    """
    if identity.role is None:
        raise Unauthenticated("Your organisation gives you no role here. Ask an administrator.")
    try:
        with unavailable_when_down(), engine.begin() as conn:
            row = _known(conn, identity) or _made(conn, identity, origin)
            if not row.is_active:
                raise Unauthenticated("Your account was shut. Ask an administrator.")
            _follow_role(conn, row, identity.role, origin, now)
    except IntegrityError as exc:
        raise Unauthenticated("Somebody else is signing in as you just now. Try again.") from exc
    return Proven(user_id=row.id, needs_code=row.totp_secret is not None)


def _known(conn: sa.Connection, identity: Identity) -> sa.Row[Any] | None:
    query = sa.select(users).with_for_update()
    row = conn.execute(query.where(_U.oidc_subject == identity.subject)).one_or_none()
    if row is not None or identity.email is None:
        return row
    taken = sa.and_(_U.email == identity.email, _U.oidc_subject.is_(None))
    row = conn.execute(query.where(taken)).one_or_none()
    if row is not None:
        conn.execute(sa.update(users).where(_U.id == row.id).values(oidc_subject=identity.subject))
        record(conn, Who(actor="console/oidc"), "user.link", f"user {row.id}")
    return row


def _made(conn: sa.Connection, identity: Identity, origin: str) -> sa.Row[Any]:
    if identity.email is None:
        raise Unauthenticated("Your organisation does not say that your email is verified.")
    values = {
        "email": identity.email,
        "name": identity.name[:200],
        "role": identity.role,
        "oidc_subject": identity.subject,
    }
    row = conn.execute(sa.insert(users).values(values).returning(users)).one()
    after = {"role": identity.role}
    record(conn, Who(actor="console/oidc", origin=origin), "user.create", f"user {row.id}", after=after)
    return row


def _follow_role(conn: sa.Connection, row: sa.Row[Any], role: str, origin: str, now: datetime) -> None:
    """Give the role that the provider says; with another one, sessions end as they always do."""
    if row.role == role:
        return
    conn.execute(sa.update(users).where(_U.id == row.id).values(role=role))
    end_all(conn, row.id, now=now)
    who = Who(actor="console/oidc", origin=origin)
    before, after = {"role": row.role}, {"role": role}
    record(conn, who, "user.set_role", f"user {row.id}", before=before, after=after)
