import contextlib
import queue
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
import urllib3

from app.simulator.background import simulating
from app.simulator.sender import Delivery
from app.simulator.simulator import Options
from bench.ports import free_base

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"


@dataclass
class Simulated:
    """A running simulator and a client for it."""

    base: int
    http: urllib3.PoolManager

    def control(self, method, path, **fields):
        body = orjson.dumps(fields) if fields else None
        answer = self.http.request(method, f"http://127.0.0.1:{self.base}/_simulator/{path}", body=body)
        return orjson.loads(answer.data)

    def postal(self, path="send/message", key="simulator", headers=None, body=None, **fields):
        headers = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            headers["x-server-api-key"] = key
        return self.http.request(
            "POST",
            f"http://127.0.0.1:{self.base + 1}/api/v1/{path}",
            body=orjson.dumps(fields) if body is None else body,
            headers=headers,
        )

    def send(self, address, tag=TAG, **fields):
        """Send one message through Postal."""
        fields = {"from": "News <news@example.org>", "subject": "Hi", "plain_body": "text", **fields}
        return self.postal(to=[address], tag=tag, **fields)

    def entries(self):
        answer = self.http.request("GET", f"http://127.0.0.1:{self.base}/_simulator/accepted")
        return [orjson.loads(line) for line in answer.data.splitlines()]


@dataclass
class Got:
    """A webhook as it arrived."""

    method: str
    path: str
    headers: dict
    body: bytes
    client: tuple

    @property
    def json(self):
        return orjson.loads(self.body)


class Receiver:
    """Takes webhooks. `statuses` are the answers to the next ones, 200 after that."""

    def __init__(self):
        self.got = queue.Queue()
        self.statuses = queue.SimpleQueue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                self.take(self.rfile.read(int(self.headers["content-length"])))

            def do_GET(self):
                assert self.headers["content-length"] is None
                self.take(b"")

            def take(self, body):
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.put(Got(self.command, self.path, headers, body, self.client_address))
                try:
                    status = receiver.statuses.get_nowait()
                except queue.Empty:
                    status = 200
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def take(self, number=1):
        return [self.got.get(timeout=10) for _ in range(number)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def start():
    """Give a function that starts a simulator with the options named; all stop with the test."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            chosen = Options(**{"port": free_base(), "slow": timedelta(milliseconds=200), **options})
            stack.enter_context(simulating(chosen))
            pool = stack.enter_context(urllib3.PoolManager(retries=False, timeout=10, maxsize=64, block=True))
            return Simulated(chosen.port, pool)

        yield start


@pytest.fixture
def simulated(start):
    """A simulator that sends no webhooks."""
    return start()


@pytest.fixture
def telling(start, receiver):
    """A function that starts a simulator which tells the receiver at once; fields are Delivery's."""

    def telling(*, subscribed=True, **fields):
        # One connection, so that on a busy machine, too, what is told later arrives later.
        quick = Delivery(
            target=receiver.url,
            delay=timedelta(milliseconds=20),
            retry=timedelta(milliseconds=50),
            connections=1,
        )
        return start(delivery=replace(quick, **fields), subscribed=subscribed, seed=1)

    return telling
