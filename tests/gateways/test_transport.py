import contextlib
import datetime as dt
import gzip
import itertools
import multiprocessing
import os
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.gateways.base import HttpFailure, HttpRequest
from app.gateways.transport import Places, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE = 20


@dataclass
class Connection:
    """One accepted connection, on the server's side."""

    sock: socket.socket
    number: int
    requests: list = field(default_factory=list)

    def read_head(self):
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = self.sock.recv(1)
            if not chunk:
                return None
            head += chunk
        return head.decode("latin-1")

    def read(self):
        """Read one whole request: its head and its body, or None where the client has closed."""
        head = self.read_head()
        if head is None:
            return None
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        left = int(lengths[0].split(":")[1]) if lengths else 0
        body = b""
        while len(body) < left:
            body += self.sock.recv(min(left - len(body), 1 << 20))
        self.requests.append((head, body))
        return head, body

    def send(self, answer):
        self.sock.sendall(answer)

    def cut(self):
        """Close by reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_the_end(self):
        """Return once the client has closed, or has been cut off."""
        self.sock.settimeout(PATIENCE)
        while True:
            try:
                if not self.sock.recv(65536):
                    return
            except OSError:
                return


class Server:
    """A real server of raw sockets: `talk` plays one connection, in a thread of its own."""

    def __init__(self, talk: Callable, wrap=None, scheme="http"):
        self.talk, self.wrap = talk, wrap
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/send?key=secret"
        self.connections = 0
        self.requests = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            connection = Connection(sock, self.connections, self.requests)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection.sock:
            try:
                if self.wrap:
                    connection.sock = self.wrap(connection.sock)
                self.talk(connection)
            except OSError:
                pass  # The client went away, or refused our certificate.
            finally:
                connection.sock.close()

    def stop_listening(self):
        # Closing alone would leave accept() holding the port.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def serve():
    servers = []

    def start(talk, **options):
        servers.append(Server(talk, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.listener.fileno() >= 0:
            server.stop_listening()


@pytest.fixture
def transport():
    made = Transport(concurrency=8)
    yield made
    made.close()


def answering(answer=OK):
    def talk(connection):
        while connection.read():
            connection.send(answer)

    return talk


def post(url, body=b"hello", **more):
    return HttpRequest(url=url, body=body, headers=more.pop("headers", {}), **more)


def handing_out(requests):
    """Make a pull that hands out these requests, tagged by their position."""
    waiting = list(enumerate(requests))

    def pull(free):
        given, waiting[:] = waiting[:free], waiting[free:]
        return given

    return pull


def all_of(transport, requests):
    return {tag: result for batch in transport.exchange(handing_out(requests)) for tag, result in batch}


# What goes out and what comes back


def test_a_request_arrives_as_it_was_given_and_its_answer_comes_back(serve, transport):
    server = serve(answering(b"HTTP/1.1 202 Accepted\r\nX-Id: 7\r\nContent-Length: 3\r\n\r\nyes"))
    result = transport.fetch(
        post(server.url, b'{"a":1}', headers={"X-Key": "k", "Content-Type": "application/json"})
    )
    assert (result.status, result.headers["x-id"], result.body) == (202, "7", b"yes")
    assert result.elapsed > timedelta(0)
    head, body = server.requests[0]
    assert head.startswith("POST /send?key=secret HTTP/1.1\r\n")
    assert "\r\nX-Key: k\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head
    assert body == b'{"a":1}'


def test_nothing_is_added_that_nobody_asked_for(serve, transport):
    server = serve(answering())
    transport.fetch(post(server.url, b"x" * 3_000_000))
    names = {line.split(":")[0].lower() for line in server.requests[0][0].split("\r\n")[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "content-length"}


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", b""), ("HEAD", b""), ("PUT", b"x"), ("DELETE", b""), ("PATCH", b"y"), ("POST", b"")],
)
def test_any_method_goes_out_and_leaves_no_trace_on_the_next_request(serve, method, body):
    server = serve(answering(b"HTTP/1.1 204 No Content\r\n\r\n"))
    transport = Transport(concurrency=1)
    requests = [
        post(server.url, body, method=method, headers={"X-A": "1"}),
        post(server.url, headers={"X-B": "2"}),
        post(server.url, b"", method="GET"),
    ]
    for request in requests:
        assert transport.fetch(request).status == 204
    transport.close()
    (first, sent), (second, sent_next), (third, _) = server.requests
    assert (first.split()[0], sent) == (method, body)
    assert (second.split()[0], sent_next) == ("POST", b"hello")
    assert third.split()[0] == "GET"
    assert "X-A" not in second


def test_nothing_is_kept_of_an_exchange(serve):
    transport = Transport(concurrency=1)
    transport.fetch(post(serve(answering()).url))
    (handle,) = transport._free
    assert (handle._body, handle._head, handle._chunks) == (b"", [], [])
    transport.close()


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_answer_that_says_no_is_an_answer(serve, transport, status):
    server = serve(answering(b"HTTP/1.1 %d Nope\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno" % status))
    result = transport.fetch(post(server.url))
    assert (result.status, result.headers["retry-after"], result.body) == (status, "3", b"no")


def test_header_names_are_in_lower_case_and_repeated_ones_joined(serve, transport):
    head = b"HTTP/1.1 200 OK\r\nX-One: a\r\nx-oNE:b\r\nX-Empty:\r\nX-Colon: a:b\r\nContent-Length: 0\r\n\r\n"
    result = transport.fetch(post(serve(answering(head)).url))
    assert result.headers == {"x-one": "a, b", "x-empty": "", "x-colon": "a:b", "content-length": "0"}


def test_only_the_final_header_block_counts(serve, transport):
    early = b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Early: 2\r\n\r\n"
    result = transport.fetch(post(serve(answering(early + OK)).url))
    assert result.status == 200
    assert result.headers == {"content-length": "2"}


def test_a_compressed_answer_is_unpacked(serve, transport):
    packed = gzip.compress(b"hello" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert transport.fetch(post(serve(answering(head + packed)).url)).body == b"hello" * 1000


def test_a_redirect_is_an_answer_and_not_followed(serve, transport):
    server = serve(answering(b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"))
    assert transport.fetch(post(server.url)).status == 307
    assert len(server.requests) == 1


def test_cookies_are_not_kept(serve, transport):
    server = serve(answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"))
    for _ in range(2):
        transport.fetch(post(server.url))
    assert "cookie" not in server.requests[1][0].lower()


def test_a_slow_answer_within_its_time_is_waited_for(serve, transport):
    asked = threading.Event()

    def talk(connection):
        connection.read()
        for byte in OK:
            asked.wait(0.01)
            connection.send(bytes([byte]))

    request = post(serve(talk).url, connect_timeout=timedelta(milliseconds=100))
    assert transport.fetch(request).body == b"ok"


# Failures, and whether anything had left


def test_a_refused_port_means_nothing_was_written(serve, transport):
    server = serve(answering())
    server.stop_listening()
    result = transport.fetch(post(server.url))
    assert (result.written, result.timed_out) == (False, False)


def test_an_unknown_host_means_nothing_was_written(transport):
    assert transport.fetch(post("http://gateway.invalid/")).written is False


def test_a_connect_time_out_means_nothing_was_written(transport):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        result = transport.fetch(post(url, connect_timeout=timedelta(milliseconds=150)))
    assert (result.written, result.timed_out) == (False, True)


def test_a_server_that_never_reads_may_have_it(serve, transport):
    over = threading.Event()
    server = serve(lambda _: over.wait(PATIENCE))
    result = transport.fetch(post(server.url, timeout=timedelta(milliseconds=150)))
    over.set()
    assert (result.written, result.timed_out) == (True, True)


def test_a_server_that_reads_and_hangs_may_have_it(serve, transport):
    def talk(connection):
        connection.read()
        connection.wait_for_the_end()

    server = serve(talk)
    result = transport.fetch(post(server.url, timeout=timedelta(milliseconds=150)))
    assert (result.written, result.timed_out) == (True, True)
    assert result.elapsed >= timedelta(milliseconds=149)
    assert len(server.requests) == 1


def cut_at_the_first_byte(connection):
    connection.sock.recv(1)
    connection.cut()


def cut_after_the_head(connection):
    connection.read_head()
    connection.cut()


def cut_after_the_body(connection):
    connection.read()
    connection.cut()


def close_after_the_body(connection):
    connection.read()


def close_inside_the_answer(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")


def close_inside_the_head(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def close_inside_a_chunk(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nonly this")


def talk_garbage(connection):
    connection.read()
    connection.send(b"\x15\x03\x01\x00\x02\x02\x46 what is this?\r\n\r\n")


def answer_with_a_broken_length(connection):
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n")


BAD_SERVERS = [
    cut_after_the_head,
    cut_after_the_body,
    close_after_the_body,
    close_inside_the_answer,
    close_inside_the_head,
    close_inside_a_chunk,
    talk_garbage,
    answer_with_a_broken_length,
]


@pytest.mark.parametrize("talk", BAD_SERVERS)
def test_what_breaks_after_the_request_left_may_have_been_taken(serve, transport, talk):
    result = transport.fetch(post(serve(talk).url))
    assert isinstance(result, HttpFailure)
    assert (result.written, result.timed_out) == (True, False)


def test_a_connection_cut_while_writing_counts_as_written(serve, transport):
    result = transport.fetch(post(serve(cut_at_the_first_byte).url, b"x" * 5_000_000))
    assert isinstance(result, HttpFailure)
    assert result.written


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_without_a_body_knows_whether_it_left(serve, transport, method):
    served = transport.fetch(post(serve(close_after_the_body).url, b"", method=method))
    closed = serve(answering())
    closed.stop_listening()
    refused = transport.fetch(post(closed.url, b"", method=method))
    assert (served.written, refused.written) == (True, False)


@pytest.mark.parametrize("talk", [*BAD_SERVERS, Connection.wait_for_the_end])
def test_what_a_failure_says_holds_no_secret(serve, transport, talk):
    request = post(
        serve(talk).url, b"body-secret", headers={"X-Key": "head-secret"}, timeout=timedelta(milliseconds=300)
    )
    assert "secret" not in transport.fetch(request).detail


def test_an_answer_that_is_too_large_is_cut_off(serve, transport):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n"
    result = transport.fetch(post(serve(answering(head + bytes(2_000_000))).url))
    assert isinstance(result, HttpFailure)
    assert result.written


def test_an_answer_without_a_length_is_cut_off_too(serve, transport):
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    result = transport.fetch(post(serve(answering(head + chunk * 40 + b"0\r\n\r\n")).url))
    assert isinstance(result, HttpFailure)
    assert result.written


def test_an_answer_that_unpacks_to_too_much_is_cut_off(serve, transport):
    packed = gzip.compress(bytes(100_000_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    result = transport.fetch(post(serve(answering(head + packed)).url))
    assert isinstance(result, HttpFailure)
    assert result.written


def test_an_answer_of_a_mebibyte_fits(serve, transport):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"
    assert len(transport.fetch(post(serve(answering(head + bytes(1048576))).url)).body) == 1048576


@pytest.mark.parametrize(
    "broken",
    [
        {"headers": {"X-A": "1\r\nX-B: 2"}},
        {"headers": {"X-\N{SNOWMAN}": "1"}},
        {"url": "http://caf\N{LATIN SMALL LETTER E WITH ACUTE}.invalid/"},
        {"url": "http://127.0.0.1:1/a\0b"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "file:///etc/passwd"},
        {"url": "not an address"},
        {"method": "BAD\r\nX: y"},
    ],
)
def test_a_request_that_cannot_be_sent_fails_alone(serve, transport, broken):
    server = serve(answering())
    good = post(server.url)
    bad = HttpRequest(**({"url": server.url, "body": b"x", "headers": {}} | broken))
    results = all_of(transport, [good, bad, good])
    assert [results[0].status, results[2].status] == [200, 200]
    assert results[1].written is False
    assert len(server.requests) == 2


# Nothing goes out twice


def die_at_the_second(close):
    def talk(connection):
        connection.read()
        connection.send(OK)
        if connection.read():
            close(connection)

    return talk


@pytest.mark.parametrize("size", [1, 1000, 300_000])
@pytest.mark.parametrize("close", [lambda connection: connection.sock.close(), Connection.cut])
def test_a_request_is_not_sent_again_when_a_reused_connection_dies(serve, transport, close, size):
    server = serve(die_at_the_second(close))
    assert transport.fetch(post(server.url)).status == 200
    result = transport.fetch(post(server.url, b"x" * size))
    assert isinstance(result, HttpFailure)
    assert result.written
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_server_that_dies_with_the_reused_connection_may_have_the_request(serve, transport):
    server = serve(die_at_the_second(lambda _: server.stop_listening()))
    transport.fetch(post(server.url))
    assert transport.fetch(post(server.url)).written
    assert transport.fetch(post(server.url)).written is False


def test_a_post_without_a_body_is_not_sent_again_either(serve, transport):
    def talk(connection):
        connection.read()
        if connection.number == 1:
            connection.send(OK)
            connection.read()

    server = serve(talk)
    assert transport.fetch(post(server.url)).status == 200
    result = transport.fetch(post(server.url, b""))
    assert isinstance(result, HttpFailure)
    assert result.written
    assert [body for _, body in server.requests] == [b"hello", b""]


def test_an_idle_connection_that_the_server_closed_is_replaced(serve, transport):
    closed = threading.Semaphore(0)

    def talk(connection):
        connection.read()
        connection.send(OK)
        connection.sock.shutdown(socket.SHUT_RDWR)
        closed.release()

    server = serve(talk)
    for _ in range(5):
        assert transport.fetch(post(server.url)).status == 200
        assert closed.acquire(timeout=PATIENCE)
    assert (len(server.requests), server.connections) == (5, 5)


def test_a_closed_idle_connection_whose_server_is_gone_means_nothing_was_written(serve, transport):
    gone = threading.Event()

    def talk(connection):
        connection.read()
        connection.send(OK)
        server.stop_listening()
        connection.sock.shutdown(socket.SHUT_RDWR)
        gone.set()

    server = serve(talk)
    assert transport.fetch(post(server.url)).status == 200
    assert gone.wait(PATIENCE)
    assert transport.fetch(post(server.url)).written is False


# Many at once


def test_connections_are_kept_alive(serve, transport):
    server = serve(answering())
    for _ in range(20):
        transport.fetch(post(server.url))
    all_of(transport, [post(server.url)] * 100)
    assert server.connections <= 8


def test_as_many_are_in_flight_as_allowed_and_never_more(serve, transport):
    full = threading.Barrier(8)
    lock = threading.Lock()
    now = most = 0

    def talk(connection):
        nonlocal now, most
        first = True
        while connection.read():
            with lock:
                now += 1
                most = max(most, now)
            if first:
                full.wait(PATIENCE)
            first = False
            with lock:
                now -= 1
            connection.send(OK)

    server = serve(talk)
    results = all_of(transport, [post(server.url)] * 64)
    assert {result.status for result in results.values()} == {200}
    assert (len(results), most, server.connections) == (64, 8, 8)


def test_places_that_are_taken_away_in_the_middle_stay_empty(serve):
    places = Places(8)
    transport = Transport(concurrency=8, places=places)
    hand_out = handing_out([post(serve(answering()).url)] * 200)
    asked = []

    def pull(free):
        asked.append(free)
        return hand_out(free)

    told = 0
    for batch in transport.exchange(pull):
        told += len(batch)
        if told >= 50 and places.each == 8:
            assert max(asked) == 8
            places.each = 2
            asked.clear()
    transport.close()
    assert (told, max(asked)) == (200, 2)


def test_each_result_comes_back_with_its_own_tag(serve, transport):
    def talk(connection):
        while request := connection.read():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request[1]) + request[1])

    server = serve(talk)
    results = all_of(transport, [post(server.url, b"%d" % number) for number in range(500)])
    assert {tag: int(result.body) for tag, result in results.items()} == {n: n for n in range(500)}


def test_no_more_is_asked_for_than_places_are_free(serve, transport):
    server = serve(answering())
    asked = []
    hand_out = handing_out([post(server.url)] * 100)

    def pull(free):
        asked.append(free)
        return hand_out(free)

    assert sum(len(batch) for batch in transport.exchange(pull)) == 100
    assert max(asked) == 8


def test_a_few_free_places_do_not_stay_empty_beside_slow_answers(serve, transport):
    quick = itertools.count(1)
    all_quick = threading.Event()

    def talk(connection):
        while request := connection.read():
            if request[1] == b"slow":
                assert all_quick.wait(PATIENCE)
            elif next(quick) == 20:
                all_quick.set()
            connection.send(OK)

    url = serve(talk).url
    results = all_of(transport, [*[post(url, b"slow")] * 5, *[post(url, b"quick")] * 20])
    assert {result.status for result in results.values()} == {200}


def test_small_helpings_fill_all_places(serve, transport):
    full = threading.Barrier(7)

    def talk(connection):
        connection.read()
        full.wait(PATIENCE)
        connection.send(OK)

    hand_out = handing_out([post(serve(talk).url)] * 7)
    results = [item for batch in transport.exchange(lambda _: hand_out(1)) for item in batch]
    assert {result.status for _, result in results} == {200}


def test_a_caller_that_holds_back_is_asked_again_after_the_next_results(serve, transport):
    server = serve(answering())
    helpings = [[(1, post(server.url))], [], [(2, post(server.url)), (3, post(server.url))], [], []]
    asked = 0

    def pull(_):
        nonlocal asked
        asked += 1
        return helpings[asked - 1] if asked <= len(helpings) else []

    tags = [tag for batch in transport.exchange(pull) for tag, _ in batch]
    assert sorted(tags) == [1, 2, 3]
    assert asked <= 6


def test_results_are_told_before_the_next_requests_are_asked_for(serve, transport):
    server = serve(answering())
    told = []
    helpings = [[(1, post(server.url))], []]

    def pull(_):
        if not helpings:
            assert told == [1]
            return []
        return helpings.pop(0)

    for batch in transport.exchange(pull):
        told += [tag for tag, _ in batch]
    assert not helpings


def test_closing_early_aborts_what_is_in_flight_and_leaves_the_transport_usable(serve, transport):
    aborted = threading.Semaphore(0)

    def talk(connection):
        while request := connection.read():
            if request[1] == b"hang":
                connection.wait_for_the_end()
                aborted.release()
                return
            connection.send(OK)

    server = serve(talk)
    exchange = transport.exchange(handing_out([post(server.url), *[post(server.url, b"hang")] * 7]))
    assert next(exchange)[0][0] == 0
    exchange.close()
    assert all(aborted.acquire(timeout=PATIENCE) for _ in range(7))
    results = all_of(transport, [post(server.url)] * 20)
    assert [result.status for result in results.values()] == [200] * 20


def test_a_caller_that_fails_gets_what_is_known_and_leaves_the_transport_usable(serve, transport):
    server = serve(answering())
    hand_out = handing_out([post(server.url)])

    def pull(free):
        if given := hand_out(free):
            return given
        raise LookupError

    exchange = transport.exchange(lambda free: pull(free) if not transport._in_flight else [])
    assert next(exchange)[0][1].status == 200
    with pytest.raises(LookupError):
        next(exchange)
    assert transport.fetch(post(server.url)).status == 200


def test_a_second_exchange_at_the_same_time_is_refused(serve, transport):
    server = serve(answering())
    exchange = transport.exchange(handing_out([post(server.url)] * 2))
    next(exchange)
    with pytest.raises(RuntimeError):
        transport.fetch(post(server.url))
    exchange.close()


def test_a_caller_that_gives_more_than_asked_is_told(serve, transport):
    server = serve(answering())
    with pytest.raises(ValueError, match="asked for 8"):
        list(transport.exchange(lambda _: [(n, post(server.url)) for n in range(9)]))


@pytest.mark.parametrize("concurrency", [0, 1001])
def test_a_concurrency_that_makes_no_sense_is_refused(concurrency):
    with pytest.raises(ValueError, match="concurrency"):
        Transport(concurrency=concurrency)


# The process around it


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def granian(tmp_path):
    """A server process that answers with the port that the client came from, and stops with its stdin."""
    started = []

    def start(http, certificate=None):
        (tmp_path / "echo.py").write_text(ECHO)
        tls = ["--ssl-certificate", certificate[0], "--ssl-keyfile", certificate[1]] if certificate else []
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "rsgi",
            "--http",
            http,
            "--port",
            str(port),
        ]
        started.append(
            subprocess.Popen([*command, *tls, "--no-ws", "--log-level", "error", "echo:app"], cwd=tmp_path)
        )
        await_port(port)
        return f"{'https' if certificate else 'http'}://127.0.0.1:{port}/"

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE)


ECHO = """
async def app(scope, protocol):
    await protocol()
    protocol.response_str(200, [("x-protocol", scope.http_version)], scope.client.rsplit(":", 1)[1])
