"""Sends the webhooks, a little later than the acceptance, and again where they are not taken."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.simulator.client import Client
from app.simulator.exchange import Post, Webhook

_SUCCESS = range(200, 300)
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How webhooks go out: where to, how soon, and what goes wrong on their way.

    `duplicate` is the share told twice, in turn as the same request and as the same fact under
    another id. `shuffle` sends them out of order. `retry` is the first wait before another try; each
    further one is twice as long.
    """

    target: str
    delay: timedelta = timedelta(milliseconds=100)
    retry: timedelta = timedelta(seconds=1)
    duplicate: float = 0.0
    shuffle: bool = False
    connections: int = 4


@dataclass(slots=True)
class Tally:
    """What came of the webhooks so far."""

    planned: int = 0
    taken: int = 0
    tries_failed: int = 0
    given_up: int = 0
    last_failure: str = ""

    @property
    def pending(self) -> int:
        return self.planned - self.taken - self.given_up


@dataclass(frozen=True, kw_only=True, slots=True)
class _Letter:
    webhook: Webhook
    tried: int = 0
    post: Post | None = None


class Sender:
    """Sends webhooks over a few kept-alive connections. All of it belongs to one event loop.

    Those that are held back wait until `release` is called: SNS tells nothing to a subscriber that
    has not confirmed.
    """

    def __init__(self, delivery: Delivery, dice: random.Random) -> None:
        self.tally = Tally()
        self._delivery = delivery
        self._dice = dice
        self._due: asyncio.Queue[_Letter] = asyncio.Queue()
        self._held: list[Webhook] = []
        self._holding: set[str] = set()

    def hold(self, path: str) -> None:
        """Keep webhooks to this path until `release`."""
        self._holding.add(path)

    def release(self, path: str) -> None:
        self._holding.discard(path)
        held, self._held = self._held, []
        self.plan(held)

    def plan(self, webhooks: Iterable[Webhook]) -> None:
        """Take webhooks on, to be sent after their delay."""
        for webhook in webhooks:
            if webhook.held_back and webhook.path in self._holding:
                self._held.append(webhook)
            else:
                self._plan(webhook)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as connections:
            for _ in range(self._delivery.connections):
                connections.create_task(self._carry(Client(self._delivery.target)))

    def _plan(self, webhook: Webhook) -> None:
        for letter in self._letters(webhook):
            self.tally.planned += 1
            self._later(self._wait(webhook), letter)

    def _letters(self, webhook: Webhook) -> list[_Letter]:
        if self._dice.random() >= self._delivery.duplicate:
            return [_Letter(webhook=webhook)]
        same = self._dice.choice((True, False))
        return [_Letter(webhook=webhook, post=webhook.compose(datetime.now(UTC)) if same else None)] * 2

    def _wait(self, webhook: Webhook) -> float:
        seconds = webhook.step * self._delivery.delay.total_seconds()
        return self._dice.uniform(0, 5 * seconds) if self._delivery.shuffle else seconds

    def _later(self, seconds: float, letter: _Letter) -> None:
        asyncio.get_running_loop().call_later(seconds, self._due.put_nowait, letter)

    async def _carry(self, client: Client) -> None:
        try:
            while True:
                await self._send(client, await self._due.get())
        finally:
            client.close()

    async def _send(self, client: Client, letter: _Letter) -> None:
        post = letter.post or letter.webhook.compose(datetime.now(UTC))
        path = post.path or letter.webhook.path
        try:
            async with asyncio.timeout(letter.webhook.timeout):
                status = await client.send(post.method, path, post.headers, post.body)
        except OSError as exc:  # TimeoutError is one of them.
            client.close()
            self._failed(replace(letter, post=post), f"{type(exc).__name__}: {exc}", final=False)
            return
        if status in _SUCCESS:
            self.tally.taken += 1
        else:
            final = letter.webhook.given_up_at(status)
            self._failed(replace(letter, post=post), f"{letter.webhook.path} answered {status}", final=final)

    def _failed(self, letter: _Letter, failure: str, *, final: bool) -> None:
        self.tally.tries_failed += 1
        self.tally.last_failure = failure
        tried = letter.tried + 1
        if final or tried >= letter.webhook.tries:
            self.tally.given_up += 1
            return
        wait = self._delivery.retry.total_seconds() * 2**letter.tried
        self._later(min(wait, _LONGEST_WAIT), replace(letter, tried=tried))
