import os
import signal

import pytest
import redis

from app.errors import Unavailable


@pytest.fixture
def client(new_valkey):
    with redis.Redis.from_url(new_valkey.url()) as client:
        yield client


def test_what_was_written_survives_kill_9(new_valkey, launch, client, eventually):
    process = launch(new_valkey)
    client.set("kept", "yes")
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: process.ended() is not None)
    launch(new_valkey)
    assert client.get("kept") == b"yes"


def test_what_was_written_survives_a_stop_in_order(new_valkey, launch, client):
    process = launch(new_valkey)
    client.set("kept", "yes")
    process.stop()
    launch(new_valkey)
    assert client.get("kept") == b"yes"


def test_its_promises_are_in_force(new_valkey, launch, client):
    launch(new_valkey)
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "port": "0"}
    assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_a_server_that_does_not_start_is_reported_with_its_last_words(new_valkey, launch):
    new_valkey.prepare()
    (new_valkey.data / "appendonlydir").mkdir()
    (new_valkey.data / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(Unavailable, match="AOF manifest"):
        launch(new_valkey)


def test_the_fixture_gives_an_empty_server_each_time(redis_url):
    with redis.Redis.from_url(redis_url, db=3) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_fixture_gives_an_empty_server_the_second_time_too(redis_url):
    with redis.Redis.from_url(redis_url, db=3) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
