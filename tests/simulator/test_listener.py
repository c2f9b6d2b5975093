"""Ports that open and close."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.simulator.listener import Listener
from bench.ports import free_port


async def nothing(_scope, exchange):
    exchange.response_bytes(200, [], b"")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_port_that_was_opened_and_closed_leaves_no_socket_behind():
    async def after_each_of(times):
        listener, counts = Listener(nothing, "127.0.0.1", free_port()), []
        for _ in range(times):
            await listener.open()
            await listener.close()
            counts.append(open_files())
        return counts

    # In a thread of its own, since the browser tests leave a loop running in theirs.
    with ThreadPoolExecutor(1) as pool:
        counts = pool.submit(asyncio.run, after_each_of(4)).result()
    assert counts[-1] <= counts[0]
