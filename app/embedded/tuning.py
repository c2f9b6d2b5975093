"""PostgreSQL's configuration for a small machine that holds the whole system."""

import os
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """What depends on the machine and the purpose. Not `durable` means that a power cut may lose all."""

    memory: int
    durable: bool = True


def of_this_machine(*, durable: bool = True) -> Tuning:
    """Look at the machine."""
    return Tuning(memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), durable=durable)


def configuration(tuning: Tuning, sockets: Path) -> str:
    """Write postgresql.conf. What was set with ALTER SYSTEM stays in force above it."""
    settings = _FIXED | _by_memory(tuning.memory) | {"unix_socket_directories": _quoted(sockets)}
    if not tuning.durable:
        settings |= _VOLATILE
    head = "# Written anew at each start; lasting changes go through ALTER SYSTEM.\n"
    return head + "".join(f"{name} = '{value}'\n" for name, value in settings.items())


def _by_memory(memory: int) -> dict[str, str]:
    shared = min(max(memory // 8, 64 * _MIB), 1024 * _MIB)
    return {
        "shared_buffers": f"{shared // _MIB}MB",
        "effective_cache_size": f"{memory // 2 // _MIB}MB",
        "maintenance_work_mem": f"{min(shared // 4, 256 * _MIB) // _MIB}MB",
    }


def _quoted(path: Path) -> str:
    # A list of names inside a string: each level has quotes of its own to double.
    return ('"' + str(path).replace('"', '""') + '"').replace("'", "''")


_FIXED = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "work_mem": "8MB",
    # A transaction that was answered "accepted" must survive a power cut.
    "synchronous_commit": "on",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # Our statements are short: compiling them costs more than it saves.
    "jit": "off",
    # One big question from the console must not take all cores from the senders.
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "default_statistics_target": "100",
    # Queue rows are updated a few times and then rest, so the dead ones are collected early and often.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "2000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %q%u ",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    # Details of a broken constraint quote the row, and rows hold people's addresses.
    "log_error_verbosity": "terse",
}
# Fit for a server that may be killed, and unfit for a machine that may.
_VOLATILE = {
    "fsync": "off",
    # A killed server leaves its shared memory in its own directory, not in the machine.
    "dynamic_shared_memory_type": "mmap",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
    "wal_buffers": "4MB",
    "autovacuum_naptime": "60s",
}
