"""`tocsin templates`: what messages say, saved from files."""

from collections.abc import Callable
from typing import Any

import click
import orjson

from app.cli.operator import application, operator
from app.cli.output import json_option, print_fields, print_json, print_table, spelled
from app.cli.parameters import Content, OneOf, data_of, data_option
from app.domain.templates.building import Markup
from app.domain.templates.diffing import Op
from app.domain.templates.findings import Finding
from app.domain.variables import Variable
from app.domain.vocabulary import Channel, MessageType
from app.errors import Conflict
from app.services.templates import Name, TemplateDraft, TemplateView, VersionView

_COLUMNS = ("slug", "channel", "locale", "name", "active version", "latest", "changed")
_VERSIONS = ("version", "active", "by", "made", "subject")
_FINDINGS = ("level", "where", "found", "advice")
_SIGNS: dict[Op, str] = {"same": " ", "removed": "-", "added": "+"}
_PARTS = ("subject", "text", "html")


def _of_one(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names one template: its slug, channel and locale."""
    for option in (
        click.option("--locale", help="The template for this language."),
        click.option(
            "--channel", type=OneOf(Channel), default=Channel.EMAIL, show_default="email", help="Channel."
        ),
        click.argument("slug"),
    ):
        command = option(command)
    return command


@click.group()
def templates() -> None:
    """List, show, save, preview and activate templates."""


@templates.command("list")
@click.option("--channel", type=OneOf(Channel), help="Only this channel's.")
@click.option("--limit", type=click.IntRange(1, 200), default=200, show_default=True, help="So many at most.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def list_(*, channel: Channel | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List templates."""
    page = application().templates.list(channel=channel, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(_COLUMNS, map(_row, page.items), empty="no template")
    if page.next:
        click.echo(f"There are more: --cursor {page.next}", err=True)


@templates.command()
@_of_one
@json_option
def show(*, slug: str, channel: Channel, locale: str | None, as_json: bool) -> None:
    """Show a template with its active version, and what versions there are."""
    service = application().templates
    view = service.get(slug, channel, locale=locale)
    versions = service.versions(slug, channel, locale=locale).items
    if as_json:
        print_json({"template": view, "versions": versions})
        return
    print_fields(zip(_COLUMNS, _row(view), strict=True))
    print_table(_VERSIONS, map(_version, versions))
    if view.active:
        variables = [_variable(variable) for variable in view.active.variables]
        print_fields([("variables", variables), ("subject", view.active.subject)])
        for part in (view.active.body_text, view.active.body_html):
            if part:
                click.echo(f"\n{part}")


@templates.command()
@_of_one
@click.option("--name", help="Name for people; else the slug.")
@click.option("--description", default="", help="What it is for.")
@click.option("--subject", type=Content(), help="Subject.")
@click.option("--text", "body_text", type=Content(), help="Plain text.")
@click.option("--html", "body_html", type=Content(), help="HTML.")
@click.option(
    "--variables",
    type=Content(),
    metavar="JSON|@FILE",
    help="A list of {name, type, required, example, default}; else read out of the parts.",
)
@click.option("--mjml", is_flag=True, help="The HTML is written in MJML.")
@click.option("--layout", help="Layout that it stands in.")
@click.option("--for", "message_type", type=OneOf(MessageType), help="Kind of message it is meant for.")
@click.option("--no-activate", is_flag=True, help="Keep the version that is active now.")
@json_option
def save(
    *,
    slug: str,
    channel: Channel,
    locale: str | None,
    name: str | None,
    description: str,
    subject: str | None,
    body_text: str | None,
    body_html: str | None,
    variables: str | None,
    mjml: bool,
    layout: str | None,
    message_type: MessageType | None,
    no_activate: bool,
    as_json: bool,
) -> None:
    """Save a template, or its next version, and let new messages have it.

    For example: tocsin templates save welcome --subject 'Hello {{ name }}' --html @welcome.html
    """
    draft = TemplateDraft(
        name=name or slug,
        description=description,
        subject=subject,
        body_html=body_html,
        body_text=body_text,
        markup=Markup.MJML if mjml else Markup.HTML,
        layout=layout,
        message_type=message_type,
        variables=None if variables is None else _variables(variables),
    )
    saved = application().templates.save(
        operator(), slug, channel, draft, locale=locale, activate=not no_activate
    )
    if as_json:
        print_json(saved)
    else:
        state = "is active" if saved.is_active else "is saved, and not active"
        click.echo(f"Version {saved.version} of {slug} {state}.")


@templates.command()
@_of_one
@data_option("What it is filled in with; examples stand in for the rest")
@click.option("--version", type=int, help="Another version than the active one.")
@click.option("--part", type=click.Choice(_PARTS), help="Print this part alone, as it is.")
@json_option
def preview(
    *,
    slug: str,
    channel: Channel,
    locale: str | None,
    data: tuple[str, ...],
    version: int | None,
    part: str | None,
    as_json: bool,
) -> None:
    """Fill a template in."""
    given = data_of(data)
    content = application().template_desk.preview(slug, channel, given, locale=locale, version=version)
    if as_json:
        print_json(content)
    elif part:
        click.echo(getattr(content, part) or "")
    else:
        print_fields((name, getattr(content, name)) for name in _PARTS)


@templates.command()
@_of_one
@click.argument("version", type=int)
@json_option
def activate(*, slug: str, version: int, channel: Channel, locale: str | None, as_json: bool) -> None:
    """Let new messages have this VERSION."""
    view = application().templates.activate(operator(), slug, channel, version, locale=locale)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Version {view.active_version} of {slug} is active.")


@templates.command()
@_of_one
@click.option("--version", type=int, help="Another version than the active one.")
@json_option
def check(*, slug: str, version: int | None, channel: Channel, locale: str | None, as_json: bool) -> None:
    """Look a version over; fails where there is an error."""
    report = application().template_desk.check(Name(slug, channel, locale), version)
    if as_json:
        print_json(report)
    else:
        print_table(_FINDINGS, map(_finding, report.findings), empty="nothing was found")
    if not report.is_good:
        raise Conflict("It cannot be activated as it is.")


@templates.command()
@_of_one
@click.argument("old", type=int)
@click.argument("new", type=int)
@json_option
def diff(*, slug: str, old: int, new: int, channel: Channel, locale: str | None, as_json: bool) -> None:
    """Compare version OLD with version NEW, line by line."""
    parts = application().templates.diff(Name(slug, channel, locale), old, new)
    if as_json:
        print_json(parts)
        return
    for part in parts:
        if part.is_changed:
            click.echo(f"{part.part}:")
            for line in part.lines:
                click.echo(f"{_SIGNS[line.op]} {line.text}")


@templates.command()
@_of_one
@click.argument("version", type=int)
@click.option("--why", help="Kept in the audit log.")
@json_option
def restore(
    *, slug: str, version: int, why: str | None, channel: Channel, locale: str | None, as_json: bool
) -> None:
    """Save VERSION again as the newest; it is not active yet."""
    made = application().templates.restore(operator(), Name(slug, channel, locale), version, why=why)
    if as_json:
        print_json(made)
    else:
        click.echo(f"Version {version} of {slug} was saved again as version {made.version}.")


def _variables(text: str) -> tuple[Variable, ...]:
    try:
        return tuple(Variable(**variable) for variable in orjson.loads(text))
    except orjson.JSONDecodeError as exc:
        raise click.BadParameter(f"--variables is no JSON: {exc.msg}.") from exc
    except TypeError as exc:
        raise click.BadParameter(
            "--variables must be a list of objects with name, type, required, example and default."
        ) from exc


def _row(view: TemplateView) -> tuple[object, ...]:
    active = view.active_version if view.is_active else "retired"
    return view.slug, view.channel, view.locale, view.name, active, view.latest_version, view.updated_at


def _version(view: VersionView) -> tuple[object, ...]:
    return view.version, view.is_active, view.created_by, view.created_at, view.subject


def _finding(each: Finding) -> tuple[object, ...]:
    line = f", line {each.line}" if each.line else ""
    fragment = f" of {each.fragment}" if each.fragment else ""
    return each.level, f"{each.place}{line}{fragment}", each.message, each.advice


def _variable(variable: Variable) -> str:
    default = "" if variable.default is None else f" = {spelled(variable.default)}"
    return f"{variable.name}: {variable.type}{'' if variable.required else '?'}{default}"
