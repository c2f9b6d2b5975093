"""Taking webhooks in: proof over the raw bytes, then into the inbox, committed before we answer."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import orjson
import sqlalchemy as sa

from app.errors import Forged, NotFound, ProofUnavailable
from app.gateways.base import HttpFailure, HttpRequest, Webhook, WebhookAnswer, WebhookRequest
from app.gateways.transport import Transport
from app.services.recording.keeping import Keeper, Letter
from app.wake import Wake

KEY_KEPT = 3600.0  # seconds
# A proof that fails under a key that we kept may be by a newer one; asked for at most so often.
KEY_ASKED_AGAIN_AFTER = 10.0  # seconds
KEY_TIMEOUT = timedelta(seconds=4)
LARGEST_GOOD_STATUS = 299
# A forger may name many addresses that a vendor could use; only so many keys are kept.
MOST_KEYS = 64

# What a sender may put in a header that is nobody's business later.
_NOT_KEPT = frozenset({"authorization", "cookie", "x-server-api-key"})


class WebhookService:
    """The door for gateways' webhooks; threads may share it."""

    def __init__(
        self,
        engine: sa.Engine,
        webhooks: Mapping[str, Webhook],
        wake: Wake,
        transport: Callable[[], Transport],
        now: Callable[[], datetime],
    ) -> None:
        self._keeper = Keeper(engine)
        self._webhooks = webhooks
        self._wake = wake
        self._keys = _Keys(transport)
        self._now = now

    def receive(self, name: str, request: WebhookRequest, *, request_id: str) -> WebhookAnswer | None:
        """Prove a request and keep it; once this returns it will have its effect.

        Gives what the vendor wants to read, None where any 200 will do.
        Raises NotFound for a gateway without webhooks here, Forged where the proof does not hold,
        ProofUnavailable where it cannot be checked now, and Unavailable where it cannot be kept.
        """
        webhook = self._webhooks.get(name)
        if webhook is None:
            raise NotFound(f"no webhooks are expected from {name!r}")
        self._prove(webhook, request)
        self._keep(name, request, request_id)
        self._wake.inbox()
        return webhook.answer(request)

    def _prove(self, webhook: Webhook, request: WebhookRequest) -> None:
        url = webhook.key_url(request)
        if url is None:
            webhook.verify(request, None, self._now())
            return
        try:
            webhook.verify(request, self._keys.get(url, max_age=KEY_KEPT), self._now())
        except ProofUnavailable:
            raise
        except Forged:
            if not self._keys.older_than(url, KEY_ASKED_AGAIN_AFTER):
                raise
            webhook.verify(request, self._keys.get(url, max_age=KEY_ASKED_AGAIN_AFTER), self._now())

    def _keep(self, name: str, request: WebhookRequest, request_id: str) -> None:
        headers = {key: value for key, value in request.headers.items() if key not in _NOT_KEPT}
        self._keeper.keep(
            Letter(
                gateway=name,
                request_id=request_id,
                url=request.url,
                headers=orjson.dumps(headers).decode(),
                body=request.body,
            )
        )


class _Keys:
    """Keys and certificates by their address, fetched when they are first needed."""

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._transport = transport
        self._known: dict[str, tuple[float, bytes]] = {}
        self._lock = threading.Lock()

    def older_than(self, url: str, seconds: float) -> bool:
        """Tell whether what is known was fetched longer ago than this."""
        at, _ = self._known.get(url, (float("-inf"), b""))
        return time.monotonic() - at > seconds

    def get(self, url: str, *, max_age: float) -> bytes:
        """Give the key; one thread fetches it while the others wait."""
        with self._lock:
            if self.older_than(url, max_age):
                key = self._fetch(url)
                self._known.pop(url, None)
                self._known[url] = (time.monotonic(), key)
            if len(self._known) > MOST_KEYS:
                del self._known[next(iter(self._known))]
            return self._known[url][1]

    def _fetch(self, url: str) -> bytes:
        request = HttpRequest(
            method="GET", url=url, body=b"", headers={}, timeout=KEY_TIMEOUT, connect_timeout=KEY_TIMEOUT
        )
        reply = self._transport().fetch(request)
        if isinstance(reply, HttpFailure) or reply.status > LARGEST_GOOD_STATUS:
            raise ProofUnavailable("the key for this proof cannot be fetched")
        return reply.body
