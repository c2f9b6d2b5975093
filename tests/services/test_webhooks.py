"""Webhooks from a gateway's signature to the message's state, with the simulated gateways telling."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from app import settings as config
from app.bootstrap import build
from app.db.tables import webhook_inbox
from app.domain.vocabulary import Priority
from app.errors import Forged, NotFound, ProofUnavailable
from app.gateways.base import WebhookRequest
from app.services.recording import inbox, parked
from app.services.sending import lane
from app.simulator.background import simulating
from app.simulator.environment import environment
from app.simulator.sender import Delivery
from app.simulator.simulator import Options
from bench.ports import free_base
from tests.world import wait_for


class Door:
    """Takes webhooks over HTTP and hands them to the service, as the web process does."""

    def __init__(self):
        door = self
        self.service = None
        self.taken = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = WebhookRequest(
                    method="POST", url=f"http://localhost{self.path}", headers=headers, body=body
                )
                door.service.receive(self.path.rpartition("/")[2], request, request_id="r")
                door.taken.append(request)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def open(self):
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def told(world, settings, door):
    """The world with gateways that tell what becomes of messages."""
    delivery = Delivery(target=door.url, delay=timedelta(milliseconds=20), retry=timedelta(milliseconds=100))
    options = Options(port=free_base(), delivery=delivery, subscribed=True, seed=1)
    simulator = {name.lower(): value for name, value in environment(options.port).items()}
    servers = {"database_url": settings.database_url, "redis_url": settings.redis_url}
    app = build(config.load(_env_file=None, **servers, **simulator), "told", connections=8)
    door.service = app.webhooks
    with door.open(), simulating(options):
        tools = replace(app.tools, wake=world.wake, chance=lambda: 0.0)
        yield replace(world, app=app, tools=tools)
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


def ends(told, message, status):
    def look():
        inbox.process(told.tools)
        parked.process(told.tools)
        return told.row(message).status == status

    wait_for(look, within=30)


@pytest.mark.parametrize("gateway", ["postal", "ses"])
@pytest.mark.parametrize(
    ("name", "status", "last"),
    [
        ("reader", "delivered", "delivered"),
        ("open", "delivered", "opened"),
        ("bounce", "bounced", "bounced"),
        ("late-bounce", "bounced", "bounced"),
    ],
)
def test_what_becomes_of_a_message_is_told_and_recorded(told, gateway, name, status, last):
    message = told.one("P3", gateway=gateway, recipient_address=f"{name}@example.com")
    lane.work(told.tools, Priority.P3, sweep=False)
    ends(told, message, status)

    def is_recorded():
        inbox.process(told.tools)
        return last in told.history(message)

    wait_for(is_recorded, within=30)


def test_a_webhook_is_in_the_inbox_as_it_came(told, door):
    message = told.one("P3")
    lane.work(told.tools, Priority.P3, sweep=False)
    wait_for(lambda: door.taken, within=30)
    row = told.all(sa.select(webhook_inbox))[0]
    assert (bytes(row.body), row.gateway, row.processed_at) == (door.taken[0].body, "postal", None)
    assert str(message.uuid).encode() in row.body


def test_a_changed_body_is_forged_and_leaves_no_trace(told, door):
    told.one("P3")
    lane.work(told.tools, Priority.P3, sweep=False)
    (request,) = wait_for(lambda: door.taken, within=30)
    with pytest.raises(Forged):
        door.service.receive("postal", replace(request, body=request.body + b" "), request_id="r")
    assert len(told.all(sa.select(webhook_inbox))) == 1


def test_a_webhook_told_again_is_taken_again_and_counts_once(told, door):
    message = told.one("P3")
    lane.work(told.tools, Priority.P3, sweep=False)
    (request,) = wait_for(lambda: door.taken, within=30)
    door.service.receive("postal", request, request_id="again")
    inbox.process(told.tools)
    assert told.history(message).count("delivered") == 1
    assert len(told.all(sa.select(webhook_inbox))) == 2


def test_a_gateway_without_webhooks_here_is_not_found(told, door):
    with pytest.raises(NotFound):
        door.service.receive(
            "pigeon", WebhookRequest(method="POST", url="/", headers={}, body=b""), request_id="r"
        )


def test_a_proof_whose_key_cannot_be_fetched_is_asked_for_again(world):
    """The gateways of this world have no webhook key to give any more once they are closed."""
    world.gateways.break_("postal", "refuse")
    request = WebhookRequest(method="POST", url="/webhooks/postal", headers={}, body=b"{}")
    with pytest.raises(ProofUnavailable):
        world.app.webhooks.receive("postal", request, request_id="r")
