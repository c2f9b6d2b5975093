"""`tocsin emergency`: stop and resume sending, clear the queue, switch providers."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from app.cli.operator import application, operator
from app.cli.output import json_option, print_fields, print_json, print_table
from app.cli.parameters import Moment, OneOf
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.services.controls.clearing import ClearFilter
from app.services.controls.stopping import StopDraft
from app.services.controls.views import ClearingView, StopView, WorkState
from app.services.gateway_views import GatewayView

_COLUMNS = ("id", "what", "state", "share", "with P0", "since", "until", "who", "why", "waiting")

why_option = click.option("--why", required=True, help="For the audit log, and for whoever looks.")
_minutes = click.FloatRange(min=0, max=1440)


@click.group()
def emergency() -> None:
    """Stop and resume sending, clear the queue, switch providers; who and why are kept."""


@emergency.command()
@json_option
def state(*, as_json: bool) -> None:
    """Show what is in force, since when, by whom and why, and what waits because of it."""
    found = application().emergency.state()
    if as_json:
        print_json(found)
        return
    click.echo("Sending goes on." if found.sending else "EVERYTHING IS STOPPED.")
    if found.stops:
        print_table(_COLUMNS, map(_row, found.stops))
    for clearing in found.clearings:
        click.echo(f"Clearing {clearing.id} is {clearing.state}: {clearing.cancelled} of {clearing.count}.")


@emergency.command()
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="So many at most.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def history(*, limit: int, cursor: str | None, as_json: bool) -> None:
    """List every use of an emergency procedure, newest first."""
    page = application().emergency.history(cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [(use.id, use.at, use.procedure, use.state, use.who, use.why) for use in page.items]
    print_table(("id", "when", "what", "state", "who", "why"), rows, empty="never used")
    if page.next:
        click.echo(f"There are more: --cursor {page.next}", err=True)


@emergency.command()
@click.argument("scope", type=OneOf(StopScope))
@click.argument("key", required=False)
@click.option("--including-p0", is_flag=True, help="Emergencies too; else they go on.")
@click.option("--since", type=Moment(), help="It begins then; else at once.")
@click.option("--until", type=Moment(), help="It ends then; else when it is resumed.")
@click.option(
    "--resume-over", type=_minutes, help="After --until, grow to the usual rate in so many minutes."
)
@why_option
@json_option
def stop(
    *,
    scope: StopScope,
    key: str | None,
    including_p0: bool,
    since: datetime | None,
    until: datetime | None,
    resume_over: float | None,
    why: str,
    as_json: bool,
) -> None:
    """Stop all, or one channel, gateway, priority, client, template or batch (KEY) within a second."""
    draft = StopDraft(
        scope=scope,
        key=key,
        including_p0=including_p0,
        since=since,
        until=until,
        resume_over=_over(resume_over),
    )
    view = application().emergency.stop(operator(), draft, why=why)
    if as_json:
        print_json(view)
    else:
        click.echo(
            f"Stop {view.id} is {view.state}: {_what(view)}. End it with `emergency resume {view.id}`."
        )


@emergency.command()
@click.argument("stops", nargs=-1, type=int)
@click.option("--everything", is_flag=True, help="Lift all stops.")
@click.option("--over", type=_minutes, help="Grow from a tenth to the usual rate in so many minutes.")
@why_option
@json_option
def resume(*, stops: Sequence[int], everything: bool, over: float | None, why: str, as_json: bool) -> None:
    """Lift the STOPS with these ids, or with --everything all, at once or gradually."""
    if bool(stops) == everything:
        raise click.UsageError("Name stops by their ids (see `emergency state`), or give --everything.")
    ids = None if everything else list(stops)
    lifted = application().emergency.resume(operator(), ids=ids, over=_over(over), why=why)
    if as_json:
        print_json(lifted)
    else:
        print_table(_COLUMNS, map(_row, lifted))


@emergency.command("clear-queue")
@click.option("--channel", type=OneOf(Channel), help="Only on this channel.")
@click.option("--priority", type=OneOf(Priority), help="Only of this priority.")
@click.option("--client", help="Only of this client (name or id).")
@click.option("--template", help="Only of this template.")
@click.option("--batch", help="Only of this batch (UUID).")
@click.option("--gateway", help="Only what is to go through this gateway.")
@click.option("--source-type", help="Only with this source_type.")
@click.option("--older-than", type=click.FloatRange(min=0), help="Only accepted more minutes ago.")
@click.option("--younger-than", type=click.FloatRange(min=0), help="Only accepted within so many minutes.")
@click.option("--including-p0", is_flag=True, help="Emergencies too; else they stay.")
@click.option("--yes", is_flag=True, help="Do not ask after the count.")
@why_option
@json_option
def clear_queue(
    *,
    older_than: float | None,
    younger_than: float | None,
    yes: bool,
    why: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Count the pending messages that fit, ask, and cancel them; `undo-clear` puts them back."""
    service, who = application().emergency, operator()
    wanted = ClearFilter(**given, older_than=_over(older_than), younger_than=_over(younger_than))
    preview = service.preview_clearing(who, wanted, why=why)
    if not as_json:
        rows = [(each["priority"], each["channel"], each["count"]) for each in preview.counted]
        print_table(("priority", "channel", "pending"), rows, empty="nothing fits")
    if not preview.count:
        if as_json:
            print_json(preview)
        return
    if not yes:
        click.confirm(f"Cancel {preview.count} messages?", abort=True, err=True)
    _told(_to_the_end(service.clear(who, preview.id, why=why), service.clearing), as_json=as_json)


