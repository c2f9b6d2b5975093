"""The directory of a PostgreSQL server: made once, configured at each start, never mixed up."""

import os
import shutil
import subprocess
from pathlib import Path

from app.embedded.accounts import Account, current
from app.embedded.binaries import PostgresPrograms
from app.embedded.tuning import Tuning, configuration
from app.errors import ConfigurationError

SUPERUSER = "postgres"
OWNER = "tocsin_owner"
APPLICATION = "tocsin"
DATABASE = "tocsin"
_BUILTIN_COLLATION_SINCE = 17


def prepare(data: Path, programs: PostgresPrograms, account: Account, sockets: Path, tuning: Tuning) -> None:
    """Make `data` a directory that the server can be started on, keeping what is in it.

    Raises ConfigurationError where another major version's data, or somebody else's, is there. The
    caller holds the directory's lock.
    """
    if data.exists():
        _check_owner(data, account)
        _check_version(data, programs.major)
        _drop_stale_pid(data)
    else:
        _initialise(data, programs, account, durable=tuning.durable)
    _write(data / "postgresql.conf", configuration(tuning, sockets), account)
    _write(data / "pg_hba.conf", _HBA, account)
    _write(data / "pg_ident.conf", _ident(account), account)


# Nobody gets in by password: the kernel tells the server who is at the other end of its socket.
_HBA = "local all all peer map=tocsin\n"


def _ident(account: Account) -> str:
    callers = {current().name, account.name}
    roles = (SUPERUSER, OWNER, APPLICATION)
    return "".join(f'tocsin "{caller}" {role}\n' for caller in sorted(callers) for role in roles)


def _check_owner(data: Path, account: Account) -> None:
    owner = data.stat().st_uid
    if owner != account.uid:
        raise ConfigurationError(
            f"{data} belongs to the user with id {owner}, not to {account.name}. "
            "Start as the user who started it before, or set DATA_DIR to another directory."
        )


def _check_version(data: Path, major: int) -> None:
    version = data / "PG_VERSION"
    if not version.exists():
        raise ConfigurationError(f"{data} is not a PostgreSQL directory; move it away, or set DATA_DIR.")
    found = version.read_text().strip()
    if found != str(major):
        raise ConfigurationError(
            f"{data} was made by PostgreSQL {found}, and this is PostgreSQL {major}. Dump it with the old "
            f"version and load it with the new one (docs/operations.md), or move it away to start empty."
        )


def _drop_stale_pid(data: Path) -> None:
    # Whoever holds the lock knows that no server of ours runs here. PostgreSQL does not: when the pid in
    # this file was given to some other process of the same user, it would wait for that one for ever.
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    if _serves(pid, data):
        raise ConfigurationError(
            f"PostgreSQL runs on {data} already as process {pid}, and was not started by Tocsin. "
            f"Stop it (kill -INT {pid}) and start again."
        )
    pid_file.unlink()


def _serves(pid: int, data: Path) -> bool:
    """Tell whether that process is a PostgreSQL on this directory, which is where such a one lives."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _initialise(data: Path, programs: PostgresPrograms, account: Account, *, durable: bool) -> None:
    # In a directory beside it and renamed at the end, so that a half-made one is never taken for data.
    new = data.with_name(data.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if not account.is_ours:
        os.chown(new, account.uid, account.gid)
    done = subprocess.run(  # noqa: S603 - Our own program and arguments.
        [programs.bin / "initdb", f"--pgdata={new}", *_initdb_options(programs.major, durable=durable)],
        cwd=new,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        user=None if account.is_ours else account.uid,
        group=None if account.is_ours else account.gid,
        extra_groups=None if account.is_ours else [],
    )
    if done.returncode != 0:
        raise ConfigurationError(f"PostgreSQL could not make its directory {data}:\n{done.stderr.strip()}")
    new.rename(data)


def _initdb_options(major: int, *, durable: bool) -> list[str]:
    options = [f"--username={SUPERUSER}", "--encoding=UTF8", "--auth=peer", "--locale=C"]
    if major >= _BUILTIN_COLLATION_SINCE:
        # Sorts alike on every machine, so an index outlives an upgrade of the C library.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not durable:
        options.append("--no-sync")
    return options


def _write(path: Path, text: str, account: Account) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.chmod(0o600)
    if not account.is_ours:
        os.chown(part, account.uid, account.gid)
    part.replace(path)
