"""`tocsin bench`: run one bench or all, say what came out and on what machine."""

from collections.abc import Callable

import click
from rich.console import Console

from bench import drain
from bench.results import Result, machine, write

BENCHES: dict[str, Callable[[], Result]] = {
    "drain": drain.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
def bench(names: tuple[str, ...]) -> None:
    """Measure; without a name, everything."""
    console = Console()
    about = machine()
    console.print(about)
    results = []
    for name in names or BENCHES:
        result = BENCHES[name]()
        result.show(console)
        results.append(result)
    console.print(f"written to {write(results, about)}")
