"""The port of one gateway: faults, counting and endings around the vendor's own answers."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from granian.rsgi import Scope

from app.simulator.connections import cut_client
from app.simulator.exchange import Ending, Reply, Request, Vendor, page
from app.simulator.faults import Fault, FaultMode, Faults
from app.simulator.listener import Exchange
from app.simulator.recipients import Fate
from app.simulator.register import Register
from app.simulator.sender import Sender

_NOT_AT_ALL = timedelta(0)


class GatewayPort:
    """Answers as one vendor does. `sender` is None where no webhooks are told."""

    def __init__(
        self, vendor: Vendor, faults: Faults, register: Register, sender: Sender | None, slow: timedelta
    ) -> None:
        self._vendor = vendor
        self._faults = faults
        self._register = register
        self._sender = sender
        self._slow = slow

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """Take one HTTP request and answer it."""
        reply = await self.take(_request(scope, await exchange()))
        if reply.ending is Ending.ANSWER:
            exchange.response_bytes(reply.status, list(reply.headers), reply.body)
        else:
            await _say_nothing(scope, exchange, reply.ending)

    async def take(self, request: Request) -> Reply:
        """Decide about a request, and give the answer when it is due; what is taken is counted before."""
        now = datetime.now(UTC)
        reply = self._reply(request, now)
        self._count(reply, now)
        await self._wait(reply)
        return reply

    async def _wait(self, reply: Reply) -> None:
        wait = self._faults.latency(self._vendor.name) + (self._slow if reply.slow else _NOT_AT_ALL)
        if wait:
            await asyncio.sleep(wait.total_seconds())

    def _reply(self, request: Request, now: datetime) -> Reply:
        fault = self._faults.of(self._vendor.name, now)
        fate = self._faults.strikes(self._vendor.name, fault) if fault else None
        if fault is None or fate is None:
            return self._vendor.answer(request, None, now)
        return _asking_to_wait(self._struck(request, fault, fate, now), fault.retry_after)

    def _struck(self, request: Request, fault: Fault, fate: Fate, now: datetime) -> Reply:
        if fault.mode is FaultMode.PROXY:
            return page(fault.status)
        if fate.broken:
            return self._vendor.broken(fate, fault.status)
        return self._vendor.answer(request, fate, now)

    def _count(self, reply: Reply, now: datetime) -> None:
        if reply.outcome is not None:
            self._register.turned_away(self._vendor.name, reply.outcome)
        for acceptance in reply.accepted:
            self._register.add(acceptance, self._vendor.name, now)
        if self._sender is not None and reply.accepted:
            self._sender.plan(self._vendor.webhooks(reply.accepted, now))


def _asking_to_wait(reply: Reply, wait: timedelta | None) -> Reply:
    if wait is None:
        return reply
    return replace(reply, headers=(*reply.headers, ("retry-after", f"{wait.total_seconds():.0f}")))


def _request(scope: Scope, body: bytes) -> Request:
    headers = scope.headers
    return Request(
        method=scope.method,
        path=scope.path,
        query=scope.query_string,
        headers=headers,
        body=body,
        host=scope.authority or headers.get("host") or "",
    )


async def _say_nothing(scope: Scope, exchange: Exchange, ending: Ending) -> None:
    if ending is Ending.CUT:
        cut_client(scope.client)
    await exchange.client_disconnect()
