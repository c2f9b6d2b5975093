"""What any vendor's double can rely on, shown by one that is made for these tests."""

import asyncio
import socket

import pytest

from app.simulator import simulator as frame
from app.simulator.environment import port_of
from app.simulator.exchange import Acceptance, Ending, Mail, Post, Reply, Webhook
from app.simulator.recipients import Fate, fate_of


class Pager:
    """A double that takes one word, answers OK, and calls back by GET at the address it was told."""

    name = "postal"
    stories = {Fate.BOUNCE: "NO SUCH PAGER"}  # noqa: RUF012 - It is only read.

    def __init__(self, parts):
        self.parts = parts

    @classmethod
    def made(cls, parts):
        return cls(parts)

    def answer(self, request, imposed, _now):
        fate = imposed or fate_of(request.body.decode())
        if fate is Fate.THROTTLED:
            return Reply(status=429, body=b"TOO FAST", headers=(), outcome="throttled")
        mail = Mail(
            external_id="1", sender="", subject="", size=0, destination=(), details={"back": request.query}
        )
        taken = Acceptance(serial=next(self.parts.serials), tag="t", address="a", fate=fate, mail=mail)
        return Reply(status=200, body=b"OK", headers=(), accepted=[taken])

    def broken(self, _fate, status=503):
        return Reply(status=status, body=b"DOWN", headers=(), outcome="down")

    def webhooks(self, accepted, _now):
        return [told(acceptance.mail.details["back"]) for acceptance in accepted]

    def inbound(self, sender, recipient, text, _now):
        return [told(f"from={sender}&to={recipient}&text={text}")]


def told(query):
    def compose(now):
        return Post(headers={"x-when": now.isoformat()}, body=b"", method="GET", path=f"/back?{query}")

    return Webhook(
        path="/back", step=1, compose=compose, tries=2, timeout=5, given_up_at=lambda status: status == 410
    )


class Door:
    """A port without HTTP: one line in, one line out."""

    def __init__(self, gateway, host, port):
        self.gateway, self.host, self.port, self.server = gateway, host, port, None

    async def open(self):
        if self.server is None:
            self.server = await asyncio.start_server(self.talk, self.host, self.port)

    async def close(self):
        if self.server is not None:
            self.server.close()
            self.server = None

    async def talk(self, reader, writer):
        line = await reader.readline()
        reply = await self.gateway.take(Line(line.strip()))
        if reply.ending is Ending.ANSWER:
            writer.write(reply.body + b"\n")
        writer.close()


class Line:
    query = ""

    def __init__(self, body):
        self.body = body


class Teletype(Pager):
    stories = None

    def door(self, gateway, host, port):
        return Door(gateway, host, port)


@pytest.fixture
def with_double(monkeypatch):
    def with_double(double):
        monkeypatch.setattr(
            frame, "double_of", lambda account: double if account.name == "postal" else real(account)
        )

    real = frame.double_of
    return with_double


@pytest.fixture
def page_somebody(with_double, telling):
    with_double(Pager)
    simulated = telling()

    def page_somebody(word="a@example.com"):
        url = f"http://127.0.0.1:{port_of('postal', simulated.base)}/?token=x%2By&b="
        return simulated.http.request("POST", url, body=word)

    page_somebody.simulated = simulated
    return page_somebody


def test_a_webhook_may_be_a_get_with_its_query_as_it_was_composed(page_somebody, receiver):
    assert page_somebody().data == b"OK"
    (got,) = receiver.take()
    assert (got.method, got.path, got.body) == ("GET", "/back?token=x%2By&b=", b"")
    assert "x-when" in got.headers


def test_a_get_that_is_not_taken_is_told_again(page_somebody, receiver):
    receiver.statuses.put(503)
    page_somebody()
    first, second = receiver.take(2)
    assert first.path == second.path


