"""What runs in a place now, so that commands in another terminal use it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from app.embedded import lock


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A system that is up: the process that holds it, and the settings under which its parts run."""

    pid: int
    environment: Mapping[str, str]


def lock_of(root: Path) -> Path:
    """Name the lock that is held while a system is up."""
    return root / "up.lock"


def publish(root: Path, running: Running) -> None:
    """Let others know; only who may read the file gets the settings, secrets among them."""
    path, part = root / "running.json", root / "running.json.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(running), file)
    part.replace(path)


def withdraw(root: Path) -> None:
    """Say that nothing runs any more."""
    (root / "running.json").unlink(missing_ok=True)


def read(root: Path) -> Running | None:
    """Tell what is up in the place; None where nothing is, or where it is another user's."""
    if not lock.is_held(lock_of(root)):
        return None
    try:
        facts = json.loads((root / "running.json").read_text())
        return Running(pid=facts["pid"], environment=facts["environment"])
    except (OSError, ValueError, KeyError):
        return None
