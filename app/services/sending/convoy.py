"""One thread's claims on the wire: while answers to one come in, requests of the next go out."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from app.gateways.base import Request
from app.gateways.transport import Transport
from app.services.sending.requests import Work
from app.services.sending.run import ClaimRun, Reply

# A gateway that leaves a request of each claim without an answer shall not make a thread hold them all.
MOST_UNDER_WAY = 4

Tag = tuple[ClaimRun, Work]


def nothing_more() -> None:
    """Let no claim follow."""


class Convoy:
    """Carries claims over one transport until none follows. Used once, by one thread."""

    def __init__(
        self, transport: Transport, first: ClaimRun, following: Callable[[], ClaimRun | None] = nothing_more
    ) -> None:
        self._transport = transport
        self._under_way = [first]
        self._following: Callable[[], ClaimRun | None] = following

    def carry(self) -> None:
        """Send everything; whatever happens, what is known of each claim is settled.

        `following` is asked for another claim once all requests of those under way have begun, until it
        gives none. It must not raise, since that would leave the fate of what is in flight unknown.
        """
        try:
            self._under_way[0].begin()
            for finished in self._transport.exchange(self._pull):
                self._absorb(finished)
        finally:
            self._finish(self._under_way)

    def _pull(self, free: int) -> list[tuple[Tag, Request]]:
        """Give the transport up to `free` requests; none only where there is nothing to give for now."""
        given: list[tuple[Tag, Request]] = []
        while True:
            for run in self._under_way:
                given += [((run, work), request) for work, request in run.pull(free - len(given))]
            self._finish([run for run in self._under_way if run.is_over])
            if given or not self._follow():
                return given

    def _follow(self) -> bool:
        """Take in another claim, where there is one and not too many are under way."""
        if len(self._under_way) >= MOST_UNDER_WAY:
            return False
        run = self._following()
        if run is None:
            # Asking again after each answer to the last requests would cost more than it finds.
            self._following = nothing_more
            return False
        self._under_way.append(run)
        run.begin()
        return True

    def _absorb(self, finished: Sequence[tuple[Tag, Reply]]) -> None:
        by_run: dict[ClaimRun, list[tuple[Work, Reply]]] = defaultdict(list)
        for (run, work), reply in finished:
            by_run[run].append((work, reply))
        for run, answers in by_run.items():
            run.absorb(answers)
        self._finish([run for run in by_run if run.is_over])

    def _finish(self, runs: Sequence[ClaimRun]) -> None:
        for run in list(runs):
            self._under_way.remove(run)
            run.finish()
