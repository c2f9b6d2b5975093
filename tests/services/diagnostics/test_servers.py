"""PostgreSQL and Redis: what is wrong with them is found, what is right is not."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
import redis

from app.db.engine import make_engine
from app.db.redis import short_client
from app.services.diagnostics import database, memory_store
from app.services.diagnostics.findings import Severity
from tests.world import Clock


@pytest.fixture
def owner(owner_url):
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as conn:
        yield conn


def test_a_server_that_is_well_is_told_only_that_it_is_not_durable_here(scene, look):
    assert set(look(database.server, scene)) <= {"database_not_durable"}


def test_a_database_that_is_away_is_critical_and_no_crash(scene, look):
    away = make_engine("postgresql://nobody@127.0.0.1:1/none", pool=1, name="test")
    found = look(database.server, replace(scene, engine=away))
    assert found["database_unreachable"].priority is Severity.CRITICAL


def test_connections_that_run_out_are_found_before_they_have():
    assert not list(database._connections(70, 100))
    assert [each.priority for each in database._connections(85, 100)] == [Severity.HIGH]
    assert [each.priority for each in database._connections(97, 100)] == [Severity.CRITICAL]


def test_a_schema_of_this_version_with_room_for_next_month_is_well(scene, look):
    assert look(database.schema, scene) == {}


def test_a_missing_partition_is_found(scene, look, owner):
    (name,) = owner.execute(
        "SELECT 'delivery_events_' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC')"
        " + interval '1 month', '\"y\"YYYY\"m\"MM')"
    ).fetchone()
    owner.execute(f"DROP TABLE {name}")
    assert look(database.schema, scene)["event_partition_missing"].priority is Severity.CRITICAL


def test_a_schema_that_is_behind_is_found(scene, look, owner):
    owner.execute("UPDATE alembic_version SET version_num = '0001'")
    assert "schema_outdated" in look(database.schema, scene)


def test_a_transaction_that_stays_open_is_found_once_it_is_old(scene, look, database_url, monkeypatch):
    with psycopg.connect(database_url.replace("+psycopg", "")) as other:
        other.execute("SELECT 1")
        assert look(database.oldest_transaction, scene) == {}
        monkeypatch.setattr(database, "_OLDEST_MINUTES", 0)
        assert look(database.oldest_transaction, scene)["old_transaction"].evidence["pid"]


def test_dead_rows_are_found_where_there_are_too_many(scene, look, owner, monkeypatch, eventually):
    assert look(database.dead_rows, scene) == {}
    monkeypatch.setattr(database, "LEAST_DEAD", 10)
    owner.execute("ALTER TABLE lane_flows SET (autovacuum_enabled = off)")
    owner.execute("INSERT INTO lane_flows SELECT 'P3', 'email', n FROM generate_series(1, 100) AS n")
    owner.execute("DELETE FROM lane_flows")
    owner.execute("SELECT pg_stat_force_next_flush()")
    eventually(lambda: "dead_rows" in look(database.dead_rows, scene))


def test_bloat_is_found_where_a_table_takes_far_more_room_than_its_rows(scene, look, owner, monkeypatch):
    owner.execute("ALTER TABLE lane_flows SET (autovacuum_enabled = off)")
    owner.execute("INSERT INTO lane_flows SELECT 'P3', 'email', n FROM generate_series(1, 20000) AS n")
    owner.execute("ANALYZE lane_flows")
    monkeypatch.setattr(database, "LEAST_BLOATED", 100_000)
    assert "bloat" not in look(database.dead_rows, scene)
    owner.execute("DELETE FROM lane_flows WHERE client_id < 19000")
    owner.execute("VACUUM (TRUNCATE off) lane_flows")
    owner.execute("ANALYZE lane_flows")
    assert look(database.dead_rows, scene)["bloat"].target == "lane_flows"


def test_all_indexes_are_there_until_one_is_dropped(scene, look, owner):
    assert look(database.indexes, scene) == {}
    owner.execute("DROP INDEX suppression_list_address_idx")
    assert look(database.indexes, scene)["index_missing"].target == "suppression_list_address_idx"


def test_an_index_left_unfinished_is_found(scene, look, owner, postgres):
    owner.execute("CREATE TABLE odd (n int)")
    owner.execute("INSERT INTO odd VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute("CREATE UNIQUE INDEX CONCURRENTLY odd_n_idx ON odd (n)")
    assert look(database.indexes, scene)["index_invalid"].target == "odd_n_idx"


def test_a_table_that_is_read_from_end_to_end_is_found(scene, look, owner, monkeypatch, eventually):
    monkeypatch.setattr(database, "MANY_SCANS", 1)
    monkeypatch.setattr(database, "MANY_ROWS", 50)
    owner.execute("CREATE TABLE wide AS SELECT n FROM generate_series(1, 100) AS n")
    owner.execute("SELECT count(*) FROM wide")
    owner.execute("SELECT pg_stat_force_next_flush()")
    eventually(lambda: look(database.indexes, scene).get("many_sequential_scans"))


def test_clocks_that_agree_are_no_finding(scene, look):
    assert look(database.clock, scene) == {}


@pytest.mark.parametrize(("seconds", "priority"), [(5, Severity.MEDIUM), (-30, Severity.HIGH)])
def test_clocks_that_do_not_agree_are_one(scene, look, seconds, priority):
    found = look(database.clock, replace(scene, now=Clock(ahead=timedelta(seconds=seconds))))
    assert found["clock_skew"].priority is priority
    assert found["clock_skew"].evidence["ahead_seconds"] == pytest.approx(-seconds, abs=0.5)


def test_a_redis_that_is_away_is_found(scene, look):
    away = short_client("redis://127.0.0.1:1")
    assert look(memory_store.server, replace(scene, redis=away)).keys() == {"redis_unreachable"}


def test_a_redis_that_is_well_but_new_and_keeps_nothing_says_just_that(scene, look):
    assert look(memory_store.server, scene).keys() <= {"redis_not_persistent", "redis_restarted"}


@pytest.fixture
def configured(redis_url):
    """A Redis set up otherwise, and back afterwards."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        before = client.config_get("maxmemory*")

        def configured(**values):
            for name, value in values.items():
                client.config_set(name.replace("_", "-"), value)
            return client.info("memory")

        yield configured
        configured(maxmemory=before["maxmemory"], maxmemory_policy=before["maxmemory-policy"])


