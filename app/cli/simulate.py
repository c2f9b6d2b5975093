"""`tocsin simulate`: the gateways' double, on loopback."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import click
from rich.console import Console
from rich.table import Table

from app.domain.vocabulary import Channel
from app.errors import ConfigurationError
from app.simulator.environment import ACCOUNTS, GATEWAYS, environment, origin, port_of
from app.simulator.exchange import tellings
from app.simulator.recipients import STORIES, fates_of
from app.simulator.sender import Delivery
from app.simulator.simulator import Options, Simulator, double_of

Share = click.FloatRange(0, 1)
Milliseconds = click.FloatRange(0, 600_000)
File = click.Path(dir_okay=False, path_type=Path)
Folder = click.Path(file_okay=False, path_type=Path)


class Said(TypedDict):
    """What the options say about the double itself; times are in milliseconds."""

    port: int
    webhooks: str | None
    journal: Path | None
    keys: Path | None
    latency: float
    slow: float
    webhook_delay: float
    retry: float
    connections: int
    duplicate: float
    shuffle: bool
    seed: int | None
    sns_signature: Literal["1", "2"]
    subscribed: bool


@click.command()
@click.option("--port", envvar="SIMULATOR_PORT", default=8001, show_default=True, help="Base port.")
@click.option(
    "--webhooks",
    envvar="SIMULATOR_WEBHOOKS",
    metavar="URL",
    help="Where webhooks go, as in http://127.0.0.1:8000; else none.",
)
@click.option("--list", "only_list", is_flag=True, help="Show the magic recipients and stop.")
@click.option("--environment", "only_environment", is_flag=True, help="Show the variables to set and stop.")
@click.option(
    "--journal",
    envvar="SIMULATOR_JOURNAL",
    type=File,
    help="Remember acceptances in this file over restarts.",
)
@click.option(
    "--keys", envvar="SIMULATOR_KEYS", type=Folder, help="Keep the signing keys in this folder over restarts."
)
@click.option("--latency", type=Milliseconds, default=0, help="Milliseconds before each answer.")
@click.option("--slow", type=Milliseconds, default=3000, show_default=True, help="Milliseconds of slow@…")
@click.option("--webhook-delay", type=Milliseconds, default=100, show_default=True, help="Milliseconds.")
@click.option("--retry", type=Milliseconds, default=1000, show_default=True, help="First wait, milliseconds.")
@click.option("--connections", default=4, show_default=True, help="Webhooks in flight at most.")
@click.option("--duplicate", type=Share, default=0, help="Share of webhooks told twice.")
@click.option("--shuffle", is_flag=True, help="Send webhooks out of order.")
@click.option("--seed", type=int, help="Make duplicates and order repeatable.")
@click.option("--sns-signature", type=click.Choice(["1", "2"]), default="1", help="SNS SignatureVersion.")
@click.option("--subscribed", is_flag=True, help="Take the SNS subscription for confirmed.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def simulate(*, only_list: bool, only_environment: bool, quiet: bool, **said: Unpack[Said]) -> None:
    """Stand in for the gateways: speak their protocols, play outcomes, send signed webhooks.

    Nothing leaves the machine. A page at the base port says what may be asked of it.
    """
    if only_list:
        _print_recipients()
        return
    if only_environment:
        _print_environment(said["port"])
        return
    try:
        asyncio.run(_serve(_options(said), quiet=quiet))
    except ConfigurationError as exc:
        raise click.ClickException(str(exc)) from exc


def _options(said: Said) -> Options:
    return Options(
        port=said["port"],
        delivery=_delivery(said),
        journal=said["journal"],
        folder=said["keys"],
        latency=timedelta(milliseconds=said["latency"]),
        slow=timedelta(milliseconds=said["slow"]),
        sns_signature=said["sns_signature"],
        subscribed=said["subscribed"],
        seed=said["seed"],
    )


def _delivery(said: Said) -> Delivery | None:
    if not said["webhooks"]:
        return None
    return Delivery(
        target=said["webhooks"],
        delay=timedelta(milliseconds=said["webhook_delay"]),
        retry=timedelta(milliseconds=said["retry"]),
        duplicate=said["duplicate"],
        shuffle=said["shuffle"],
        connections=said["connections"],
    )


async def _serve(options: Options, *, quiet: bool) -> None:
    """Run until interrupted or terminated."""
    simulator = Simulator(options, datetime.now(UTC))
    serving = asyncio.ensure_future(simulator.serve(lambda: None if quiet else _print_start(options)))
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, serving.cancel)
    await asyncio.wait({serving})
    failure = None if serving.cancelled() else serving.exception()
    if isinstance(failure, ConfigurationError):
        click.ClickException(str(failure)).show()
    elif failure:
        raise failure
    # All is closed and written. The server's threads may not have noticed yet, and abort the process
    # where they meet an interpreter that is being taken down.
    sys.stdout.flush()
    os._exit(1 if failure else 0)


def _print_start(options: Options) -> None:
    click.echo(f"Simulator: {origin(options.port)}/ (nothing leaves this machine)")
    width = max(map(len, (*GATEWAYS, "webhooks")))
    for gateway in GATEWAYS:
        click.echo(f"  {gateway:<{width}} {origin(port_of(gateway, options.port))}")
    target = options.delivery.target if options.delivery else "off; turn on by --webhooks URL"
    click.echo(f"  {'webhooks':<{width}} {target}")


def _print_environment(port: int) -> None:
    click.echo("\n".join(f"{name}={value}" for name, value in environment(port).items()))


def _print_recipients() -> None:
    told = tellings({account.name: double_of(account) for account in ACCOUNTS})
    table = Table("Email", "Number", "What happens", "In the gateways' own words", title="Magic recipients")
    for fate, story in STORIES.items():
        words = "\n".join(f"{gateway}: {words}" for gateway, words in told[fate].items())
        named = f"{fate}@…" if fate in fates_of(Channel.EMAIL) else ""
        table.add_row(named, f"+1 555 {story.code} …", story.meaning, words)
    Console().print(table)
    click.echo(
        "Tokens: FCM's begin with the same word, as in bounce-17:…; APNs' with 70c51 and the number's three "
        "digits, as in 70c51550…"
    )
