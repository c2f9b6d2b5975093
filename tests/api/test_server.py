"""The web process as it runs: granian, real sockets, clients that are slow, cut off or rude."""

import json
import multiprocessing
import socket
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.api import bodies
from app.api.application import for_this_process, for_webhooks
from app.api.server import serve
from app.api.shares import threads
from app.db.tables import batch_staging, idempotency_keys, message_batches

# A forked process has everything imported already.
FORK = multiprocessing.get_context("fork")
IMPATIENCE = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Web:
    """A running web process."""

    port: int
    process: FORK.Process
    key: str

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=15)

    def post(self, path, body, content_type="application/json", **headers):
        with closing(self.connect()) as connection:
            connection.request("POST", path, body, self.headers(content_type, **headers))
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def headers(self, content_type="application/json", **more):
        own = {"Authorization": f"Bearer {self.key}", "Content-Type": content_type}
        return own | {name.replace("_", "-"): value for name, value in more.items()}

    @contextmanager
    def raw(self, text):
        """Send what stands there to the byte, and keep the connection."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=15)) as connection:
            connection.sendall(text.replace("KEY", self.key).replace("\n", "\r\n").encode())
            yield connection

    @property
    def serving(self):
        """The process that granian started, which does the work."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


@pytest.fixture
def web(settings, keys):
    with served(settings, keys["everything"], for_this_process) as web:
        yield web


@contextmanager
def served(settings, key, make):
    """Serve what `make` gives for these settings, in a process of its own."""
    settings = settings.model_copy(update={"port": free_port()})
    process = FORK.Process(target=run, args=(settings, make))
    process.start()
    web = Web(settings.port, process, key)
    try:
        wait_until(lambda: answers(web))
        yield web
    finally:
        process.kill()
        process.join()
        wait_until(lambda: not answers(web))


def run(settings, make):
    # The real limits are longer than a test should take.
    bodies.WHOLE_WITHIN = bodies.CHUNK_WITHIN = bodies.DRAINED_WITHIN = IMPATIENCE
    serve(partial(make, settings), settings.host, settings.port, threads=threads(settings))


def test_two_requests_go_over_one_connection(web, message):
    with closing(web.connect()) as connection:
        for _ in range(2):
            connection.request("POST", "/v1/messages", json.dumps(message), web.headers())
            response = connection.getresponse()
            response.read()
            assert response.status == 202


def test_a_body_that_does_not_come_is_408_and_others_are_served_meanwhile(web, message):
    head = "POST /v1/messages HTTP/1.1\nHost: x\nAuthorization: Bearer KEY\nContent-Type: application/json\n"
    with web.raw(f"{head}Content-Length: 100\n\n{{") as connection:
        assert web.post("/v1/messages", json.dumps(message))[0] == 202
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_chunked_body_without_its_end_is_not_accepted(web, app, head):
    first = json.dumps(head) + "\n"
    start = (
        "POST /v1/messages/bulk HTTP/1.1\nHost: x\nAuthorization: Bearer KEY\nTransfer-Encoding: chunked\n"
    )
    with web.raw(f"{start}Content-Type: application/x-ndjson\n\n{len(first):x}\n") as connection:
        connection.sendall(first.encode() + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).startswith(b"HTTP/1.1 411")
    assert nothing_is_left(app)


