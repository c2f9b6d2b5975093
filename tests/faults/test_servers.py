"""PostgreSQL restarted, gone, and out of disk; Valkey restarted: what was accepted is there afterwards."""

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.api.application import create_app
from app.bootstrap import build
from app.db.migrate import upgrade
from app.db.tables import message_queue, senders
from app.domain.callers import SCOPES
from app.domain.vocabulary import Priority
from app.embedded import binaries, tuning
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from app.errors import Unavailable
from app.services.audit import Who
from app.services.keys import create_client, create_key
from app.services.sending import lane, release
from tests.conftest import running
from tests.faults.counting import agree
from tests.world import TYPES, meanwhile, wait_for

ROOM = "400m"
SENDER = {
    "slug": "house",
    "channel": "email",
    "address": "house@example.com",
    "name": "The House",
    "default_for": list(TYPES.values()),
}


@dataclass
class Place:
    """A web process over a PostgreSQL of its own, which may be stopped, killed and put on a full disk."""

    server: Postgres
    stack: contextlib.ExitStack
    guard: Any
    client: Any = None
    headers: Any = None
    engine: Any = None
    process: Any = None

    def start(self):
        self.process = self.stack.enter_context(running(self.server, self.guard))

    def kill(self):
        """End it without a checkpoint, as a crash does."""
        os.kill(self.process.pid, signal.SIGQUIT)
        self.process.popen.wait()
        self.stack.close()

    def post(self, number):
        return self.client.post(
            "/v1/messages",
            json={
                "channel": "email",
                "priority": "P4",
                "message_type": "transactional",
                "recipient_address": f"reader{number}@example.com",
                "subject": "Your code",
                "body_text": "It is 123456. " * 50,
            },
            headers={**self.headers, "Idempotency-Key": f"key-{number}"},
        )

    def kept(self):
        with self.engine.connect() as conn:
            return {str(uuid) for uuid in conn.execute(sa.select(message_queue.c.uuid)).scalars()}


@pytest.fixture(scope="module")
def disk(server_root, server_account):
    """A small disk of our own; None where none may be made."""
    place = server_root / "small"
    place.mkdir()
    options = f"size={ROOM},uid={server_account.uid},gid={server_account.gid},mode=0700"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True
    )
    os.chown(place, server_account.uid, server_account.gid)
    yield place if made.returncode == 0 else None
    if made.returncode == 0:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def place(disk, server_root, server_account, guard, settings):
    """The web process, with a key, over servers that are its own."""
    data = (disk or server_root / "small") / "postgres"
    server = Postgres(
        data=data,
        sockets=server_root / "small",
        log=server_root / "small.log",
        programs=binaries.postgres_for(binaries.find_postgres(), server_account, server_root / "programs"),
        account=server_account,
        tuning=tuning.of_this_machine(durable=False),
    )
    with contextlib.ExitStack() as stack:
        place = Place(server=server, stack=stack, guard=guard)
        place.start()
        server.ensure_database()
        upgrade(server.url(role="tocsin_owner"), application_url=server.url())
        app = build(replace_url(settings, server.url()), "web", accepts=True)
        with app.engine.begin() as conn:
            conn.execute(sa.delete(message_queue))
            if not conn.execute(sa.select(senders.c.slug)).first():
                conn.execute(sa.insert(senders).values(SENDER))
        who, name = Who(actor="tests"), f"own-{id(place)}"
        create_client(app.engine, who, name)
        key = create_key(app.engine, who, name, "everything", SCOPES)[1]
        place.client, place.engine = create_app(app).test_client(), app.engine
        place.headers = {"Authorization": f"Bearer {key}"}
        yield place
        app.engine.dispose()


def replace_url(settings, url):
    return settings.model_copy(update={"database_url": url})


def accepted(answers):
    return {answer.json["uuid"] for answer in answers if answer.status_code == 202}


