"""Where the servers of a project keep their data, sockets, logs and locks."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from app.embedded.accounts import Account, can_enter, current, for_servers
from app.errors import ConfigurationError

_SHARED = Path("/var/lib/tocsin")
_SHORT = Path("/tmp")  # noqa: S108 - Only for a directory that is checked to be ours alone.
# What the kernel takes for the address of a socket, less the longest name put into the directory.
_SOCKET_LIMIT = 107
_LONGEST_SOCKET = "/.s.PGSQL.5432.lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The directories of one project; `root`, `logs` and `sockets` exist."""

    root: Path
    account: Account
    sockets: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def programs(self) -> Path:
        """Where copies of programs go that the account could not reach otherwise."""
        return self.root / "programs"

    @property
    def running(self) -> Path:
        """The file that tells other commands what runs here."""
        return self.root / "running.json"


def root_of(project: Path, chosen: Path | None) -> Path:
    """Choose the directory for a project's data, without making it.

    It is the chosen one, else `.tocsin` in the project, else, where the servers' account cannot get
    there, one under /var/lib named after the project's path.
    """
    if chosen is not None:
        return chosen.absolute()
    near = project.resolve() / ".tocsin"
    account = for_servers(near / "postgres")
    if account.is_ours or can_enter(account, project):
        return near
    return _SHARED / _digest(project.resolve())


def make(root: Path) -> Place:
    """Make the directories under `root`; raises ConfigurationError where that cannot be."""
    account = for_servers(root / "postgres")
    try:
        _make_shared(root, account)
        logs = root / "log"
        logs.mkdir(mode=0o700, exist_ok=True)
        sockets = _make_sockets(root, account)
    except OSError as exc:
        raise ConfigurationError(
            f"No directory for data can be made at {root} ({exc.strerror}). "
            f"Set DATA_DIR to one that {current().name} may write to."
        ) from exc
    if not can_enter(account, root):
        raise ConfigurationError(
            f"The user {account.name}, who has to run PostgreSQL, cannot enter {root}. "
            "Set DATA_DIR to a directory that everyone may pass through."
        )
    return Place(root=root, account=account, sockets=sockets)


def _make_shared(root: Path, account: Account) -> None:
    root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not root.exists():
        root.mkdir()
        # Just made, so the mode is ours to set: the servers' account passes through, and nobody looks in.
        root.chmod(0o700 if account.is_ours else 0o711)


def _make_sockets(root: Path, account: Account) -> Path:
    inside = root / "run"
    if len(os.fsencode(inside)) + len(_LONGEST_SOCKET) <= _SOCKET_LIMIT:
        return _private(inside, account)
    return _private(_SHORT / f"tocsin-{account.uid}-{_digest(root)}", account)


def _private(directory: Path, account: Account) -> Path:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        _check_private(directory, account)
    else:
        if not account.is_ours:
            os.chown(directory, account.uid, account.gid)
    return directory


def _check_private(directory: Path, account: Account) -> None:
    facts = directory.lstat()
    ours = facts.st_uid == account.uid and stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o077
    if not ours:
        raise ConfigurationError(
            f"{directory} should belong to {account.name} alone and does not. Remove it, or set DATA_DIR."
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
