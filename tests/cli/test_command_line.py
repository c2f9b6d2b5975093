import os
import subprocess
import sys

import click
import pytest

from app import cli
from app.errors import ConfigurationError, Conflict, Forged, Invalid, TocsinError, Unavailable


@pytest.fixture
def command(monkeypatch):
    """Makes `tocsin fail` raise an error."""

    def raising(error):
        @click.command()
        def fail():
            raise error

        monkeypatch.setattr(cli.group, "get_command", lambda _ctx, _name: fail)

    return raising


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("no such setting"), 3),
        (Unavailable("the database cannot be reached"), 4),
        (Conflict("it was sent already"), 5),
        (Invalid.of("address", "is none"), 5),
        (Forged("the signature does not hold"), 1),
        (TocsinError("something else"), 1),
        (click.UsageError("no such option"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_mean_something(command, error, code):
    command(error)
    assert cli.run(["fail"]) == code


def test_an_error_of_ours_is_one_line_without_traceback(command, capsys):
    command(ConfigurationError("PORT: is not a number"))
    cli.run(["fail"])
    assert capsys.readouterr().err == "Error: PORT: is not a number\n"


def test_an_error_that_nobody_foresaw_keeps_its_traceback(command):
    command(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        cli.run(["fail"])


def test_an_unknown_command_is_a_wrong_call(capsys):
    assert cli.run(["fly"]) == 2
    assert "No such command 'fly'" in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_is_named_by_its_variable():
    done = tocsin("up", PORT="eight thousand")
    assert done.returncode == 3
    assert "PORT:" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_there_without_loading_any_command():
    code = (
        "import sys; from app import cli; cli.run(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('pydantic', 'sqlalchemy', 'flask', 'redis')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in cli.COMMANDS)


def test_a_reader_that_stops_reading_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "app.cli", "--help"],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def tocsin(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=variables,
    )