def test_a_postgres_that_crashes_and_comes_back_has_all_that_was_accepted(place):
    answers = [place.post(number) for number in range(20)]
    place.kill()
    while_gone = [place.post(number) for number in range(20, 24)]
    assert {answer.status_code for answer in while_gone} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in while_gone)
    place.start()
    # Callers send again with their keys: the very same messages, each once.
    again = [place.post(number) for number in range(24)]
    assert {answer.status_code for answer in answers + again} == {202}
    assert accepted(answers) <= accepted(again) == place.kept()
    assert len(place.kept()) == 24


def test_on_a_full_disk_nothing_is_accepted_that_is_not_kept_and_room_heals_it(place, disk):
    if disk is None:
        pytest.skip("no disk of its own could be mounted (needs root and CAP_SYS_ADMIN)")
    answers = [place.post(0)]
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    for number in range(1, 4000):
        answers.append(place.post(number))
        if answers[-1].status_code != 202:
            break
    assert answers[-1].status_code == 503, answers[-1].text
    assert int(answers[-1].headers["Retry-After"]) >= 1
    ballast.unlink()
    if place.process.popen.poll() is not None:
        place.stack.close()
        place.start()

    def is_well():
        answers.append(place.post(len(answers)))
        return answers[-1].status_code == 202

    wait_for(is_well, within=30)
    assert accepted(answers) <= place.kept()
    assert {answer.status_code for answer in answers} == {202, 503}


# Valkey


@pytest.fixture
def own_valkey(server_root, server_account, guard):
    """A Valkey that may be restarted, in another life each time."""
    server = Valkey(
        data=server_root / "restarted",
        socket=server_root / "restarted.sock",
        log=server_root / "restarted.log",
        program=binaries.valkey_for(binaries.find_valkey(), server_account, server_root / "programs"),
        account=server_account,
        durable=False,
    )
    lives = contextlib.ExitStack()
    lives.enter_context(running(server, guard))

    def restart():
        lives.close()
        lives.enter_context(running(server, guard))

    yield server, restart
    lives.close()


@pytest.mark.parametrize("priority", ["P0", "P3"])
def test_a_valkey_restarted_empty_in_the_middle_of_a_claim_loses_and_doubles_nothing(
    world, settings, own_valkey, priority
):
    server, restart = own_valkey
    app = build(settings.model_copy(update={"redis_url": server.url()}), "worker", connections=6)
    tools = replace(app.tools, wake=world.wake)
    world.gateways.slow_down(200)
    messages = world.add(priority, 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, restart):
        lane.work(tools, Priority(priority), sweep=True)
    world.gateways.slow_down(0)

    def all_sent():
        # What was put back is due again in two seconds.
        world.execute(
            sa.update(message_queue).values(scheduled_for=sa.func.now() - sa.text("interval '1 s'"))
        )
        with contextlib.suppress(Unavailable):
            release.release(tools, Priority(priority))
            lane.work(tools, Priority(priority), sweep=True)
        return world.statuses(messages) == {"sent": 40}

    wait_for(all_sent)
    assert set(agree(world, messages).values()) == {1}
    app.engine.dispose()
    app.redis.close()


def test_while_redis_is_gone_messages_are_accepted_and_emergencies_leave(world, settings, outages):
    app = build(settings, "web", accepts=True)
    key = create_key(app.engine, Who(actor="tests"), _client(app), "everything", SCOPES)[1]
    client = create_app(app).test_client()
    body = {
        "channel": "email",
        "recipient_address": "reader@example.com",
        "subject": "Out",
        "body_text": "Now.",
    }
    with outages.without_valkey():
        answers = [
            client.post(
                "/v1/messages",
                json={**body, "priority": priority, "message_type": TYPES[priority].value},
                headers={"Authorization": f"Bearer {key}"},
            )
            for priority in Priority
        ]
        assert {answer.status_code for answer in answers} == {202}
        threading.Thread(target=lane.work, args=(world.tools, Priority.P0), kwargs={"sweep": True}).start()
        wait_for(lambda: world.gateways.taken(answers[0].json["uuid"]))
    for priority in Priority:
        lane.work(world.tools, priority, sweep=True)
    for answer in answers:
        assert len(world.gateways.taken(answer.json["uuid"])) == 1
    app.engine.dispose()
    app.redis.close()


def _client(app):
    create_client(app.engine, Who(actor="tests"), "own")
    return "own"
