"""The first administrator of a new installation, so that somebody can open the console."""

from dataclasses import dataclass

import sqlalchemy as sa

from app.errors import Conflict
from app.services.audit import Who
from app.services.passwords import generated
from app.services.users import ADMIN, create_user, has_users

EMAIL = "admin@tocsin.internal"

_OURS = Who(actor="job/up")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An administrator, and the password that has to be changed at the first sign-in."""

    email: str
    password: str


def first_administrator(engine: sa.Engine) -> Made | None:
    """Make an administrator where there is nobody; None where there is somebody. Raises Unavailable."""
    if has_users(engine):
        return None
    password = generated()
    try:
        user = create_user(
            engine,
            _OURS,
            EMAIL,
            role=ADMIN,
            password=password,
            name="Administrator",
            must_change_password=True,
        )
    except Conflict:
        # Another process was quicker.
        return None
    return Made(email=user.email, password=password)
