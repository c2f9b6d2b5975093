"""The stage of the conformance suite: the real transport, the real simulator, and a door for webhooks."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import orjson
import urllib3

from app import settings as config
from app.domain.facts import Fact, Inbound
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel
from app.gateways import registry
from app.gateways.base import (
    Envelope,
    Gateway,
    HttpFailure,
    Joining,
    Webhook,
    WebhookRequest,
    outcome_of_failure,
)
from app.gateways.transport import Transport
from app.simulator.account import Account
from app.simulator.background import simulating
from app.simulator.environment import ACCOUNTS, environment, origin
from app.simulator.sender import Delivery
from app.simulator.simulator import Options, double_of
from bench.ports import free_base

SLOW = timedelta(milliseconds=300)
IMPATIENT = timedelta(seconds=1)
# Any machine is busy now and then; nothing waits as long unless something is wrong.
PATIENT = timedelta(seconds=20)


def settings_for(port: int, public_url: str, timeout: timedelta = PATIENT) -> config.Settings:
    """Give the settings of a Tocsin whose gateways are all in the simulator at this base port."""
    variables = {name.lower(): value for name, value in environment(port).items()}
    return config.load(
        _env_file=None,
        public_base_url=public_url,
        gateway_timeout_seconds=timeout.total_seconds(),
        **variables,
    )


def discovered() -> dict[str, Gateway]:
    """Find the gateways that the registry makes from what the simulator says."""
    return registry.gateways(settings_for(8001, "http://127.0.0.1:8000"))


def account_of(gateway: str) -> Account:
    """Find the account at whose double a gateway is played."""
    return next(account for account in ACCOUNTS if gateway in account.senders)


def can_be_written_to(gateway: Gateway) -> bool:
    """Tell whether people can write to the numbers that the gateway sends from, at its double."""
    texts = gateway.channel in (Channel.SMS, Channel.WHATSAPP)
    return texts and hasattr(double_of(account_of(gateway.name)), "inbound")


class Door:
    """Takes webhooks of either method and remembers them as they came."""

    def __init__(self) -> None:
        self.taken: list[WebhookRequest] = []
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                self._take(self.rfile.read(int(self.headers.get("content-length", 0))))

            def do_GET(self):
                self._take(b"")

            def _take(self, body):
                headers = {name.lower(): value for name, value in self.headers.items()}
                url = f"http://127.0.0.1:{self.server.server_port}{self.path}"
                taken.append(WebhookRequest(method=self.command, url=url, headers=headers, body=body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@dataclass(kw_only=True)
class Stage:
    """Gateways by name, with one that is patient and one that is not; and what their doubles tell."""

    base: int
    door: Door
    gateways: dict[str, Gateway]
    impatient: dict[str, Gateway]
    webhooks: dict[str, Webhook]
    transport: Transport
    http: urllib3.PoolManager
    _keys: dict[str, bytes] = field(default_factory=dict)

    def send(self, name: str, *messages: Envelope, impatient: bool = False) -> list[Outcome]:
        """Send messages in as few requests as the gateway says, and give their outcomes in order."""
        gateway = (self.impatient if impatient else self.gateways)[name]
        outcomes: list[Outcome] = []
        waiting = list(messages)
        while waiting:
            count = gateway.joint(waiting) if isinstance(gateway, Joining) else gateway.batch
            together, waiting = waiting[:count], waiting[count:]
            outcomes += self._exchange(gateway, together)
        return outcomes

    def _exchange(self, gateway: Gateway, messages: Sequence[Envelope]) -> list[Outcome]:
        answer = self.transport.fetch(gateway.build(messages, datetime.now(UTC)))
        if isinstance(answer, HttpFailure):
            return [outcome_of_failure(answer)] * len(messages)
        return gateway.read(messages, answer)

    def control(self, method: str, path: str, **fields: object) -> dict:
        body = orjson.dumps(fields) if fields else None
        answer = self.http.request(method, f"{origin(self.base)}/_simulator/{path}", body=body)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def break_down(self, gateway: str, mode: str, **fields: object) -> None:
        self.control("POST", "faults", gateway=account_of(gateway).name, mode=mode, **fields)

    def entries(self, message: Envelope) -> list[dict]:
        """List the times that a double took this message, by our tag."""
        found = self.control("GET", f"messages?uuid={message.tag.uuid}")["messages"]
        return [entry for entry in found if entry["tag"] == str(message.tag)]

    def wait_until_all_is_told(self) -> None:
        deadline = time.monotonic() + PATIENT.total_seconds()
        while (tally := self.control("GET", "webhooks"))["pending"]:
            assert time.monotonic() < deadline, f"webhooks do not come: {tally}"
        assert not tally["given_up"], tally

    def about(self, message: Envelope, outcome: Outcome | None = None) -> list[tuple[WebhookRequest, Fact]]:
        """Give what has been told about a message so far, each with the proven request that told it."""
        self.wait_until_all_is_told()
        answered = outcome.external_id if outcome else None
        return [
            (request, fact)
            for request in list(self.door.taken)
            for fact in self.facts(request)
            if fact.tag == message.tag or (answered and fact.external_id == answered)
        ]

    def facts(self, request: WebhookRequest) -> list[Fact]:
        self.prove(request)
        return self.webhook(request).events(request)

    def inbound(self) -> list[Inbound]:
        """Give what people wrote, of all requests so far, each of them proven."""
        self.wait_until_all_is_told()
        requests = list(self.door.taken)
        for request in requests:
            self.prove(request)
        return [each for request in requests for each in self.webhook(request).inbound(request)]

    def webhook(self, request: WebhookRequest) -> Webhook:
        """Find the webhook by its address."""
        return self.webhooks[urlsplit(request.url).path.split("/")[2]]

    def prove(self, request: WebhookRequest) -> None:
        """Check a request's proof as Tocsin does, with its key fetched; raises Forged."""
        webhook = self.webhook(request)
        url = webhook.key_url(request)
        if url and url not in self._keys:
            self._keys[url] = self.http.request("GET", url).data
        webhook.verify(request, self._keys[url] if url else None, datetime.now(UTC))

    def reset(self) -> None:
        """Forget faults, messages and webhooks, so that the next test begins with nothing."""
        self.control("DELETE", "faults")
        self.wait_until_all_is_told()
        self.control("DELETE", "messages")
        self.door.taken.clear()


@contextmanager
def staged() -> Iterator[Stage]:
    """Set the stage. Every webhook is told twice, in turn as the same request and under another id."""
    door = Door()
    base = free_base()
    delivery = Delivery(
        target=door.url, delay=timedelta(milliseconds=5), retry=timedelta(milliseconds=50), duplicate=1.0
    )
    options = Options(port=base, delivery=delivery, slow=SLOW, subscribed=True, seed=1)
    patient = settings_for(base, door.url)
    impatient = settings_for(base, door.url, IMPATIENT)
    with door.open(), simulating(options), urllib3.PoolManager(retries=False, timeout=30) as http:
        transport = Transport(concurrency=4)
        try:
            yield Stage(
                base=base,
                door=door,
                gateways=registry.gateways(patient),
                impatient=registry.gateways(impatient),
                webhooks=registry.webhooks(patient),
                transport=transport,
                http=http,
            )
        finally:
            transport.close()
