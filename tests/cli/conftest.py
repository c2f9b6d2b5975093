"""The command line over real servers."""

import json
import logging
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from app import cli
from app.bootstrap import build
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.senders import SenderDraft
from app.settings import Settings, load
from tests.plain_logs import write_plainly

# Where nobody listens: these tests accept, and send nothing.
GATEWAYS = {"POSTAL_URL": "http://127.0.0.1:9", "POSTAL_API_KEY": "none"}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment in which nothing is set and nothing runs."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return monkeypatch


@pytest.fixture
def tocsin():
    """Runs one command, in a terminal that is none."""

    def tocsin(*arguments, stdin=b""):
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = cli.run([str(argument) for argument in arguments])
            return Said(code=code, out=out.getvalue().decode(), err=err.getvalue().decode())

    root, level = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    yield tocsin
    root.handlers[:] = handlers
    root.setLevel(level)
    write_plainly()


@pytest.fixture
def servers(bare, database, redis_url):
    """Servers and a gateway, as the environment names them."""
    bare.setenv("DATABASE_URL", database.application)
    bare.setenv("MIGRATION_DATABASE_URL", database.owner)
    bare.setenv("REDIS_URL", redis_url)
    for name, value in GATEWAYS.items():
        bare.setenv(name, value)
    return database


@pytest.fixture
def app(servers):
    """The services behind the commands, with a sender for everything."""
    app = build(load(), "test", connections=2)
    draft = SenderDraft(address="bell@example.org", name="Bell", default_for=tuple(MessageType))
    app.senders.save(Who(actor="test"), Channel.EMAIL, "bell", draft)
    yield app
    app.engine.dispose()
