"""Whether this machine has room: disk, memory, file handles, processor."""

import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from app.services.beats import read_beats
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "resources"

LITTLE_DISK, HARDLY_DISK = 0.10, 0.03
LITTLE_MEMORY, HARDLY_MEMORY = 0.10, 0.03
MANY_HANDLES = 0.8
BUSY = 2.0  # processes that want to run, for each processor

_PROC = Path("/proc")
_finding = partial(Finding, subject=SUBJECT)


def disk(scene: Scene) -> Iterator[Finding]:
    """Look at the file systems that our data and our metrics are on."""
    places = {scene.directory, scene.settings.prometheus_multiproc_dir or scene.directory}
    seen: set[int] = set()
    for place in sorted(str(place) for place in places if place.exists()):
        device = Path(place).stat().st_dev
        if device not in seen:
            seen.add(device)
            usage = shutil.disk_usage(place)
            yield from judged_disk(place, usage.free, usage.total)


def judged_disk(place: str, free: int, total: int) -> Iterator[Finding]:
    """Judge the room on one file system, in bytes."""
    share = free / total if total else 1.0
    if share >= LITTLE_DISK:
        return
    yield _finding(
        code="disk_full",
        target=place,
        priority=Severity.CRITICAL if share < HARDLY_DISK else Severity.HIGH,
        meaning=f"{share:.0%} of the disk under {place} is free. When it is full, PostgreSQL takes no "
        "writes.",
        advice="Make room, or shorten RETENTION_DAYS.",
        automatic="Finished messages are removed after their retention, each night.",
        evidence={"free_bytes": free, "total_bytes": total},
    )


def memory(_scene: Scene) -> Iterator[Finding]:
    """Look how much memory is to be had."""
    yield from judged_memory(_meminfo())


def judged_memory(told: Mapping[str, int]) -> Iterator[Finding]:
    """Judge what the kernel says of memory, in bytes; where it says nothing, nothing is found."""
    total, available = told.get("MemTotal", 0), told.get("MemAvailable", 0)
    if total and available / total < LITTLE_MEMORY:
        yield _finding(
            code="memory_low",
            priority=Severity.CRITICAL if available / total < HARDLY_MEMORY else Severity.HIGH,
            meaning=f"{available / total:.0%} of the memory is available; the kernel will soon end "
            "processes.",
            advice="See which process takes it; run fewer workers here, or give the machine more.",
            evidence={"available_bytes": available, "total_bytes": total},
        )


def handles(scene: Scene) -> Iterator[Finding]:
    """Look how many files each process of ours on this machine holds open, against what it may."""
    with scene.database() as conn:
        beats = [beat for beat in read_beats(conn) if beat.alive and beat.host == socket.gethostname()]
    yield from judged_handles((beat.kind, beat.pid) for beat in beats)


def judged_handles(processes: Iterable[tuple[str, int]]) -> Iterator[Finding]:
    """Judge the open files of processes, by kind and pid; those of other people are left out."""
    for kind, pid in processes:
        with suppress(OSError, ValueError):
            used = len(os.listdir(_PROC / str(pid) / "fd"))  # noqa: PTH208 - Only their number is wanted.
            most = _limit(pid)
            if used > most * MANY_HANDLES:
                yield _finding(
                    code="handles_low",
                    target=f"{kind}:{pid}",
                    priority=Severity.HIGH,
                    meaning=f"{kind} ({pid}) holds {used} of {most} file handles; it will fail to connect.",
                    advice="Raise LimitNOFILE (ulimit -n), or see what it leaves open.",
                    evidence={"used": used, "most": most},
                )


def processor(_scene: Scene) -> Iterator[Finding]:
    """Look whether more wants to run than there are processors."""
    yield from judged_load(os.getloadavg()[1], os.cpu_count() or 1)


def judged_load(load: float, processors: int) -> Iterator[Finding]:
    """Judge the load of the last five minutes."""
    if load > BUSY * processors:
        yield _finding(
            code="processor_busy",
            priority=Severity.MEDIUM,
            meaning=f"On average {load:.1f} processes wanted one of {processors} processors in the last "
            "five minutes.",
            advice="See what runs here beside us; bulk can be sent from another machine.",
            automatic="Bulk workers give way to everything else, emergencies go before it.",
            evidence={"load": round(load, 2), "processors": processors},
        )


def _meminfo() -> dict[str, int]:
    with suppress(OSError):
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        parts = (line.split() for line in lines)
        return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in parts}
    return {}


def _limit(pid: int) -> int:
    for line in (_PROC / str(pid) / "limits").read_text(encoding="ascii").splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3])
    raise ValueError("The kernel names no limit of open files.")


CHECKS = tuple(
    Check(name=f"resources_{check.__name__}", subject=SUBJECT, run=check)
    for check in (disk, memory, handles, processor)
)
