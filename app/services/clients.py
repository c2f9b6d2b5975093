"""API clients: the modules that call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients
from app.errors import Conflict, Invalid, NotFound
from app.services.audit import Who, record
from app.services.field_rules import name_faults

_C = api_clients.c


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientView:
    """A calling module."""

    id: int
    name: str
    description: str
    is_active: bool
    created_at: datetime


def create_client(engine: sa.Engine, who: Who, name: str, *, description: str = "") -> ClientView:
    """Make a client; raises Invalid, and Conflict where the name is taken."""
    found = list(name_faults("name", name))
    if found:
        raise Invalid(found)
    with unavailable_when_down(), engine.begin() as conn:
        row = insert_client(conn, name, description)
        if row is None:
            raise Conflict(f"there is a client {name!r} already")
        record(conn, who, "client.create", f"client:{row.id}", after={"name": name})
    return _view(row)


def list_clients(engine: sa.Engine) -> tuple[ClientView, ...]:
    """List all clients by name."""
    with unavailable_when_down(), engine.connect() as conn:
        return tuple(_view(row) for row in conn.execute(sa.select(api_clients).order_by(_C.name)))


def insert_client(conn: sa.Connection, name: str, description: str) -> sa.Row[Any] | None:
    """Write a client's row; None where there is one of that name."""
    statement = (
        postgresql.insert(api_clients)
        .values(name=name, description=description)
        .on_conflict_do_nothing(constraint="api_clients_name_key")
        .returning(*_C)
    )
    return conn.execute(statement).one_or_none()


def client_named(conn: sa.Connection, name: str) -> sa.Row[Any]:
    """Read a client's row; raises NotFound."""
    row = conn.execute(sa.select(api_clients).where(_C.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no client {name!r}")
    return row


def _view(row: sa.Row[Any]) -> ClientView:
    return ClientView(
        id=row.id,
        name=row.name,
        description=row.description,
        is_active=row.is_active,
        created_at=row.created_at,
    )
