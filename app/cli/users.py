"""`tocsin users`: who may use the console."""

import secrets

import click

from app.cli.operator import application, operator
from app.cli.output import json_option, print_json, print_table
from app.services.users import create_user, list_users

_COLUMNS = ("id", "email", "name", "role", "active", "last login", "locked until", "made")
_GENERATED = 18  # bytes


@click.group()
def users() -> None:
    """Make and list users of the console."""


@users.command()
@click.argument("email")
@click.option("--role", required=True, help="viewer, operator, editor or admin.")
@click.option("--name", default="", help="How the person is called.")
@click.option("--generate", is_flag=True, help="Make a password up and show it once, instead of asking.")
@json_option
def create(*, email: str, role: str, name: str, generate: bool, as_json: bool) -> None:
    """Make a user EMAIL; the password is asked for, or made up and shown this once."""
    app = application()
    password = secrets.token_urlsafe(_GENERATED) if generate else _asked()
    # Whoever sees a made-up password on this terminal should not be able to use it for long.
    user = create_user(
        app.engine,
        operator(),
        email,
        role=role,
        password=password,
        name=name,
        must_change_password=generate,
    )
    if as_json:
        print_json({"user": user, "password": password if generate else None})
        return
    click.echo(f"User {user.id} {user.email} is made, with the role {user.role}.", err=True)
    if generate:
        click.echo("The password is shown this once:", err=True)
        click.echo(password)


@users.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List users by email."""
    found = list_users(application().engine)
    if as_json:
        print_json({"items": found})
        return
    rows = [
        (user.id, user.email, user.name, user.role, user.is_active, user.last_login_at, user.locked_until,
         user.created_at)
        for user in found
    ]  # fmt: skip
    print_table(_COLUMNS, rows, empty="no user")


def _asked() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
