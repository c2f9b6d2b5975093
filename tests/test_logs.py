"""Logs are one line an event, those of libraries too, and show no variables of a traceback."""

import json
import logging

import pytest
import structlog

from app import logs
from app import settings as config
from tests.plain_logs import write_plainly


@pytest.fixture(autouse=True)
def unchanged():
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before
    write_plainly()


def configure(form):
    logs.configure(config.load(_env_file=None, log_format=form))


def test_json_is_one_object_a_line(capsys):
    configure("json")
    structlog.get_logger().info("claimed", messages=3)
    logging.getLogger("library").warning("hm: %s", 1)
    own, library = map(json.loads, capsys.readouterr().err.splitlines())
    assert (own["event"], own["messages"], own["level"]) == ("claimed", 3, "info")
    assert (library["event"], library["level"]) == ("hm: 1", "warning")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_values(capsys, form):
    configure(form)
    address = "reader@example.com"
    try:
        len(address) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert address not in told


def test_libraries_are_heard_from_warnings_on(capsys):
    configure("console")
    logging.getLogger("library").info("about myself")
    assert capsys.readouterr().err == ""
