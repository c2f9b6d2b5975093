"""A closed loop of clients: each sends its next request when it has its answer."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pycurl


@dataclass(kw_only=True)
class Answers:
    """What came back: seconds from sending to the whole answer, and how often each status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    took: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took


def closed_loop(
    url: str, request: Callable[[], tuple[list[str], bytes]], *, clients: int, seconds: float
) -> Answers:
    """Have so many clients POST, each over a connection of its own; `request` gives headers and body."""
    return _Loop(url, request, clients).run(seconds)


class _Loop:
    def __init__(self, url: str, request: Callable[[], tuple[list[str], bytes]], clients: int) -> None:
        self._request = request
        self._multi = pycurl.CurlMulti()
        self._handles = [_handle(url) for _ in range(clients)]
        self._began: dict[pycurl.Curl, float] = {}
        self._answers = Answers()

    def run(self, seconds: float) -> Answers:
        began = time.perf_counter()
        for curl in self._handles:
            self._send(curl)
        while self._began:
            self._multi.perform()
            _, done, failed = self._multi.info_read()
            assert not failed, failed
            for curl in done:
                self._take(curl)
                if time.perf_counter() - began < seconds:
                    self._send(curl)
            if not done:
                self._multi.select(0.1)
        self._answers.took = time.perf_counter() - began
        return self._answers

    def _send(self, curl: pycurl.Curl) -> None:
        headers, body = self._request()
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.POSTFIELDS, body)
        self._began[curl] = time.perf_counter()
        self._multi.add_handle(curl)

    def _take(self, curl: pycurl.Curl) -> None:
        self._answers.seconds.append(time.perf_counter() - self._began.pop(curl))
        self._answers.statuses[curl.getinfo(pycurl.RESPONSE_CODE)] += 1
        self._multi.remove_handle(curl)


def _handle(url: str) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.WRITEFUNCTION, len)
    return curl