@emergency.command("undo-clear")
@click.argument("clearing_id", metavar="ID", type=int)
@why_option
@json_option
def undo_clear(*, clearing_id: int, why: str, as_json: bool) -> None:
    """Put back just what a clearing cancelled."""
    service = application().emergency
    view = service.undo_clearing(operator(), clearing_id, why=why)
    _told(_to_the_end(view, service.clearing), as_json=as_json)


@emergency.command("switch-provider")
@click.argument("channel", type=OneOf(Channel))
@click.argument("gateway")
@why_option
@json_option
def switch_provider(*, channel: Channel, gateway: str, why: str, as_json: bool) -> None:
    """Let GATEWAY come first on CHANNEL; what waits for another goes by the new order."""
    view = application().emergency.switch_provider(operator(), channel, gateway, why=why)
    _gateway(view, as_json=as_json)


@emergency.command("reset-limits")
@why_option
@json_option
def reset_limits(*, why: str, as_json: bool) -> None:
    """Forget what all rate limits have counted."""
    windows = application().emergency.reset_rate_limits(operator(), why=why)
    if as_json:
        print_json({"windows": windows})
    else:
        click.echo(f"The counts of {windows} windows are forgotten.")


@emergency.command("trip-breaker")
@click.argument("channel", type=OneOf(Channel))
@click.argument("gateway")
@click.option(
    "--wait", type=click.FloatRange(min=0.1, max=1440), help="Probes may try after so many minutes."
)
@why_option
@json_option
def trip_breaker(*, channel: Channel, gateway: str, wait: float | None, why: str, as_json: bool) -> None:
    """Open a gateway's breaker: messages go to the next one."""
    view = application().emergency.trip_breaker(operator(), channel, gateway, why=why, wait=_over(wait))
    _gateway(view, as_json=as_json)


@emergency.command("reset-breaker")
@click.argument("channel", type=OneOf(Channel))
@click.argument("gateway")
@why_option
@json_option
def reset_breaker(*, channel: Channel, gateway: str, why: str, as_json: bool) -> None:
    """Close a gateway's breaker: it gets messages again."""
    view = application().emergency.reset_breaker(operator(), channel, gateway, why=why)
    _gateway(view, as_json=as_json)


def _to_the_end(view: ClearingView, go_on: Callable[[int], ClearingView]) -> ClearingView:
    """Stay until a long clearing is finished; whoever interrupts leaves the rest to the scheduler."""
    while view.state in (WorkState.RUNNING, WorkState.UNDOING):
        view = go_on(view.id)
    return view


def _told(view: ClearingView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    elif view.state is WorkState.UNDONE:
        click.echo(f"Clearing {view.id} is undone: {view.restored} messages wait again.")
    else:
        click.echo(
            f"{view.cancelled} messages are cancelled. Put them back with `emergency undo-clear {view.id}`."
        )


def _gateway(view: GatewayView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        breaker = view.breaker.state.value
        named = {"channel": view.channel, "gateway": view.gateway, "tier": view.tier, "breaker": breaker}
        print_fields(named.items())


def _over(minutes: float | None) -> timedelta | None:
    return None if minutes is None else timedelta(minutes=minutes)


def _what(view: StopView) -> str:
    return view.scope.value if view.key is None else f"{view.scope.value} {view.key}"


def _row(view: StopView) -> tuple[object, ...]:
    more = "or more" if view.at_least else ""
    later = f"({view.later} due later)" if view.later else ""
    waiting = None if view.waiting is None else " ".join(filter(None, (str(view.waiting), more, later)))
    until = view.lifted_at or view.until
    return (
        view.id, _what(view), view.state.value, f"{view.share:.0%}", view.including_p0, view.since, until,
        view.who, view.why, waiting,
    )  # fmt: skip
