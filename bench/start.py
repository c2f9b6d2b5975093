"""start: `bin/tocsin up` in an empty folder, until the first message is delivered."""

import http.client
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import orjson

from bench.calling import Caller, Refused, message
from bench.ground import fresh_folder, guarded
from bench.ports import free_base, free_port
from bench.processes import PROJECT, running
from bench.results import Result
from bench.sizes import Size
from bench.waiting import until


def run(size: Size) -> Result:
    """Start on an empty folder and again on what that left; with `full` on an empty machine too."""
    result = Result(bench="start", what="bin/tocsin up to the first delivered message")
    cold, warm = [], []
    for _ in range(size.rounds):
        with fresh_folder() as folder:
            cold.append(_deliver(PROJECT, folder))
            warm.append(_deliver(PROJECT, folder))
    result.add("no data yet", "s", *cold, at_most=60)
    result.add("started before", "s", *warm, at_most=5)
    if size.full:
        with fresh_folder() as folder:
            result.add("no environment, no cache of packages", "s", _on_empty_machine(folder), at_most=60)
    return result


def _deliver(project: Path, folder: Path, **variables: str) -> float:
    """Start, send as soon as anybody listens, stop; gives the seconds to the delivered message."""
    base, port = free_base(), free_port()
    data = folder / "data"
    settings = {"DATA_DIR": str(data), "PORT": str(port), "SIMULATOR_PORT": str(base), **variables}
    accepted: list[str] = []
    with guarded() as guard:
        began = time.monotonic()
        with running(guard, (str(project / "bin" / "tocsin"), "up"), settings, folder) as up:

            def sent() -> bool:
                assert up.process.ended() is None, up.words()
                accepted.extend(_send(data, port))
                return bool(accepted)

            until(sent, "a message is accepted", within=300)
            until(lambda: _status(data, port, accepted[0]) == "delivered", "it is delivered")
            return time.monotonic() - began


def _send(data: Path, port: int) -> list[str]:
    """Send a message; gives its uuid, or nothing where nobody listens yet."""
    with suppress(FileNotFoundError, ConnectionError, http.client.HTTPException):
        caller = Caller(port, _key(data))
        try:
            return [caller.send(message("P4", "reader@example.com"))["uuid"]]
        except Refused as exc:
            # The web process may be quicker than the database or the gateways.
            if "503" not in str(exc):
                raise
    return []


def _status(data: Path, port: int, uuid: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/v1/messages/{uuid}", headers={"Authorization": f"Bearer {_key(data)}"})
    status: str = orjson.loads(connection.getresponse().read())["status"]
    connection.close()
    return status


def _key(data: Path) -> str:
    return (data / "machine.key").read_text().strip()


def _on_empty_machine(folder: Path) -> float:
    """Copy the project without its environment, and start it with an empty cache."""
    project = folder / "project"
    command = ("git", "ls-files", "-co", "--exclude-standard")
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)  # noqa: S603 - git
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, project / name)
    environment = {"UV_CACHE_DIR": str(folder / "cache"), "UV_PROJECT_ENVIRONMENT": str(project / ".venv")}
    return _deliver(project, folder, **environment, PYTHONPATH="")
