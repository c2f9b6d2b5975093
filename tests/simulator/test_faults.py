import contextlib
import http.client
import socket
import time

import orjson
import pytest
import urllib3

from app.simulator.environment import GATEWAYS


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_refuse_closes_the_port_of_that_gateway_alone(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="refuse")
    assert refuses(simulated.base + 1)
    assert not refuses(simulated.base + 2)
    simulated.control("DELETE", "faults")
    assert orjson.loads(simulated.send("anna@example.com").data)["status"] == "success"


def test_refuse_cuts_connections_that_are_open(simulated):
    connection = http.client.HTTPConnection("127.0.0.1", simulated.base + 1, timeout=5)
    connection.request("GET", "/")
    connection.getresponse().read()
    simulated.control("POST", "faults", gateway="postal", mode="refuse")
    assert connection.sock.recv(1) == b""
    connection.close()


def test_refuse_does_not_wait_for_requests_in_flight(simulated):
    simulated.control("POST", "latency", gateway="postal", milliseconds=600_000)
    with contextlib.closing(
        socket.create_connection(("127.0.0.1", simulated.base + 1), timeout=10)
    ) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nhost: postal\r\n\r\n")
        while not simulated.control("GET", "counts")["gateways"]:
            pass
        simulated.control("POST", "faults", gateway="postal", mode="refuse")
        assert waiting.recv(1) == b""


def test_refuse_ends_by_itself(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="refuse", seconds=0.2)
    assert refuses(simulated.base + 1)
    deadline = time.monotonic() + 10
    while refuses(simulated.base + 1):
        assert time.monotonic() < deadline
    assert orjson.loads(simulated.send("anna@example.com").data)["status"] == "success"
    assert simulated.control("GET", "faults") == {"faults": {}}


@pytest.mark.parametrize(("order", "status"), [({}, 503), ({"status": 502}, 502)])
def test_error_answers_a_page_and_takes_nothing(simulated, order, status):
    simulated.control("POST", "faults", gateway="postal", mode="error", **order)
    answer = simulated.send("anna@example.com")
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert simulated.entries() == []


def test_an_error_ends_after_its_seconds(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="error", seconds=0.2)
    assert simulated.send("anna@example.com").status == 503
    deadline = time.monotonic() + 10
    while simulated.send("anna@example.com").status == 503:
        assert time.monotonic() < deadline


def test_garbage_is_200_without_sense(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="garbage")
    answer = simulated.send("anna@example.com")
    assert answer.status == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.data)
    assert simulated.entries() == []


def test_timeout_never_answers_and_takes_nothing(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="timeout")
    simulated.http.connection_pool_kw["timeout"] = urllib3.Timeout(total=0.3)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        simulated.send("anna@example.com")
    assert simulated.entries() == []


def test_lost_takes_the_message_and_cuts_the_connection(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="lost")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        simulated.send("anna@example.com")
    assert [entry["address"] for entry in simulated.entries()] == ["anna@example.com"]


def test_throttle_holds_at_postal(telling, receiver):
    simulated = telling()
    simulated.control("POST", "faults", gateway="postal", mode="throttle")
    assert orjson.loads(simulated.send("anna@example.com").data)["status"] == "success"
    event = receiver.take()[0].json
    assert event["event"] == "MessageHeld"
    assert "send limit" in event["payload"]["details"]


def test_slow_takes_at_once_and_answers_later(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="slow")
    began = time.monotonic()
    assert orjson.loads(simulated.send("anna@example.com").data)["status"] == "success"
    assert time.monotonic() - began >= 0.2


def test_a_share_strikes_exactly_so_many(simulated):
    simulated.control("POST", "faults", gateway="postal", mode="error", share=0.25)
    statuses = [simulated.send("anna@example.com").status for _ in range(40)]
    assert statuses.count(503) == 10


def test_without_a_gateway_every_one_is_meant(simulated):
    simulated.control("POST", "faults", mode="error")
    assert set(simulated.control("GET", "faults")["faults"]) == set(GATEWAYS) >= {"postal", "ses"}
    simulated.control("DELETE", "faults?gateway=ses")
    assert set(simulated.control("GET", "faults")["faults"]) == set(GATEWAYS) - {"ses"}


def test_latency_is_waited_before_each_answer(simulated):
    simulated.control("POST", "latency", gateway="postal", milliseconds=150)
    assert simulated.control("GET", "latency") == dict.fromkeys(GATEWAYS, 0) | {"postal": 150}
    began = time.monotonic()
    simulated.send("anna@example.com")
    assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize(
    "order",
    [
        {"mode": "explode"},
        {"mode": "error", "share": 2},
        {"mode": "error", "gateway": "pigeon"},
        {"mode": "refuse", "share": 0.5},
        {"mode": "error", "second": 3},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(simulated, order):
    assert simulated.control("POST", "faults", **order)["errors"]
    assert simulated.control("GET", "faults") == {"faults": {}}
