"""The one place that carries requests out, HTTP and SMTP: many in flight, in one thread, on libcurl."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pycurl

from app.gateways.base import HttpFailure, HttpRequest, HttpResponse, MailRequest, Request
from app.gateways.handle import Handle, new_curl
from app.gateways.relays import Relays
from app.gateways.sockets import Sockets

T = TypeVar("T")
Pull = Callable[[int], Sequence[tuple[T, Request]]]
Finished = list[tuple[T, HttpResponse | HttpFailure]]

MAX_CONCURRENCY = 1000
# Seconds, as select() and sleep() take them.
LONGEST_WAIT = 1.0
BLIND_WAIT = 0.001
# Free places are filled many at a time, since each time costs the caller a look at the ledger; but at a
# gateway that answers slowly, none stays empty longer than this.
LONGEST_EMPTY = 0.005
# Whoever has nothing else to do sooner: of 50 ms that a gateway takes, 5 would be a tenth.
LONGEST_EMPTY_IDLE = 0.002


@dataclass
class Places:
    """How many requests each thread of a process may have in flight; it may change while they are at it."""

    each: int


class Transport:
    """One thread's connections. Not shared between threads; made after fork.

    Proxies are those of the environment (HTTPS_PROXY, NO_PROXY …), as an operator expects of a service
    behind a firewall, but none for loopback. Certificates are checked against `ca_file`, else against
    what the system trusts.
    """

    def __init__(self, *, concurrency: int, places: Places | None = None, ca_file: str | None = None) -> None:
        if not 1 <= concurrency <= MAX_CONCURRENCY:
            raise ValueError(f"concurrency is 1 to {MAX_CONCURRENCY}, not {concurrency}")
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, concurrency)
        self._most = concurrency
        self._places = places or Places(concurrency)
        self._kept = 0
        self._filled_at = 0.0
        self._sockets = Sockets()
        self._busy = False
        self._free = [Handle(ca_file=ca_file, sockets=self._sockets) for _ in range(concurrency)]
        self._in_flight: dict[pycurl.Curl, tuple[Handle, Any]] = {}
        self._relays = Relays(self._multi, self._sockets, places=concurrency, make=lambda: new_curl(ca_file))
        self._unsendable: list[tuple[Any, HttpFailure]] = []

    def exchange(self, pull: Pull[T]) -> Iterator[Finished[T]]:
        """Keep up to `concurrency` requests in flight; yield finished ones as they come, many at a time.

        `places` may lower that while it goes on. `pull(free)` is asked for up to `free` more requests, each
        with a tag that comes back beside its result, whenever half of the places is free, or fewer for a
        few milliseconds. Where it gives none, it is asked again after the next have finished. Ends when it
        gave none and nothing is in flight.
        Closing the iterator, or an error in `pull`, aborts what is in flight, so that its fate stays
        unknown. Time-outs run on while the caller holds the iterator.
        """
        if self._busy:
            raise RuntimeError("A transport carries one exchange at a time")
        self._busy = True
        try:
            yield from self._rounds(pull)
        finally:
            self._abort()
            self._busy = False

    def fetch(self, request: Request) -> HttpResponse | HttpFailure:
        """Carry out one request."""
        waiting = [(None, request)]
        finished = [
            result
            for batch in self.exchange(lambda _: [waiting.pop()] if waiting else [])
            for _, result in batch
        ]
        return finished[0]

    def close(self) -> None:
        """Close all connections; the transport cannot be used afterwards."""
        self._abort()
        for handle in self._free:
            handle.curl.close()
        self._free.clear()
        self._relays.close()
        self._multi.close()

    def _rounds(self, pull: Pull[T]) -> Iterator[Finished[T]]:
        held = False
        while True:
            self._keep()
            finished = self._collect()
            if finished:
                held = False
                # Before new ones are started, so that the caller can write these down together with those.
                yield finished
            if not held and self._wants_more(idle=not finished):
                held = not self._start(pull, self._room)
                self._filled_at = time.monotonic()
            elif held and not self._under_way:
                return
            elif not finished:
                self._wait(LONGEST_WAIT if held or not self._room else LONGEST_EMPTY_IDLE)
            self._multi.perform()

    def _keep(self) -> None:
        """Have no more connections open than there are places for, at a server that others want to reach too.

        There is room for two gateways' connections, so that failing over to and fro closes none.
        """
        if self._kept != 2 * self._allowed:
            self._kept = 2 * self._allowed
            self._multi.setopt(pycurl.M_MAXCONNECTS, self._kept)

    @property
    def _under_way(self) -> int:
        return len(self._in_flight) + self._relays.busy

    @property
    def _allowed(self) -> int:
        return max(1, min(self._most, self._places.each))

    @property
    def _room(self) -> int:
        """Count the free places. There may be none for a while after their number was lowered."""
        return max(0, self._allowed - self._under_way)

    def _wants_more(self, *, idle: bool) -> bool:
        free = self._room
        longest = LONGEST_EMPTY_IDLE if idle else LONGEST_EMPTY
        is_half = free >= max(1, self._allowed // 2)
        return is_half or (free > 0 and time.monotonic() - self._filled_at > longest)

    def _start(self, pull: Pull[T], room: int) -> int:
        work = pull(room)
        if len(work) > room:
            raise ValueError(f"asked for {room} requests, got {len(work)}")
        for tag, request in work:
            try:
                if isinstance(request, MailRequest):
                    self._relays.start(tag, request)
                else:
                    self._start_http(tag, request)
            except (ValueError, pycurl.error) as exc:
                self._unsendable.append((tag, _unsendable(exc)))
        return len(work)

    def _start_http(self, tag: object, request: HttpRequest) -> None:
        handle = self._free.pop()
        try:
            handle.prepare(request)
        except (ValueError, pycurl.error):
            self._free.append(handle)
            raise
        self._in_flight[handle.curl] = (handle, tag)
        self._multi.add_handle(handle.curl)

    def _collect(self) -> Finished[Any]:
        finished: Finished[Any] = list(self._unsendable)
        self._unsendable.clear()
        more = self._under_way
        while more:
            more, complete, failed = self._multi.info_read()
            for curl in complete:
                if self._relays.owns(curl):
                    self._relays.connected(curl)
                else:
                    finished.append(self._finish(curl))
            for curl, code, text in failed:
                if self._relays.owns(curl):
                    self._relays.failed(curl, code, text)
                elif not self._begin_anew(curl, code, text):
                    finished.append(self._fail(curl, code, text))
        return finished + self._relays.perform()

    def _finish(self, curl: pycurl.Curl) -> tuple[Any, HttpResponse | HttpFailure]:
        handle, tag = self._in_flight[curl]
        result = handle.finish()
        self._release(curl)
        return tag, result

    def _fail(self, curl: pycurl.Curl, code: int, text: str) -> tuple[Any, HttpFailure]:
        handle, tag = self._in_flight[curl]
        result = handle.fail(code, text)
        self._release(curl)
        return tag, result

    def _begin_anew(self, curl: pycurl.Curl, code: int, text: str) -> bool:
        """Let a request that met a closed connection, or was refused unread, take another one."""
        handle, _ = self._in_flight[curl]
        if handle.unsent:
            handle.take_new_connection()
        elif handle.was_refused(code, text) and handle.may_start_again():
            handle.start_again()
        else:
            return False
        self._multi.remove_handle(curl)
        self._multi.add_handle(curl)
        return True

    def _release(self, curl: pycurl.Curl) -> None:
        self._multi.remove_handle(curl)
        handle, _ = self._in_flight.pop(curl)
        handle.forget()
        self._free.append(handle)

    def _abort(self) -> None:
        for curl in list(self._in_flight):
            self._release(curl)
        self._relays.abort()
        self._unsendable.clear()

    def _wait(self, longest: float) -> None:
        due = self._multi.timeout()
        seconds = longest if due < 0 else min(longest, due / 1000)
        if not seconds:
            return
        if self._relays.busy and not self._sockets.beyond_select:
            self._relays.wait(seconds)
        # Without a descriptor that it can see, select() returns at once.
        elif self._sockets.beyond_select or self._multi.select(seconds) < 0:
            time.sleep(min(seconds, BLIND_WAIT))


def _unsendable(exc: Exception) -> HttpFailure:
    # The exception's own text may quote a header or an address.
    return HttpFailure(written=False, detail=f"The request cannot be put on the wire ({type(exc).__name__})")
