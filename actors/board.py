"""What a parent and its children tell each other: numbers in memory that they share."""

import mmap
from dataclasses import dataclass, field

_NUMBER = 8  # bytes
_EACH = 4  # numbers of one place: threads asked for, running, busy; milliseconds of CPU


@dataclass
class Board:
    """The threads of one crew's processes, each process in a place of its own. Made before fork.

    The parent says what is `asked` of each place; the children report what runs, what works, and the
    CPU they used. `wished` is for the crew as a whole: the child in the first place says it, the parent
    carries it out.
    """

    places: int
    _numbers: memoryview = field(init=False)

    def __post_init__(self) -> None:
        # Anonymous memory stays shared across fork, and writing one aligned number is never seen half done.
        self._numbers = memoryview(mmap.mmap(-1, (1 + _EACH * self.places) * _NUMBER)).cast("q")

    @property
    def wished(self) -> int:
        return self._numbers[0]

    @wished.setter
    def wished(self, threads: int) -> None:
        self._numbers[0] = threads

    def ask(self, place: int, threads: int) -> None:
        """Ask a process to have so many threads."""
        self._numbers[1 + _EACH * place] = threads

    def asked(self, place: int) -> int:
        """Tell how many threads a process shall have."""
        return self._numbers[1 + _EACH * place]

    def report(self, place: int, *, running: int, busy: int, cpu: float = 0.0) -> None:
        """Say how many threads a process has, how many of them work, and its seconds of CPU so far."""
        first = 2 + _EACH * place
        for offset, number in enumerate((running, busy, round(cpu * 1000))):
            self._numbers[first + offset] = number

    @property
    def running(self) -> int:
        """Tell how many threads all processes have."""
        return sum(self._numbers[2::_EACH])

    @property
    def busy(self) -> int:
        """Tell how many threads work."""
        return sum(self._numbers[3::_EACH])

    @property
    def cpu(self) -> tuple[float, ...]:
        """Tell the seconds of CPU of the process in each place, nothing where there is none."""
        return tuple(number / 1000 for number in self._numbers[4::_EACH])