def test_people_write_when_the_control_port_says_so(page_somebody, receiver):
    simulated = page_somebody.simulated
    order = {"gateway": "postal", "from": "+15552000001", "to": "+15550000000", "text": "STOP"}
    assert simulated.control("POST", "inbound", **order) == {"webhooks": 1}
    (got,) = receiver.take()
    assert got.path == "/back?from=+15552000001&to=+15550000000&text=STOP"


def test_nobody_writes_to_a_gateway_that_takes_nothing(telling):
    simulated = telling()
    order = {"gateway": "ses", "from": "a", "to": "b", "text": "STOP"}
    assert simulated.control("POST", "inbound", **order)["errors"][0]["msg"] == "nobody can write to ses"


def test_nobody_writes_where_no_webhooks_are_sent(with_double, simulated, start):
    with_double(Pager)
    order = {"gateway": "postal", "from": "a", "to": "b", "text": "STOP"}
    assert "--webhooks" in start().control("POST", "inbound", **order)["errors"][0]["msg"]


@pytest.mark.parametrize(
    "order",
    [
        {"gateway": "nobody", "from": "a", "to": "b", "text": ""},
        {"gateway": "postal", "to": "b", "text": ""},
        {"gateway": "postal", "from": "", "to": "b", "text": ""},
    ],
)
def test_an_order_to_write_that_makes_no_sense_is_refused(simulated, order):
    assert simulated.control("POST", "inbound", **order)["errors"]


def test_the_vendors_own_words_are_listed_beside_the_general_story(page_somebody):
    stories = page_somebody.simulated.control("GET", "recipients")
    assert stories["bounce"]["gateways"]["postal"] == "NO SUCH PAGER"
    assert stories["bounce"]["code"] == "550"
    assert "postal" not in stories["open"]["gateways"]
    assert stories["open"]["gateways"]["ses"] == "Send, Delivery, Open"


def test_a_fault_may_ask_to_wait(page_somebody):
    simulated = page_somebody.simulated
    simulated.control("POST", "faults", gateway="postal", mode="throttle", retry_after=7)
    answer = page_somebody()
    assert (answer.status, answer.data, answer.headers["retry-after"]) == (429, b"TOO FAST", "7")
    assert simulated.control("GET", "faults")["faults"]["postal"]["retry_after"] == 7


def test_a_fault_asks_for_no_wait_unless_told(page_somebody):
    page_somebody.simulated.control("POST", "faults", gateway="postal", mode="throttle")
    assert "retry-after" not in page_somebody().headers


@pytest.mark.parametrize("status", [429, 502])
def test_a_proxy_answers_in_html_and_takes_nothing(page_somebody, status):
    simulated = page_somebody.simulated
    simulated.control("POST", "faults", gateway="postal", mode="proxy", status=status)
    answer = page_somebody()
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html")
    assert answer.data.startswith(b"<html>")
    assert simulated.entries() == []


def test_a_gateway_that_is_down_says_5xx(simulated):
    answer = simulated.control("POST", "faults", gateway="postal", mode="error", status=404)
    assert "5xx" in answer["errors"][0]["msg"]


def say(simulated, word):
    with socket.create_connection(("127.0.0.1", port_of("postal", simulated.base))) as connection:
        connection.sendall(word + b"\n")
        with connection.makefile("rb") as answer:
            return answer.read()


def test_a_vendor_without_http_serves_its_own_port_under_the_same_faults(with_double, start):
    with_double(Teletype)
    simulated = start()
    assert say(simulated, b"anna@example.com") == b"OK\n"
    assert [entry["fate"] for entry in simulated.entries()] == ["delivered"]
    simulated.control("POST", "faults", gateway="postal", mode="error")
    assert say(simulated, b"anna@example.com") == b"DOWN\n"
    simulated.control("POST", "faults", gateway="postal", mode="refuse")
    with pytest.raises(ConnectionRefusedError):
        say(simulated, b"anna@example.com")