def test_an_upload_cut_at_half_leaves_nothing_and_goes_through_with_the_same_key(web, app, head):
    body = ndjson(head, 20_000)
    request = (
        "POST /v1/messages/bulk HTTP/1.1\nHost: x\nAuthorization: Bearer KEY\nIdempotency-Key: news\n"
        f"Content-Type: application/x-ndjson\nContent-Length: {len(body)}\n\n"
    )
    with web.raw(request) as connection:
        connection.sendall(body[: len(body) // 2])
    answers = []

    def taken():
        answers.append(web.post("/v1/messages/bulk", body, "application/x-ndjson", Idempotency_Key="news"))
        return answers[-1][0] not in (408, 409)

    # The key may still be in flight until the server has seen the end of the first one, and the server of
    # these tests has too little patience for a machine that has much to do.
    wait_until(taken)
    status, answer = answers[-1]
    assert (status, answer["received"]) == (202, 20_000)
    assert batches(app) == 1


def test_uploads_beyond_their_share_are_sent_away_while_single_messages_pass(web, message):
    request = (
        "POST /v1/messages/bulk HTTP/1.1\nHost: x\nAuthorization: Bearer KEY\nExpect: 100-continue\n"
        "Content-Type: application/x-ndjson\nContent-Length: 100000\n\n"
    )
    with web.raw(request) as first, web.raw(request) as second, web.raw(request) as third:
        # Two are asked for their bodies.
        statuses = [connection.recv(12) for connection in (first, second, third)]
        assert sorted(statuses) == [b"HTTP/1.1 100", b"HTTP/1.1 100", b"HTTP/1.1 503"]
        assert web.post("/v1/messages", json.dumps(message))[0] == 202


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(web):
    head = "POST /v1/messages HTTP/1.1\nHost: x\nAuthorization: Bearer KEY\nContent-Type: application/json\n"
    with web.raw(f"{head}Content-Length: 20000000\n\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_of_20_mb_gets_its_413_though_it_is_sent_whole(web):
    status, answer = web.post("/v1/messages", b" " * 20_000_000)
    assert (status, answer["type"]) == (413, "/problems/body-too-large")


@pytest.mark.parametrize("text", ["NONSENSE\n\n", "GET /healthz HTTP/1.1\nHost x\n\n"])
def test_what_is_no_http_is_400(web, text):
    with web.raw(text) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


def test_it_stops_within_seconds_and_finishes_what_runs(web, app, message):
    with closing(web.connect()) as connection, app.engine.connect() as blocker:
        blocker.execute(sa.text("LOCK TABLE message_queue IN ACCESS EXCLUSIVE MODE"))
        connection.request("POST", "/v1/messages", json.dumps(message), web.headers())
        wait_until(lambda: somebody_waits(app))
        web.process.terminate()
        blocker.rollback()
        assert connection.getresponse().status == 202
    web.process.join(timeout=10)
    assert web.process.exitcode == 0


def test_the_serving_process_does_not_outlive_its_parent(web):
    serving = web.serving
    web.process.kill()
    web.process.join()
    wait_until(lambda: not running(serving))


def test_the_process_for_webhooks_has_nothing_else_to_offer(settings, keys):
    with served(settings, keys["everything"], for_webhooks) as web:
        assert [status_of(web, path) for path in ("/healthz", "/webhooks/pigeon")] == [200, 404]
        assert [status_of(web, path) for path in ("/v1/messages", "/v1/gateways", "/docs")] == [404] * 3


def test_a_thread_that_computes_does_not_keep_a_request_waiting(settings, keys):
    with served(settings, keys["everything"], telling_its_turn) as web, closing(web.connect()) as connection:
        connection.request("GET", "/")
        assert float(connection.getresponse().read()) <= 0.001


def telling_its_turn(_settings):
    """Answer everything with how long a thread of this process keeps the interpreter, in seconds."""

    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(sys.getswitchinterval()).encode()]

    return application


def status_of(web, path):
    with closing(web.connect()) as connection:
        connection.request("GET", path, headers=web.headers())
        return connection.getresponse().status


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def ndjson(head, rows):
    lines = [head, *({"address": f"reader{n}@example.com"} for n in range(rows))]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def batches(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(sa.func.count()).select_from(message_batches)).scalar_one()


def nothing_is_left(app):
    tables = (message_batches, batch_staging, idempotency_keys)
    with app.engine.connect() as conn:
        return not any(
            conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables
        )


def somebody_waits(app):
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with app.engine.connect() as conn:
        return conn.execute(waiting).scalar_one() > 0


def answers(web):
    try:
        with closing(web.connect()) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
    except OSError:
        return False


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("it never came to be")
        time.sleep(0.02)
