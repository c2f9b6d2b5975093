"""Under whose name a server runs, and what that account may reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether this process runs as that account already."""
        return self.uid == os.geteuid()


def current() -> Account:
    """Name the account of this process; raises ConfigurationError where the system knows no name for it."""
    return _by_uid(os.geteuid())


def for_servers(data: Path) -> Account:
    """Choose who runs the servers that own `data`.

    An ordinary user runs them itself. PostgreSQL refuses root, so root hands them to whoever owns the
    data already, and to `nobody` at first.
    """
    if os.geteuid() != 0:
        return current()
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return _by_uid(owner)
    return _of(pwd.getpwnam("nobody"))


def can_enter(account: Account, directory: Path) -> bool:
    """Tell whether the account may pass through the directory and all above it, by their modes."""
    resolved = directory.resolve()
    return all(_may_pass(account, step) for step in (resolved, *resolved.parents))


def _may_pass(account: Account, step: Path) -> bool:
    facts = step.stat()
    if account.uid == 0:
        return True
    if facts.st_uid == account.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == account.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def _by_uid(uid: int) -> Account:
    try:
        return _of(pwd.getpwuid(uid))
    except KeyError as exc:
        raise ConfigurationError(
            f"The user id {uid} has no name on this machine, and PostgreSQL does not start without one. "
            "Add it to /etc/passwd, run as another user, or set DATABASE_URL and REDIS_URL."
        ) from exc


def _of(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
