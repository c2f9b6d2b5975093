import os
import shutil
import signal
from dataclasses import replace
from subprocess import run

import psycopg
import pytest
import sqlalchemy as sa

from app.embedded.process import Command, start
from app.embedded.servers import _processes_in
from app.embedded.tuning import of_this_machine
from app.errors import ConfigurationError, Unavailable


def statement(url, text):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(text))
        return result.scalar() if result.returns_rows else None


def test_a_path_with_blanks_serves_both_roles_through_their_urls(new_postgres, launch):
    launch(new_postgres)
    new_postgres.ensure_database()
    assert statement(new_postgres.url(), "SELECT current_user") == "tocsin"
    assert statement(new_postgres.url(role="tocsin_owner"), "SELECT current_user") == "tocsin_owner"


def test_the_application_role_cannot_create_or_drop_what_the_owner_owns(postgres, empty_database):
    statement(empty_database.owner, "CREATE TABLE sheep (name text)")
    for text in ("CREATE TABLE wolf (name text)", "DROP TABLE sheep", "ALTER TABLE sheep ADD age int"):
        with pytest.raises(sa.exc.ProgrammingError) as raised:
            statement(empty_database.application, text)
        assert raised.value.orig.sqlstate == "42501"


def test_ensuring_the_database_twice_changes_nothing(new_postgres, launch):
    launch(new_postgres)
    new_postgres.ensure_database()
    statement(new_postgres.url(role="tocsin_owner"), "CREATE TABLE kept (name text)")
    new_postgres.ensure_database()
    assert statement(new_postgres.url(role="tocsin_owner"), "SELECT count(*) FROM kept") == 0


def test_nothing_listens_on_the_network(postgres):
    with psycopg.connect(postgres.superuser_dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_durable_server_flushes_each_commit(new_postgres, launch):
    launch(replace(new_postgres, tuning=of_this_machine()))
    with psycopg.connect(new_postgres.superuser_dsn()) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


def test_a_half_made_directory_is_made_anew(new_postgres, launch):
    half = new_postgres.data.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    launch(new_postgres)
    assert not half.exists()


def test_a_failed_initdb_leaves_nothing_that_looks_like_data(new_postgres, yard):
    broken = yard / "broken"
    broken.mkdir()
    script = broken / "initdb"
    script.write_text('#!/bin/sh\necho 18 > "${1#--pgdata=}/PG_VERSION"\necho "no space left" >&2\nexit 1\n')
    script.chmod(0o755)
    with pytest.raises(ConfigurationError, match="no space left"):
        replace(new_postgres, programs=replace(new_postgres.programs, bin=broken)).prepare()
    assert not new_postgres.data.exists()


def test_data_of_another_major_version_is_refused_by_both_numbers(new_postgres):
    new_postgres.prepare()
    (new_postgres.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match=r"made by PostgreSQL 15, and this is PostgreSQL 18"):
        new_postgres.prepare()


def test_a_directory_that_is_no_database_is_refused_and_kept(new_postgres, server_account):
    new_postgres.data.mkdir()
    os.chown(new_postgres.data, server_account.uid, server_account.gid)
    (new_postgres.data / "diary.txt").write_text("dear diary")
    with pytest.raises(ConfigurationError, match="not a PostgreSQL directory"):
        new_postgres.prepare()
    assert (new_postgres.data / "diary.txt").read_text() == "dear diary"


def test_a_pid_file_whose_pid_was_given_to_another_process_does_not_block(
    new_postgres, launch, server_account, yard
):
    new_postgres.prepare()
    stranger = start(
        Command(name="stranger", arguments=("sleep", "60"), directory=yard, environment={},
                account=server_account, output=yard / "stranger.log"),
        {},
    )  # fmt: skip
    try:
        stale = f"{stranger.pid}\n{new_postgres.data}\n1700000000\n5432\n{yard}\n\n  0 0\nready\n"
        (new_postgres.data / "postmaster.pid").write_text(stale)
        launch(new_postgres)
    finally:
        stranger.stop()


def test_a_server_that_somebody_else_started_there_is_named_and_left_alone(new_postgres, launch):
    process = launch(new_postgres)
    with pytest.raises(ConfigurationError, match=f"process {process.pid}"):
        new_postgres.prepare()
    assert process.ended() is None


def test_what_was_committed_survives_kill_9(new_postgres, launch, eventually):
    process = launch(new_postgres)
    new_postgres.ensure_database()
    owner = new_postgres.url(role="tocsin_owner")
    statement(owner, "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: process.ended() is not None)
    eventually(lambda: not _processes_in(new_postgres.data))
    launch(new_postgres)
    assert statement(owner, "SELECT count(*) FROM kept") == 1000


def test_a_server_that_does_not_start_is_reported_with_its_last_words(new_postgres, launch):
    new_postgres.prepare()
    shutil.rmtree(new_postgres.data / "global")
    with pytest.raises(Unavailable, match="global/pg_control"):
        launch(new_postgres)


def test_stopping_is_a_shutdown_in_order(new_postgres, launch):
    launch(new_postgres).stop()
    said = run(
        [new_postgres.programs.bin / "pg_controldata", new_postgres.data],
        capture_output=True, text=True, check=True, env={"LC_ALL": "C"},
    ).stdout  # fmt: skip
    assert "cluster state:               shut down\n" in said
