"""Servers behind Sentinels: the address, and a failover to another master."""

import contextlib
import subprocess
from datetime import timedelta

import pytest
import redis

from app.db.redis import blocking_client, broker_client, short_client, translated
from app.db.sentinel import is_sentinel, sentinels
from app.embedded import binaries
from app.errors import ConfigurationError, Unavailable
from bench.ports import free_port
from tests.world import wait_for


def test_an_address_names_hosts_service_login_and_database():
    named = sentinels("redis+sentinel://app:s%40cret@10.0.0.1:26380,cache.example.com,[::1]:26381/tocsin/3")
    assert named.hosts == (("10.0.0.1", 26380), ("cache.example.com", 26379), ("::1", 26381))
    assert (named.service, named.database) == ("tocsin", 3)
    assert (named.username, named.password) == ("app", "s@cret")


def test_what_is_left_out_is_not_made_up():
    named = sentinels("redis+sentinel://10.0.0.1/tocsin")
    assert (named.username, named.password, named.database) == (None, None, None)
    assert sentinels("redis+sentinel://s3cret@10.0.0.1/tocsin").password == "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://10.0.0.1",
        "redis+sentinel:///tocsin",
        "redis+sentinel://a:b:c/x",
        "redis+sentinel://a/x/y",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_an_example(url):
    with pytest.raises(ConfigurationError, match=r"redis\+sentinel://10\.0\.0\.1:26379,"):
        sentinels(url)


def test_an_ordinary_address_is_none_of_sentinels():
    assert not is_sentinel("redis://localhost:6379/0")
    assert not is_sentinel("unix:///run/valkey.sock")


@pytest.fixture(scope="module")
def sentinel_url(tmp_path_factory):
    """Two servers, one the other's replica, and a Sentinel that watches them."""
    program = str(binaries.find_valkey().path)
    folder = tmp_path_factory.mktemp("sentinel")
    first, second, watcher = free_port(), free_port(), free_port()
    (folder / "sentinel.conf").write_text(
        f"port {watcher}\nbind 127.0.0.1\nsentinel monitor tocsin 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds tocsin 5000\nsentinel failover-timeout tocsin 1000\n",
        "ascii",
    )
    common = ["--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    commands = [
        [program, "--port", str(first), *common],
        [program, "--port", str(second), *common, "--replicaof", "127.0.0.1", str(first)],
        [program, str(folder / "sentinel.conf"), "--sentinel"],
    ]
    with contextlib.ExitStack() as stack, (folder / "log").open("wb") as log:
        for command in commands:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        with redis.Redis(port=watcher) as sentinel, redis.Redis(port=second) as replica:
            wait_for(lambda: _is_ready(sentinel, replica), within=30)
        yield f"redis+sentinel://127.0.0.1:{watcher}/tocsin"


def _is_ready(sentinel, replica):
    with contextlib.suppress(redis.RedisError):
        linked = replica.info("replication").get("master_link_status") == "up"
        return linked and sentinel.sentinel_master("tocsin")["num-slaves"] == 1
    return False


def _begins_a_failover(sentinel):
    # A Sentinel that got no turn for a while has no fresh word of the replica, and says so once.
    with contextlib.suppress(redis.ResponseError):
        return bool(sentinel.execute_command("SENTINEL", "FAILOVER", "tocsin"))
    return False


def test_clients_find_the_master_and_keep_their_databases_and_follow_it_after_a_failover(sentinel_url):
    short, broker = short_client(sentinel_url), broker_client(sentinel_url)
    blocking = blocking_client(sentinel_url, timedelta(seconds=1))
    short.set("kept", "yes")
    broker.set("kept", "by the broker")
    assert short.get("kept") == blocking.get("kept") == "yes"
    assert broker.get("kept") == b"by the broker"
    before = short.info("server")["run_id"]
    short.wait(1, 5000)
    port = sentinel_url.split(":")[2].split("/")[0]
    with redis.Redis(port=int(port)) as sentinel:
        wait_for(lambda: _begins_a_failover(sentinel), within=30)

    def moved():
        with contextlib.suppress(Unavailable), translated():
            return short.set("moved", "yes") and short.info("server")["run_id"] != before
        return False

    wait_for(moved, within=30)
    assert short.get("kept") == "yes"
    for client in (short, broker, blocking):
        client.close()
