"""Who runs a command, and the services that serve it."""

import os
import pwd
from contextlib import suppress

import click

from app import logs
from app import settings as config
from app.bootstrap import App, build
from app.domain.callers import SCOPES, Caller
from app.errors import ConfigurationError, Conflict
from app.services.audit import Who
from app.services.keys import ClientView, create_client, list_clients
from app.settings import Settings

# What a command does, and what holds a row open while another is written.
_CONNECTIONS = 4
_CLIENT = "local"


def application() -> App:
    """Make the services of this command; raises ConfigurationError that says what to start or to set."""
    settings = reachable(config.load())
    logs.configure(settings)
    app = build(settings, "command", connections=_CONNECTIONS)
    click.get_current_context().call_on_close(app.engine.dispose)
    return app


def reachable(settings: Settings) -> Settings:
    """Give the settings back where they name servers, their own or those of a running `tocsin up`."""
    missing = [
        variable
        for variable, url in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url))
        if not url
    ]
    if missing:
        raise ConfigurationError(f"Nothing runs here: start `bin/tocsin up`, or set {' and '.join(missing)}.")
    return settings


def operator() -> Who:
    """Name the person at this terminal, as the audit log is to have it."""
    return Who(actor=f"cli/{_user()}")


def local_caller(app: App) -> Caller:
    """Give the caller that commands send as: the client `local`, with every scope."""
    client = _find(app) or _make(app)
    return Caller(client_id=client.id, name=client.name, scopes=frozenset(SCOPES))


def _find(app: App) -> ClientView | None:
    return next((client for client in list_clients(app.engine) if client.name == _CLIENT), None)


def _make(app: App) -> ClientView:
    with suppress(Conflict):
        return create_client(app.engine, operator(), _CLIENT, description="Commands on this machine")
    # Somebody else made it in the same moment.
    found = _find(app)
    if found is None:
        raise Conflict(f"The client {_CLIENT!r} was just made and is gone again; try once more.")
    return found


def _user() -> str:
    uid = os.getuid()
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
