"""`tocsin keys`: API keys, whose plain text is shown once."""

from datetime import UTC, datetime, timedelta

import click

from app.bootstrap import App
from app.cli.operator import application, operator
from app.cli.output import json_option, print_json, print_table
from app.cli.parameters import Duration
from app.domain.callers import SCOPES
from app.errors import NotFound
from app.services.keys import (
    KeyView,
    create_client,
    create_key,
    list_clients,
    list_keys,
    revoke_key,
    rotate_key,
)

_COLUMNS = (
    "id",
    "client",
    "name",
    "begins with",
    "state",
    "expires",
    "last used",
    "from",
    "per minute",
    "scopes",
)
_OVERLAP = timedelta(days=7)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command()
@click.argument("client")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(SCOPES)), help="What it may do; repeatable."
)
@click.option("--all-scopes", is_flag=True, help="It may do everything.")
@click.option("--new-client", is_flag=True, help="Make the client too, where there is none of that name.")
@click.option("--expires-in", type=Duration(), help="It ends after this, as in 90d.")
@click.option(
    "--from", "addresses", multiple=True, metavar="CIDR", help="Only from these addresses; repeatable."
)
@click.option("--per-minute", type=click.IntRange(1), help="Requests a minute at most.")
@json_option
def create(
    *,
    client: str,
    name: str,
    scopes: tuple[str, ...],
    all_scopes: bool,
    new_client: bool,
    expires_in: timedelta | None,
    addresses: tuple[str, ...],
    per_minute: int | None,
    as_json: bool,
) -> None:
    """Make a key NAME for the module CLIENT; the key itself is the only thing on standard output."""
    if not scopes and not all_scopes:
        raise click.UsageError(f"Give --scope ({', '.join(SCOPES)}) or --all-scopes.")
    app = application()
    _require_client(app, client, new=new_client)
    view, key = create_key(
        app.engine,
        operator(),
        client,
        name,
        tuple(SCOPES) if all_scopes else scopes,
        expires_at=datetime.now(UTC) + expires_in if expires_in else None,
        allowed_addresses=addresses or None,
        max_per_minute=per_minute,
    )
    _hand_over(view, key, as_json=as_json)


@keys.command("list")
@click.option("--client", help="Only this client's.")
@click.option("--all", "everything", is_flag=True, help="Revoked and expired ones too.")
@json_option
def list_(*, client: str | None, everything: bool, as_json: bool) -> None:
    """List keys, newest first, without their secrets."""
    now = datetime.now(UTC)
    found = [
        key
        for key in list_keys(application().engine, client=client)
        if everything or _state(key, now) == "valid"
    ]
    if as_json:
        print_json({"items": found})
    else:
        print_table(_COLUMNS, [_row(key, now) for key in found], empty="no key")


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@click.option(
    "--overlap", type=Duration(), default=_OVERLAP, show_default="7d", help="The old one still works so long."
)
@json_option
def rotate(*, key_id: int, overlap: timedelta, as_json: bool) -> None:
    """Make a successor of a key; the old one ends after the overlap."""
    view, key = rotate_key(application().engine, operator(), key_id, overlap=overlap)
    _hand_over(view, key, as_json=as_json)


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@click.option("--why", help="For the audit log.")
@json_option
def revoke(*, key_id: int, why: str | None, as_json: bool) -> None:
    """End a key within five seconds."""
    view = revoke_key(application().engine, operator(), key_id, why=why)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Key {view.id} ({view.prefix}… of {view.client}) is revoked.")


def _require_client(app: App, name: str, *, new: bool) -> None:
    known = {client.name for client in list_clients(app.engine)}
    if name in known:
        return
    if not new:
        there = f"there are {', '.join(sorted(known))}" if known else "there is none yet"
        raise NotFound(f"There is no client {name!r} ({there}); --new-client makes it.")
    create_client(app.engine, operator(), name)


def _hand_over(view: KeyView, key: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": key, "properties": view})
        return
    click.echo(f"Key {view.id} {view.name!r} of {view.client}; it is shown this once:", err=True)
    click.echo(key)


def _state(key: KeyView, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "valid"


def _row(key: KeyView, now: datetime) -> tuple[object, ...]:
    scopes = "all" if set(key.scopes) == set(SCOPES) else key.scopes
    places = key.allowed_addresses or "anywhere"
    return (
        key.id, key.client, key.name, key.prefix, _state(key, now), key.expires_at, key.last_used_at, places,
        key.max_per_minute, scopes,
    )  # fmt: skip
