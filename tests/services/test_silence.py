"""Logs of a whole send, failures included, at the most talkative level: ids, but nobody's address or "
"words."""

import io
import json
import logging
import sys

import pytest
import structlog

from app import logs
from app.domain.vocabulary import Priority
from app.services.sending.lane import work
from tests.plain_logs import write_plainly

ADDRESS, NUMBER = "ada.lovelace@example.com", "+15005550123"
HUSH = ("ada.lovelace", ADDRESS, NUMBER, "15005550123", "Very private", "Only for Ada", "hush-data")


@pytest.fixture
def told(world, monkeypatch):
    """Gives the lines logged so far, as objects, and the whole text."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (list(root.handlers), root.level)
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(world.app.settings.model_copy(update={"log_format": "json", "log_level": "debug"}))
    # Loggers keep what they write to from their first line on; these shall write here, and not after it.
    structlog.configure(cache_logger_on_first_use=False)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("app.") and hasattr(module, "log"):
            vars(module.log).pop("bind", None)

    def told():
        text = stream.getvalue()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")], text

    yield told
    root.handlers[:], root.level = before
    write_plainly()


def mail(world, priority="P4", **columns):
    words = {"recipient_address": ADDRESS, "subject": "Very private", "body_text": "Only for Ada"}
    return world.one(priority, **words, content_data={"note": "hush-data"}, **columns)


def secrets(settings):
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for each in value if isinstance(value, tuple) else (value,):
            if hasattr(each, "get_secret_value") and len(each.get_secret_value()) > 5:
                yield each.get_secret_value()


@pytest.mark.parametrize("mode", ["error", "refuse", "lost", "garbage"])
def test_a_gateway_that_fails_in_each_way_makes_nobodys_address_known(world, told, mode):
    for gateway in ("postal", "ses"):
        world.gateways.break_(gateway, mode)
    message = mail(world)
    work(world.tools, Priority.P4, sweep=True)
    lines, text = told()
    assert [line for line in lines if line.get("message") == str(message.uuid)]
    for word in (*HUSH, *secrets(world.app.settings)):
        assert word not in text


def test_recipients_that_are_refused_and_templates_that_break_are_not_told_either(world, told):
    mail(world, template="nowhere")
    world.one(
        "P4", recipient_address="rejected+ada.lovelace@example.org", subject="Very private", body_text="x"
    )
    work(world.tools, Priority.P4, sweep=True)
    _, text = told()
    for word in (*HUSH, *secrets(world.app.settings)):
        assert word not in text


def test_without_redis_and_postgresql_nothing_is_told_either(world, outages, told):
    mail(world)
    with outages.without_valkey():
        work(world.tools, Priority.P0, sweep=True)
        work(world.tools, Priority.P4, sweep=True)
    with outages.without_postgres():
        work(world.tools, Priority.P4, sweep=True)
    lines, text = told()
    assert lines
    for word in (*HUSH, *secrets(world.app.settings)):
        assert word not in text
