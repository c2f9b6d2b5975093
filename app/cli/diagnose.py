"""`tocsin diagnose`: what is wrong now, and what to do about it."""

import click

from app.cli.operator import application
from app.cli.output import json_option, print_json, print_table
from app.services.diagnostics.findings import Severity
from app.services.diagnostics.runs import Known, Run
from app.services.diagnostics.subjects import SUBJECTS

# Beside the codes that all commands share.
EXIT_CODES = {Severity.CRITICAL: 12, Severity.HIGH: 11, Severity.MEDIUM: 10}

_COLORS = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}
_COLUMNS = ("priority", "subject", "finding", "since", "what it means", "what to do")

_EPILOG = """\
Exit codes: 0 nothing worse than low; 10 medium; 11 high; 12 critical; and those of all commands, see
`tocsin --help`.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    type=click.Choice(SUBJECTS),
    help="Look at this only, at all of it; may be repeated.",
)
@click.option(
    "--quick", is_flag=True, help="Do not ask the world outside (gateways' addresses, DNS, vendors)."
)
@click.option("--all", "everything", is_flag=True, help="Show what asks for nothing, too.")
@json_option
def diagnose(*, subjects: tuple[str, ...], quick: bool, everything: bool, as_json: bool) -> int:
    """Look at every part of the system, say what is wrong, and what to do about it.

    The run is kept, and compared with the one before.
    """
    run = application().diagnostics.run(subjects=subjects, deep=not quick)
    if as_json:
        print_json(run)
    else:
        _show(run, everything=everything)
    return EXIT_CODES.get(run.worst, 0) if run.worst else 0


def _show(run: Run, *, everything: bool) -> None:
    shown = [each for each in run.findings if everything or each.finding.priority is not Severity.INFO]
    print_table(_COLUMNS, map(_row, shown), empty="Nothing is wrong.")
    for finding in run.gone:
        click.echo(f"Gone: {finding.code} {finding.target}".rstrip())
    took = (run.finished_at - run.started_at).total_seconds()
    color = _COLORS.get(run.worst) if run.worst else None
    click.secho(f"{len(shown)} findings in {took:.1f} s.", fg=color, err=True)


def _row(known: Known) -> tuple[object, ...]:
    finding = known.finding
    named = f"{finding.code}\n{finding.target}".rstrip()
    does = f"\n(Tocsin itself: {finding.automatic})" if finding.automatic else ""
    since = "new" if known.is_new else known.since
    return finding.priority.value, finding.subject, named, since, finding.meaning, finding.advice + does
