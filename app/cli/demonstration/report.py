"""The end of a demonstration, for people and for programs."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from app.cli.demonstration.account import Account, Failover, Row
from app.cli.output import print_table, spelled
from app.domain.vocabulary import Status

_LATENCIES = ("p50", "p95", "p99")


def as_data(account: Account, **run: object) -> dict[str, Any]:
    """Give the account as plain data, headed by facts about the run."""
    return {**run, "held": account.held, **asdict(account)}


def tell(account: Account, seconds: float) -> None:
    """Print the account."""
    _tell_of_messages(account)
    for failover in account.failovers:
        _tell_of_failover(failover)
    click.echo(
        f"Twice at a gateway: {account.marked_duplicates} marked as possible duplicates, "
        f"{account.unmarked_duplicates} unmarked."
    )
    if account.waiting_until:
        click.echo(f"The last retry is due at {spelled(account.waiting_until)}.")
    click.echo()
    for promise in account.promises:
        mark = (
            click.style("kept  ", fg="green") if promise.held else click.style("BROKEN", fg="red", bold=True)
        )
        click.echo(f"{mark}  {promise.name}: {promise.detail}")
        for example in promise.examples:
            click.echo(f"          {example}")
    click.echo()
    verdict = "Every message is accounted for." if account.held else "A promise was broken."
    click.echo(f"{verdict} It took {seconds:.0f} s.")


def _tell_of_messages(account: Account) -> None:
    statuses = [status for status in Status if any(row.statuses.get(status) for row in account.rows)]
    columns = ("audience", "recipients", *statuses, *(f"{name} to gateway" for name in _LATENCIES))
    print_table(columns, [_row(row, statuses) for row in account.rows])


def _row(row: Row, statuses: list[Status]) -> tuple[object, ...]:
    return (
        row.audience,
        f"{row.recipients:,}",
        *(f"{row.statuses.get(status, 0):,}" for status in statuses),
        *(_seconds(row.latency, name) for name in _LATENCIES),
    )


def _seconds(latency: Mapping[str, float], name: str) -> str:
    return f"{latency[name]:.3f} s" if name in latency else "-"


def _tell_of_failover(failover: Failover) -> None:
    shares = ", ".join(
        f"{number:,} through {gateway}" for gateway, number in sorted(failover.through.items())
    )
    click.echo(f"{failover.channel}: {shares}.")
    if failover.took_over_after is not None:
        click.echo(
            f"{failover.primary} went down; {failover.took_over_after:.2f} s later another gateway took over."
        )
    if failover.back_after is not None:
        click.echo(
            f"{failover.primary} came back, and took messages again after {failover.back_after:.2f} s."
        )
    else:
        click.echo(
            f"{failover.primary} came back; its breaker had not let anything through to it by the end."
        )
