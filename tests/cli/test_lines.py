import io
import sys
from pathlib import Path
from threading import Thread

from app.cli.lines import Lines
from app.embedded.process import Command, start


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def write(self, _text):
        raise BrokenPipeError


def test_each_line_is_headed_by_who_says_it():
    out = io.StringIO()
    Lines(out=out).say("web", "first\nsecond")
    assert out.getvalue() == "      web │ first\n      web │ second\n"


def test_only_a_terminal_gets_colour():
    out = Terminal()
    Lines(out=out).say("web", "hello")
    assert "\x1b[" in out.getvalue()


def test_a_terminal_that_is_gone_does_not_stop_us():
    Lines(out=Closed()).say("web", "hello")


def test_what_a_process_prints_is_followed(eventually):
    out = io.StringIO()
    code = "import sys; print('to out', flush=True); print('to err', file=sys.stderr)"
    process = start(
        Command(name="web", arguments=(sys.executable, "-c", code), directory=Path("/"), environment={}), {}
    )
    Lines(out=out).follow(process)
    eventually(lambda: out.getvalue().count("\n") == 2)
    assert out.getvalue() == "      web │ to out\n      web │ to err\n"
    process.stop()


def test_lines_of_many_threads_stay_whole():
    out = io.StringIO()
    lines = Lines(out=out)
    threads = [Thread(target=lines.say, args=("web", "x" * 100 + "\n" + "y" * 100)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = out.getvalue().splitlines()
    assert said == ["      web │ " + "x" * 100, "      web │ " + "y" * 100] * 20
