"""`tocsin demo`: a believable mixture of messages, an outage in the middle, and an account of all of it."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import click

from app.cli.demonstration import report, scenario, system
from app.cli.demonstration.account import Account, Books, settle_up
from app.cli.demonstration.api import Http
from app.cli.demonstration.display import Display, on_terminal
from app.cli.demonstration.play import Show
from app.cli.demonstration.watch import Snapshot, is_moving, is_told, look
from app.cli.output import json_option, print_json
from app.errors import TocsinError

BROKEN, COULD_NOT_RUN = 1, 2
_LOOK = 0.5  # seconds
_ACTS = 8
# A machine that is busy otherwise gets its time; what takes longer than this does not move.
_LONGEST = 300.0  # seconds
_READINGS = 3
_BETWEEN_READINGS = 2.0  # seconds


@click.command()
@click.option("--small", is_flag=True, help="A tenth of the numbers, in a few seconds.")
@json_option
def demo(*, small: bool, as_json: bool) -> int:
    """Send a believable mixture through the simulator, and account for every message.

    Emergencies, alerts, a newsletter, a campaign and one-time codes; some addresses bounce, complain, time
    out or are suppressed, and the first email gateway goes down for a while in the middle. Uses the system
    that runs here, or starts one and stops it afterwards.

    Exits with 0 where every promise was kept, 1 where one was broken, 2 where the demo could not run.
    """
    began = time.monotonic()
    display = on_terminal(for_programs=as_json)
    try:
        with system.running(display.say) as found:
            show = Show(found, scenario.make(int(time.time()), small=small), display.say)
            account = _run(show, display)
    except TocsinError as exc:
        click.secho(f"Error: {exc}", fg="red", err=True)
        return COULD_NOT_RUN
    seconds = time.monotonic() - began
    if as_json:
        print_json(report.as_data(account, run=show.scenario.number, small=small, seconds=round(seconds, 1)))
    else:
        report.tell(account, seconds)
    return 0 if account.held else BROKEN


def _run(show: Show, display: Display) -> Account:
    """Play it all, wait until nothing moves any more, and settle up."""
    show.prepare()
    with display.alive(), ThreadPoolExecutor(_ACTS, thread_name_prefix="act") as pool:
        acts = show.start(pool)
        snapshot = _watch(show, display, acts)
        display.say("all is accepted; waiting for what is still on its way")
        _settle(show, display, snapshot)
        display.say("comparing Tocsin's books with the gateways'")
        return _account(show)


def _account(show: Show) -> Account:
    """Settle up; once more where a message was just on its way while the books were read."""
    account = settle_up(_books(show))
    for _ in range(_READINGS):
        if account.held:
            break
        time.sleep(_BETWEEN_READINGS)
        account = settle_up(_books(show))
    return account


def _watch(show: Show, display: Display, acts: list[Future[None]]) -> Snapshot:
    snapshot = Snapshot()
    while not all(act.done() for act in acts):
        snapshot = _look_again(show, display, snapshot)
    for act in acts:
        act.result()
    return snapshot


def _settle(show: Show, display: Display, snapshot: Snapshot) -> None:
    """Wait until all is sent, and then a little for what the gateways have to tell about it."""
    give_up_at = time.monotonic() + _LONGEST
    # The last look may be older than the last batch.
    snapshot = _look_again(show, display, snapshot)
    while is_moving(show, snapshot) and time.monotonic() < give_up_at:
        snapshot = _look_again(show, display, snapshot)
    display.say("all is sent; waiting for what the gateways tell about it")
    give_up_at = time.monotonic() + show.scenario.pace.telling.total_seconds()
    while not is_told(show, snapshot) and time.monotonic() < give_up_at:
        snapshot = _look_again(show, display, snapshot)


def _look_again(show: Show, display: Display, snapshot: Snapshot) -> Snapshot:
    time.sleep(_LOOK)
    snapshot = look(show, snapshot)
    display.show(snapshot)
    return snapshot


def _books(show: Show) -> Books:
    found = show.system
    return Books(
        scenario=show.scenario,
        played=show.played,
        primaries=found.primaries,
        messages=list(found.api.pages("/v1/messages", **show.scenario.source)),
        acceptances=list(found.simulator.lines("/_simulator/accepted")),
        accepted_at={batch: _accepted_at(found.api, batch) for batch in show.played.batches.values()},
        at=datetime.now(UTC),
    )


def _accepted_at(api: Http, batch: str) -> datetime:
    return datetime.fromisoformat(api.get(f"/v1/batches/{batch}")["accepted_at"])