"""


def await_port(port):
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.02)
    pytest.fail("the server did not start")


def test_ten_thousand_requests_leak_neither_memory_nor_file_handles(granian):
    url = granian("1")
    transport = Transport(concurrency=64)
    all_of(transport, [post(url, b"x" * 1000)] * 2000)
    files, memory = open_files(), resident_bytes()
    for _ in range(8):
        all_of(transport, [post(url, b"x" * 1000)] * 1000)
    assert open_files() <= files
    assert resident_bytes() - memory < 3_000_000
    transport.close()
    assert open_files() <= files - 32


def test_sockets_beyond_what_select_can_see_work(serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("the system does not allow as many descriptors")
    server = serve(answering())
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    transport = Transport(concurrency=8)
    try:
        results = all_of(transport, [post(server.url)] * 50)
        assert {result.status for result in results.values()} == {200}
    finally:
        transport.close()
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def fetch_in_a_child(url):
    transport = Transport(concurrency=2)
    os._exit(0 if transport.fetch(post(url)).status == 200 else 1)


def test_a_transport_made_after_a_fork_works_beside_the_parents(serve, transport):
    server = serve(answering())
    transport.fetch(post(server.url))
    child = multiprocessing.get_context("fork").Process(target=fetch_in_a_child, args=(server.url,))
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert transport.fetch(post(server.url)).status == 200
    assert (server.connections, len(server.requests)) == (2, 3)


# Proxies


def test_a_proxy_of_the_environment_is_used(serve, monkeypatch):
    proxy = serve(answering())
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    transport = Transport(concurrency=1)
    assert transport.fetch(post("http://gateway.invalid/send")).status == 200
    transport.close()
    assert proxy.requests[0][0].startswith("POST http://gateway.invalid/send ")


def test_loopback_never_goes_through_a_proxy(serve, monkeypatch):
    proxy, server = serve(cut_at_the_first_byte), serve(answering())
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "intranet.invalid")
    transport = Transport(concurrency=1)
    assert transport.fetch(post(server.url)).status == 200
    assert transport.fetch(post(server.url.replace("127.0.0.1", "localhost"))).status == 200
    transport.close()
    assert proxy.connections == 0


def test_a_proxy_that_refuses_the_tunnel_means_nothing_was_written(serve, monkeypatch):
    def talk(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{serve(talk).port}")
    transport = Transport(concurrency=1)
    result = transport.fetch(post("https://gateway.invalid/send"))
    transport.close()
    assert isinstance(result, HttpFailure)
    assert not result.written


# TLS and HTTP/2


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def serve_tls(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return lambda talk: serve(
        talk, wrap=lambda sock: context.wrap_socket(sock, server_side=True), scheme="https"
    )


@pytest.fixture
def trusting(certificate):
    made = Transport(concurrency=8, ca_file=certificate[0])
    yield made
    made.close()


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_written(serve_tls, transport):
    server = serve_tls(answering())
    result = transport.fetch(post(server.url))
    assert (result.written, result.timed_out) == (False, False)
    assert server.requests == []


def test_a_certificate_for_another_name_is_refused(serve_tls, trusting):
    result = trusting.fetch(post(serve_tls(answering()).url.replace("127.0.0.1", "localhost")))
    assert result.written is False


def test_a_trusted_server_is_spoken_to_over_tls(serve_tls, trusting):
    assert trusting.fetch(post(serve_tls(answering()).url)).status == 200


def test_a_handshake_that_hangs_means_nothing_was_written(serve, trusting):
    server = serve(Connection.wait_for_the_end, scheme="https")
    result = trusting.fetch(post(server.url, connect_timeout=timedelta(milliseconds=150)))
    assert (result.written, result.timed_out) == (False, True)


def test_a_handshake_that_is_cut_means_nothing_was_written(serve, trusting):
    def talk(connection):
        connection.sock.recv(100)
        connection.cut()

    assert trusting.fetch(post(serve(talk, scheme="https").url)).written is False


def test_a_request_is_not_sent_again_over_tls_either(serve_tls, trusting):
    server = serve_tls(die_at_the_second(lambda connection: connection.sock.close()))
    assert trusting.fetch(post(server.url)).status == 200
    assert trusting.fetch(post(server.url)).written
    assert len(server.requests) == 2


@pytest.mark.parametrize("tls", [False, True])
def test_http2_carries_many_requests_over_one_connection(granian, certificate, trusting, tls):
    url = granian("2", certificate if tls else None)
    results = all_of(trusting, [post(url, b"x" * 1000, http2=True)] * 200)
    assert {result.headers["x-protocol"] for result in results.values()} == {"2"}
    assert len({result.body for result in results.values()}) == 1


@pytest.mark.parametrize(("http2", "version"), [(False, "1.1"), (True, "2")])
def test_http2_is_spoken_only_when_asked_for(granian, certificate, trusting, http2, version):
    url = granian("auto", certificate)
    assert trusting.fetch(post(url, http2=http2)).headers["x-protocol"] == version


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
REFUSED_STREAM = 7
STATUS_200 = b"\x88"


class Http2Server:
    """As much of HTTP/2 as a server needs to refuse: `react(send, stream, number)` for each request."""

    def __init__(self, react):
        self.react = react
        self.taken = []

    def __call__(self, connection):
        self._exactly(connection, 24)

        def send(kind, flags, stream, payload=b""):
            connection.send(struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload)

        send(SETTINGS, 0, 0)
        while True:
            size_and_kind, flags, stream = struct.unpack(">IBI", self._exactly(connection, 9))
            self._exactly(connection, size_and_kind >> 8)
            kind = size_and_kind & 255
            if kind == SETTINGS and not flags & ACK:
                send(SETTINGS, ACK, 0)
            if kind in {DATA, HEADERS} and flags & END_STREAM:
                self.taken.append(stream)
                if self.react(send, stream, len(self.taken)) == "close":
                    return

    @staticmethod
    def _exactly(connection, size):
        data = b""
        while len(data) < size:
            chunk = connection.sock.recv(size - len(data))
            if not chunk:
                raise ConnectionError
            data += chunk
        return data


def accept_stream(send, stream):
    send(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)


def refuse_stream(send, stream):
    send(RST_STREAM, 0, stream, struct.pack(">I", REFUSED_STREAM))


def go_away(send, last):
    send(GOAWAY, 0, 0, struct.pack(">II", last, 0))


def second_time(act):
    return lambda send, stream, number: act(send, stream) if number == 2 else accept_stream(send, stream)


@pytest.mark.parametrize(
    "act",
    [lambda send, stream: go_away(send, stream) or "close", lambda _send, _stream: "close"],
    ids=["gone away after", "closed"],
)
def test_an_http2_request_is_not_sent_again_either(serve, transport, act):
    talk = Http2Server(second_time(act))
    server = serve(talk)
    assert transport.fetch(post(server.url, http2=True)).status == 200
    result = transport.fetch(post(server.url, http2=True))
    assert isinstance(result, HttpFailure)
    assert result.written
    assert len(talk.taken) == 2


@pytest.mark.parametrize("number", [1, 2])
def test_a_stream_that_the_server_refused_takes_another_connection(serve, transport, number):
    def react(send, stream, taken):
        return (refuse_stream if taken == number else accept_stream)(send, stream)

    talk = Http2Server(react)
    server = serve(talk)
    for _ in range(number):
        assert transport.fetch(post(server.url, b"body", http2=True)).status == 200
    assert (len(talk.taken), server.connections) == (number + 1, 2)


def test_what_a_server_that_goes_away_has_not_taken_goes_to_another_connection(serve, transport):
    talk = Http2Server(second_time(lambda send, stream: go_away(send, stream - 2)))
    server = serve(talk)
    for _ in range(2):
        assert transport.fetch(post(server.url, http2=True)).status == 200
    assert (len(talk.taken), server.connections) == (3, 2)


def test_a_server_that_refuses_again_and_again_has_not_taken_the_request(serve, transport):
    talk = Http2Server(lambda send, stream, _: refuse_stream(send, stream))
    result = transport.fetch(post(serve(talk).url, http2=True))
    assert isinstance(result, HttpFailure)
    assert not result.written
    assert len(talk.taken) == 2


def test_a_refused_request_has_only_what_is_left_of_its_time(serve, transport):
    talk = Http2Server(lambda send, stream, taken: refuse_stream(send, stream) if taken == 1 else None)
    result = transport.fetch(post(serve(talk).url, http2=True, timeout=timedelta(milliseconds=300)))
    assert (result.written, result.timed_out) == (True, True)
    assert result.elapsed < timedelta(milliseconds=600)


class Crowd(Http2Server):
    """Answers the first request, waits for eight more, then ends all of them in some way."""

    def __init__(self, end):
        super().__init__(self.take)
        self.end = end

    def take(self, send, stream, number):
        if number == 9:
            return self.end(send, stream) or "close"
        return accept_stream(send, stream) if number in {1, *range(10, 30)} else None


@pytest.fixture(params=[False, True], ids=["cleartext", "tls"])
def serve_http2(serve, certificate, request):
    """Starts a server of HTTP/2, as `serve` does; with every test it does so once without TLS, once with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    options = {"wrap": lambda sock: context.wrap_socket(sock, server_side=True), "scheme": "https"}
    return lambda talk: serve(talk, **(options if request.param else {}))


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("end", [lambda *_: None, go_away], ids=["silently", "having taken all"])
def test_nothing_that_was_on_a_connection_that_died_counts_as_refused(serve_http2, trusting, reset, end):
    talk = Crowd(end)

    def talk_and_end(connection):
        talk(connection)
        if reset:
            connection.cut()
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            connection.wait_for_the_end()

    server = serve_http2(talk_and_end)
    assert trusting.fetch(post(server.url, http2=True)).status == 200
    results = all_of(trusting, [post(server.url, http2=True)] * 8)
    assert {result.written for result in results.values()} == {True}
    assert (len(talk.taken), server.connections) == (9, 1)


