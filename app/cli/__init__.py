"""The command line: a table of commands, each loaded when it is called."""

import os
import sys
from collections.abc import Sequence

import click

from app.cli.lazy import LazyGroup, load
from app.errors import ConfigurationError, Refused, TocsinError, Unavailable

COMMANDS = {
    "up": ("app.cli.up:up", "Run the whole system here until Ctrl-C."),
    "demo": ("app.cli.demo:demo", "Send a believable mixture and account for every message."),
    "send": ("app.cli.send:send", "Send one message."),
    "bulk": ("app.cli.bulk:bulk", "Send one message to many recipients out of a file."),
    "status": ("app.cli.status:status", "Show a message and its history, or a batch."),
    "queue": ("app.cli.queue:queue", "Show how much waits in each lane, and how long already."),
    "dead-letters": ("app.cli.dead_letters:dead_letters", "List and replay what was not sent."),
    "diagnose": ("app.cli.diagnose:diagnose", "Say what is wrong now, and what to do about it."),
    "templates": ("app.cli.templates:templates", "List, show and save templates."),
    "suppressions": ("app.cli.suppressions:suppressions", "List, add and release suppressions."),
    "emergency": ("app.cli.emergency:emergency", "Stop and resume sending, clear the queue."),
    "keys": ("app.cli.keys:keys", "Make, list and revoke API keys."),
    "users": ("app.cli.users:users", "Make and list users of the console."),
    "settings": ("app.cli.settings:settings", "List every setting, its source and its meaning."),
    "migrate": ("app.cli.migrate:migrate", "Bring the database to this version's schema."),
    "web": ("app.cli.web:web", "Run the web process."),
    "webhooks": ("app.cli.web:webhooks", "Run a process for gateways' webhooks alone."),
    "workers": ("actors.workers:workers", "Run the workers of all lanes."),
    "scheduler": ("scheduler.process:scheduler", "Run the scheduler."),
    "simulate": ("app.cli.simulate:simulate", "Run the simulator of gateways."),
    "bench": ("bench.cli:bench", "Measure, and compare with the bars."),
}

FAILED, CONFIGURATION, UNAVAILABLE, REFUSED, INTERRUPTED = 1, 3, 4, 5, 130

_EPILOG = """\
Exit codes: 0 done; 1 failed, or a promise was broken; 2 the command was called wrongly, or the demo could not
run; 3 a setting is wrong or missing; 4 a server cannot be reached now; 5 refused, and trying again will not
help; 130 Ctrl-C.
"""


@click.group(cls=LazyGroup, commands_table=COMMANDS, epilog=_EPILOG)
@click.version_option(package_name="tocsin")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Tocsin: the one service through which an organisation's software reaches people."""
    if ctx.invoked_subcommand != "up":
        load("app.cli.local:adopt")()


def main() -> None:
    """Run the command that the process was called with, and end it with an exit code that means something."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; gives its exit code. Errors of our tree become one clear line, without traceback."""
    try:
        result = group.main(list(arguments), prog_name="tocsin", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us, `head` for one, has enough; nothing more may be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except TocsinError as exc:
        click.secho(f"Error: {exc}", fg="red", err=True)
        return _code(exc)
    return result if isinstance(result, int) else 0


def _code(error: TocsinError) -> int:
    by_kind = {ConfigurationError: CONFIGURATION, Unavailable: UNAVAILABLE, Refused: REFUSED}
    return next((code for kind, code in by_kind.items() if isinstance(error, kind)), FAILED)
