import os
import shutil
import tempfile
from pathlib import Path

import pytest

from app.embedded import binaries, tuning
from app.embedded.postgres import Postgres
from app.embedded.process import start
from app.embedded.valkey import Valkey


@pytest.fixture
def yard(server_account, quick_disk):
    """A directory with a blank in its name that belongs to the servers' account."""
    root = Path(tempfile.mkdtemp(prefix="tocsin yard ", dir=quick_disk))
    os.chown(root, server_account.uid, server_account.gid)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def new_postgres(yard, server_account):
    return Postgres(
        data=yard / "postgres",
        sockets=yard,
        log=yard / "postgres.log",
        programs=binaries.postgres_for(binaries.find_postgres(), server_account, yard / "programs"),
        account=server_account,
        tuning=tuning.of_this_machine(durable=False),
    )


@pytest.fixture
def new_valkey(yard, server_account):
    return Valkey(
        data=yard / "valkey",
        socket=yard / "valkey.sock",
        log=yard / "valkey.log",
        program=binaries.valkey_for(binaries.find_valkey(), server_account, yard / "programs"),
        account=server_account,
    )


@pytest.fixture
def launch(guard):
    """Prepares and starts servers, and stops them at the end."""
    started = []

    def launched(server):
        server.prepare()
        process = start(server.command(), guard.environment)
        started.append(process)
        guard.watch(process)
        server.wait_until_ready(process)
        return process

    yield launched
    for process in started:
        process.stop()
        guard.forget(process)
