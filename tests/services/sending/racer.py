"""A process that works one lane until it is told to end; for tests that need several."""

import sys
import time

from app import logs
from app import settings as config
from app.bootstrap import build
from app.domain.vocabulary import Priority
from app.services.sending import lane


def race(priority: Priority) -> None:
    settings = config.load(_env_file=None)
    logs.configure(settings)
    app = build(settings, f"racer {sys.argv[2]}", connections=4)
    print("ready", flush=True)  # noqa: T201 - Who started it waits for this.
    for line in sys.stdin:
        ends_at = time.monotonic() + float(line)
        while time.monotonic() < ends_at:
            lane.work(app.tools, priority, sweep=True)
            time.sleep(0.05)
        print("done", flush=True)  # noqa: T201 - And for this.


if __name__ == "__main__":
    race(Priority(sys.argv[1]))