def test_a_redis_that_may_throw_data_away_is_found(scene, look, configured):
    configured(maxmemory="100mb", maxmemory_policy="noeviction")
    assert "redis_evicts" not in look(memory_store.server, scene)
    configured(maxmemory_policy="allkeys-lru")
    assert look(memory_store.server, scene)["redis_evicts"].evidence == {"policy": "allkeys-lru"}


def test_a_redis_that_is_nearly_full_is_found(scene, look, configured):
    used = configured(maxmemory="100mb", maxmemory_policy="noeviction")["used_memory"]
    assert "redis_memory" not in look(memory_store.server, scene)
    configured(maxmemory=int(used * 1.15))
    assert "redis_memory" in look(memory_store.server, scene)


def test_a_redis_that_cannot_write_is_found():
    assert {f.code for f in memory_store._keeping({"aof_enabled": 1, "uptime_in_seconds": 9999})} == set()
    told = {"aof_enabled": 1, "uptime_in_seconds": 9999, "aof_last_write_status": "err"}
    assert {f.code for f in memory_store._keeping(told)} == {"redis_cannot_write"}


def test_a_slow_redis_is_found(scene, look, monkeypatch):
    monkeypatch.setattr(memory_store, "SLOW", timedelta(seconds=10))
    assert look(memory_store.latency, scene) == {}
    monkeypatch.setattr(memory_store, "SLOW", timedelta(0))
    assert "redis_slow" in look(memory_store.latency, scene)
