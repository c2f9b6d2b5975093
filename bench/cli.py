"""`tocsin bench`: run one bench or all, say what came out and on what machine."""

import sys
from collections.abc import Callable
from dataclasses import replace

import click
from rich.console import Console

from bench import (
    accept,
    backlog,
    bulk,
    console,
    crash,
    drain,
    drain_batch,
    drain_latency,
    failover,
    p0,
    soak,
    start,
    webhooks,
)
from bench.picture import draw
from bench.results import Result, in_words, machine, write
from bench.sizes import QUICK, Size

BENCHES: dict[str, Callable[[Size], Result]] = {
    "start": start.run,
    "drain": drain.run,
    "drain-batch": drain_batch.run,
    "drain-latency": drain_latency.run,
    "bulk": bulk.run,
    "accept": accept.run,
    "p0": p0.run,
    "backlog": backlog.run,
    "webhooks": webhooks.run,
    "console": console.run,
    "failover": failover.run,
    "crash": crash.run,
    "soak": soak.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--quick", is_flag=True, help="A tenth of everything, to see that it works.")
@click.option("--full", is_flag=True, help="Also what takes very long.")
@click.option("--kills", type=click.IntRange(1), help="How many processes `crash` kills.")
def bench(names: tuple[str, ...], *, quick: bool, full: bool, kills: int | None) -> int:
    """Measure; without a name, everything. It is about 25 minutes of full load.

    Every bench brings servers and simulated gateways of its own and reaches nothing else. Results go to
    bench/results, as JSON and as a picture. The exit code is 1 where a message was lost, doubled or
    miscounted; a figure that a busy machine missed does not count for that.
    """
    size = replace(QUICK if quick else Size(), full=full)
    if kills is not None:
        size = replace(size, kills=kills)
    console = Console(width=None if sys.stdout.isatty() else 140)
    about = machine()
    console.print(in_words(about), highlight=False)
    broken = 0
    for name in names or BENCHES:
        console.print(f"{name} …", highlight=False)
        result = BENCHES[name](size)
        result.show(console)
        # Kept one by one, so that a later one that fails costs nothing.
        written = write([result], about, size.share)
        broken += len(result.broken)
    console.print(f"written to {written} and {draw(written).name}", highlight=False, soft_wrap=True)
    return 1 if broken else 0