def test_of_many_on_a_connection_those_that_were_not_taken_go_to_another(serve_http2, trusting):
    talk = Crowd(lambda send, _stream: go_away(send, 1))

    def talk_and_wait(connection):
        talk(connection)
        connection.wait_for_the_end()

    server = serve_http2(talk_and_wait)
    assert trusting.fetch(post(server.url, http2=True)).status == 200
    results = all_of(trusting, [post(server.url, http2=True)] * 8)
    assert {result.status for result in results.values()} == {200}
    assert (len(talk.taken), server.connections) == (17, 2)


def test_a_connection_that_turned_out_to_speak_http1_refuses_nothing(serve_tls, trusting):
    def talk(connection):
        connection.read()
        connection.send(OK)
        connection.read()
        with contextlib.suppress(OSError):
            connection.sock.unwrap()

    server = serve_tls(talk)
    assert trusting.fetch(post(server.url, http2=True)).status == 200
    assert trusting.fetch(post(server.url, http2=True)).written
    assert len(server.requests) == 2


def test_after_a_server_went_away_the_next_request_takes_a_new_connection(serve, transport):
    closed = threading.Semaphore(0)
    talk = Http2Server(
        lambda send, stream, _: accept_stream(send, stream) or go_away(send, stream) or "close"
    )

    def talk_and_close(connection):
        talk(connection)
        # Closing what still has unread words in it would be a reset, and could overtake the answer.
        connection.sock.shutdown(socket.SHUT_WR)
        closed.release()
        connection.wait_for_the_end()

    server = serve(talk_and_close)
    for _ in range(5):
        assert transport.fetch(post(server.url, http2=True)).status == 200
        assert closed.acquire(timeout=PATIENCE)
    assert (len(talk.taken), server.connections) == (5, 5)
