import socket
from datetime import timedelta

import pytest
import redis

from app.db.redis import (
    Database,
    Hangs,
    Script,
    blocking_client,
    broker_client,
    quick_client,
    short_client,
    translated,
)
from app.errors import Unavailable
from tests.world import wait_for


@pytest.fixture
def nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{taken.getsockname()[1]}"


def timeout_of(client):
    return client.connection_pool.connection_kwargs["socket_timeout"]


def database_of(client):
    return client.connection_pool.connection_kwargs["db"]


def test_short_operations_give_up_within_three_seconds():
    assert timeout_of(short_client("redis://localhost")) == 3


def test_the_broker_is_patient():
    assert timeout_of(broker_client("redis://localhost")) == 30


def test_a_blocking_client_outlives_its_longest_block():
    assert timeout_of(blocking_client("redis://localhost", timedelta(seconds=10))) == 15


def test_limits_broker_and_cache_have_databases_of_their_own():
    clients = [
        short_client("redis://localhost"),
        broker_client("redis://localhost"),
        short_client("redis://localhost", Database.CACHE),
    ]
    assert [database_of(client) for client in clients] == [0, 1, 2]


def test_a_database_named_by_the_url_is_used_for_everything():
    assert database_of(broker_client("redis://localhost/7")) == 7


def test_a_command_that_fails_is_not_repeated():
    retry = short_client("redis://localhost").connection_pool.connection_kwargs["retry"]
    assert retry.get_retries() == 0


def test_an_unreachable_server_is_unavailable(nobody_listens):
    with short_client(nobody_listens) as client, pytest.raises(Unavailable), translated():
        client.ping()


def test_an_unreachable_server_makes_a_script_unavailable(nobody_listens):
    with short_client(nobody_listens) as client, pytest.raises(Unavailable):
        Script(client, "return 1")([], [])


def test_the_broker_gets_bytes_as_dramatiq_wants_them(redis_url):
    with broker_client(redis_url) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


def test_a_script_survives_that_the_server_forgot_it(redis_url):
    with short_client(redis_url) as client:
        script = Script(client, "return redis.call('INCR', KEYS[1])")
        script(["count"], [])
        client.script_flush()
        assert script(["count"], []) == 2


def test_a_client_survives_that_the_server_closed_its_connection(redis_url):
    with short_client(redis_url) as client, redis.Redis.from_url(redis_url) as other:
        identity = client.client_id()
        other.client_kill_filter(_id=identity)
        assert client.ping()


# A server that hangs

MOMENT = timedelta(milliseconds=400)


@pytest.fixture
def silent():
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def waits(monkeypatch):
    """How often an answer was waited for in vain."""
    found = []
    read = redis.Connection.read_response

    def reading(connection, *args, **options):
        try:
            return read(connection, *args, **options)
        except redis.TimeoutError:
            found.append(connection)
            raise

    monkeypatch.setattr(redis.Connection, "read_response", reading)
    return found


def ask(*clients):
    for client in clients:
        with pytest.raises(redis.TimeoutError):
            client.ping()


def test_only_the_first_call_waits_for_a_server_that_hangs(silent, waits):
    with quick_client(silent, hangs=Hangs()) as client:
        ask(*[client] * 10)
        with pytest.raises(redis.TimeoutError), client.pipeline(transaction=False) as pipe:
            pipe.ping().execute()
        with pytest.raises(Unavailable):
            Script(client, "return 1")([], [])
    assert len(waits) == 1


def test_clients_of_one_process_share_what_they_know_of_it(silent, waits):
    hangs = Hangs()
    with (
        quick_client(silent, hangs=hangs) as limits,
        quick_client(silent, Database.BROKER, hangs=hangs, decode_responses=False) as broker,
    ):
        ask(limits, broker, limits, broker)
    assert len(waits) == 1


def test_it_is_asked_again_after_a_while(silent, waits):
    hangs = Hangs(MOMENT)
    with quick_client(silent, hangs=hangs) as client:
        ask(client, client)
        wait_for(lambda: ask(client) or len(waits) == 2)


def test_a_server_that_answers_again_is_used_at_once_then(redis_url, waits):
    hangs = Hangs(MOMENT)
    with quick_client(redis_url, hangs=hangs) as client:
        client.ping()
        client.client_pause(600)
        ask(client, client)
        wait_for(lambda: answers(client))
        assert all(answers(client) for _ in range(10))


def answers(client):
    try:
        return client.ping()
    except redis.TimeoutError:
        return False


def test_a_server_that_refuses_is_asked_each_time(nobody_listens):
    with quick_client(nobody_listens, hangs=Hangs()) as client:
        for _ in range(3):
            with pytest.raises(redis.ConnectionError) as refusal:
                client.ping()
            assert "Connection refused" in str(refusal.value)


def test_without_a_memory_each_call_waits(silent, waits):
    with quick_client(silent) as client:
        ask(client, client)
    assert len(waits) == 2
