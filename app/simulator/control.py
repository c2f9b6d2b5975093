"""The base port: the status page, commands under /_simulator/, and what SNS itself serves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from granian.rsgi import Scope
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.simulator.environment import GATEWAYS
from app.simulator.exchange import Reachable, Reply, Vendor, tellings
from app.simulator.faults import Fault, FaultMode, Faults
from app.simulator.listener import Door, Exchange
from app.simulator.recipients import STORIES
from app.simulator.register import Entry, Register
from app.simulator.sender import Sender
from app.simulator.sns import PATH, WELCOME, Topic
from app.simulator.status import page

_CHUNK = 2000
_SERVERS_FAULT = 500
_JSON = (("content-type", "application/json"),)


def _known(gateway: str) -> str:
    if gateway not in GATEWAYS:
        raise ValueError(f"must be one of {', '.join(GATEWAYS)}")
    return gateway


Gateway = Annotated[str, AfterValidator(_known)]
Number = Annotated[str, Field(min_length=1, max_length=100)]


class FaultOrder(BaseModel):
    """The body of POST /_simulator/faults. Without `gateway` it is for all of them."""

    model_config = ConfigDict(extra="forbid")

    gateway: Gateway | None = None
    mode: FaultMode
    seconds: float | None = Field(None, gt=0)
    share: float = Field(1.0, gt=0, le=1)
    status: int = Field(503, ge=400, le=599)
    retry_after: int | None = Field(None, ge=0, le=86_400)

    def fault(self, until: datetime | None) -> Fault:
        return Fault(
            mode=self.mode,
            share=self.share,
            until=until,
            status=self.status,
            retry_after=None if self.retry_after is None else timedelta(seconds=self.retry_after),
        )


class LatencyOrder(BaseModel):
    """The body of POST /_simulator/latency."""

    model_config = ConfigDict(extra="forbid")

    gateway: Gateway | None = None
    milliseconds: float = Field(ge=0, le=600_000)


class InboundOrder(BaseModel):
    """The body of POST /_simulator/inbound: somebody writes to one of our numbers."""

    model_config = ConfigDict(extra="forbid")

    gateway: Gateway
    sender: Number = Field(alias="from")
    recipient: Number = Field(alias="to")
    text: str = Field(max_length=10_000)


class Control:
    """Everything that is told or asked about the simulator itself."""

    def __init__(
        self,
        *,
        register: Register,
        faults: Faults,
        vendors: Mapping[str, Vendor],
        doors: Mapping[str, Door],
        topic: Topic,
        sender: Sender | None,
    ) -> None:
        self._register = register
        self._faults = faults
        self._vendors = vendors
        self._doors = doors
        self._topic = topic
        self._sender = sender
        self._reopening: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[tuple[str, str], Callable[[Scope, bytes], Awaitable[Reply]]] = {
            ("GET", "/"): self._front,
            ("GET", topic.certificate_path): self._certificate,
            ("GET", "/_simulator/counts"): self._counts,
            ("GET", "/_simulator/messages"): self._messages,
            ("DELETE", "/_simulator/messages"): self._forget,
            ("GET", "/_simulator/faults"): self._list_faults,
            ("POST", "/_simulator/faults"): self._begin_fault,
            ("DELETE", "/_simulator/faults"): self._end_faults,
            ("GET", "/_simulator/latency"): self._list_latency,
            ("POST", "/_simulator/latency"): self._set_latency,
            ("GET", "/_simulator/recipients"): self._recipients,
            ("GET", "/_simulator/webhooks"): self._webhooks,
            ("POST", "/_simulator/inbound"): self._inbound,
        }

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        body = await exchange()
        if (scope.method, scope.path) == ("GET", "/_simulator/accepted"):
            await self._stream(exchange)
            return
        call = self._calls.get((scope.method, scope.path), _unknown)
        try:
            reply = await call(scope, body)
        except ValidationError as exc:
            reply = _json({"errors": exc.errors(include_url=False, include_context=False)}, 422)
        exchange.response_bytes(reply.status, list(reply.headers), reply.body)

    async def _front(self, scope: Scope, _body: bytes) -> Reply:
        if "Action=" in scope.query_string:
            return self._sns_action(parse_qs(scope.query_string))
        html = page(
            host=_host(scope),
            counts=self._register.counts(),
            faults=self._faults_now(),
            tally=self._tally(),
            tellings=tellings(self._vendors),
        )
        return Reply(status=200, body=html, headers=(("content-type", "text/html; charset=utf-8"),))

    def _sns_action(self, query: dict[str, list[str]]) -> Reply:
        topic, token = (query.get(name, [None])[0] for name in ("TopicArn", "Token"))
        subscription = self._topic.confirm(topic, token)
        if query["Action"] != ["ConfirmSubscription"] or subscription is None:
            return _xml("<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>", 400)
        if self._sender is not None:
            self._sender.plan([self._topic.notification(WELCOME, 0)])
            self._sender.release(PATH)
        result = f"<SubscriptionArn>{subscription}</SubscriptionArn>"
        return _xml(
            "<ConfirmSubscriptionResponse><ConfirmSubscriptionResult>"
            f"{result}</ConfirmSubscriptionResult></ConfirmSubscriptionResponse>",
            200,
        )

    async def _certificate(self, _scope: Scope, _body: bytes) -> Reply:
        headers = (("content-type", "application/x-pem-file"),)
        return Reply(status=200, body=self._topic.certificate, headers=headers)

    async def _counts(self, _scope: Scope, _body: bytes) -> Reply:
        return _json({"accepted": len(self._register), "gateways": self._register.counts()})

    async def _messages(self, scope: Scope, _body: bytes) -> Reply:
        try:
            uuid = UUID(parse_qs(scope.query_string).get("uuid", [""])[0])
        except ValueError:
            return _fault("uuid is required in the query, as in ?uuid=…")
        return _json({"messages": self._register.find(uuid)})

    async def _forget(self, _scope: Scope, _body: bytes) -> Reply:
        self._register.clear()
        return _json({"accepted": 0})

    async def _list_faults(self, _scope: Scope, _body: bytes) -> Reply:
        return _json({"faults": self._faults_now()})

    async def _begin_fault(self, _scope: Scope, body: bytes) -> Reply:
        order = FaultOrder.model_validate_json(body)
        if order.mode is FaultMode.REFUSE and order.share < 1:
            return _fault("a closed port refuses everybody: share must be 1")
        if order.mode is FaultMode.ERROR and order.status < _SERVERS_FAULT:
            return _fault("a gateway that is down says 5xx; other statuses are for the mode proxy")
        for gateway in [order.gateway] if order.gateway else GATEWAYS:
            await self._begin(gateway, order)
        return _json({"faults": self._faults_now()})

    async def _end_faults(self, scope: Scope, _body: bytes) -> Reply:
        named = parse_qs(scope.query_string).get("gateway", GATEWAYS)
        for gateway in GATEWAYS:
            if gateway in named:
                await self._end(gateway)
        return _json({"faults": self._faults_now()})

    async def _list_latency(self, _scope: Scope, _body: bytes) -> Reply:
        waits = {gateway: self._faults.latency(gateway) for gateway in GATEWAYS}
        return _json({gateway: wait / timedelta(milliseconds=1) for gateway, wait in waits.items()})

    async def _set_latency(self, scope: Scope, body: bytes) -> Reply:
        order = LatencyOrder.model_validate_json(body)
        for gateway in [order.gateway] if order.gateway else GATEWAYS:
            self._faults.set_latency(gateway, timedelta(milliseconds=order.milliseconds))
        return await self._list_latency(scope, body)

    async def _recipients(self, _scope: Scope, _body: bytes) -> Reply:
        told = tellings(self._vendors)
        stories = {fate: {**asdict(story), "gateways": told[fate]} for fate, story in STORIES.items()}
        return _json({fate.value: story for fate, story in stories.items()})

    async def _inbound(self, _scope: Scope, body: bytes) -> Reply:
        order = InboundOrder.model_validate_json(body)
        vendor = self._vendors[order.gateway]
        if not isinstance(vendor, Reachable):
            return _fault(f"nobody can write to {order.gateway}")
        if self._sender is None:
            return _fault("no webhooks are sent here: start the simulator with --webhooks URL")
        webhooks = vendor.inbound(order.sender, order.recipient, order.text, datetime.now(UTC))
        self._sender.plan(webhooks)
        return _json({"webhooks": len(webhooks)})

    async def _webhooks(self, _scope: Scope, _body: bytes) -> Reply:
        return _json(self._tally())

    async def _stream(self, exchange: Exchange) -> None:
        """Give every acceptance as a line of JSON, a few thousand at a time."""
        out = exchange.response_stream(200, [("content-type", "application/x-ndjson")])
        for start in range(0, len(self._register), _CHUNK):
            await out.send_bytes(_lines(self._register.entries(start, start + _CHUNK)))

    async def _begin(self, gateway: str, order: FaultOrder) -> None:
        await self._end(gateway)
        until = datetime.now(UTC) + timedelta(seconds=order.seconds) if order.seconds else None
        self._faults.begin(gateway, order.fault(until))
        if order.mode is FaultMode.REFUSE:
            await self._doors[gateway].close()
            if order.seconds:
                self._reopening[gateway] = asyncio.create_task(self._reopen(gateway, order.seconds))

    async def _end(self, gateway: str) -> None:
        self._faults.end(gateway)
        reopening = self._reopening.pop(gateway, None)
        if reopening is not None:
            reopening.cancel()
        await self._doors[gateway].open()

    async def _reopen(self, gateway: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._doors[gateway].open()

    def _faults_now(self) -> dict[str, dict[str, object]]:
        now = datetime.now(UTC)
        faults = {gateway: self._faults.of(gateway, now) for gateway in GATEWAYS}
        return {gateway: _described(fault) for gateway, fault in faults.items() if fault}

    def _tally(self) -> dict[str, object] | None:
        if self._sender is None:
            return None
        return {
            **asdict(self._sender.tally),
            "pending": self._sender.tally.pending,
            "subscribed": self._topic.confirmed,
        }


async def _unknown(scope: Scope, _body: bytes) -> Reply:
    return _fault(f"there is no {scope.method} {scope.path} here", 404)


def _fault(text: str, status: int = 422) -> Reply:
    return _json({"errors": [{"msg": text}]}, status)


def _described(fault: Fault) -> dict[str, object]:
    wait = fault.retry_after
    return {**asdict(fault), "retry_after": None if wait is None else wait.total_seconds()}


def _host(scope: Scope) -> str:
    return scope.authority or scope.headers.get("host", "localhost")


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status=status, body=orjson.dumps(value), headers=_JSON)


def _xml(text: str, status: int) -> Reply:
    return Reply(status=status, body=text.encode(), headers=(("content-type", "text/xml"),))


def _lines(entries: Iterator[Entry]) -> bytes:
    return b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)
