"""Where the Lua lives: one script a file, headed by what it promises."""

from collections.abc import Callable
from datetime import datetime
from importlib import resources

import redis

from app.db.redis import Script

Clock = Callable[[], datetime]


def script(client: redis.Redis, *names: str) -> Script:
    """Give the script in `lua/<name>.lua` as a call; of several, the first ones are what the last needs."""
    folder = resources.files(__package__).joinpath("lua")
    return Script(client, "\n".join(folder.joinpath(f"{name}.lua").read_text("utf-8") for name in names))


def milliseconds(clock: Clock | None) -> int | str:
    """Say what time a script is to go by; empty means the server's own clock, as always outside tests."""
    return "" if clock is None else round(clock().timestamp() * 1000)
