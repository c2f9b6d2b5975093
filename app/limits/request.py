"""A batch's request for tokens, as take.lua reads it."""

from collections.abc import Callable
from typing import Any

from app.limits.windows import Ask, Limit, Window

Place = tuple[Limit, Window]


class TakeRequest:
    """Numbers the windows that a batch falls under, so that each is named once.

    `share` says how many tokens of a limit's window may be taken, -1 for as many as wanted.
    """

    def __init__(
        self,
        life_key: str,
        key: Callable[[Limit, Window], str],
        share: Callable[[Limit, int], int],
    ) -> None:
        self._life_key = life_key
        self._key = key
        self._share = share
        self._keys: list[str] = []
        self._shared: list[tuple[int, int, int, int]] = []
        self._places: list[Place] = []
        self._of_limit: dict[str, list[int]] = {}
        self._groups: list[list[int]] = []
        # By identity, which costs a tenth of comparing; `_seen` keeps the identities from being used again.
        self._group_of: dict[int, int] = {}
        self._seen: list[tuple[Limit, ...]] = []
        self._single_keys: list[str] = []
        self._single: list[tuple[int, int, int, int]] = []
        self._single_places: list[Place] = []
        self._shapes_of: dict[int, list[tuple[int, str]]] = {}
        self._recipients: dict[tuple[str, int], list[int]] = {}
        self._asks: list[int] = []

    @property
    def keys(self) -> list[str]:
        return [self._life_key, *self._keys, *self._single_keys]

    def add(self, ask: Ask) -> None:
        """Ask for some more."""
        group = self._group_of.get(id(ask.limits)) or self._open_group(ask.limits)
        own = () if ask.per_recipient is None else self._windows_of(ask.recipient, ask.per_recipient)
        self._asks += (group, ask.count, len(own) // 2, *own)

    def content(self) -> dict[str, Any]:
        """Give all but the keys."""
        return {
            "shared": self._shared,
            "single": self._single,
            "groups": self._groups,
            "asks": self._asks,
        }

    def place(self, number: int) -> Place:
        """Tell which window a number in the answer means: a shared one, or below zero a recipient's."""
        return self._places[number - 1] if number > 0 else self._single_places[-number - 1]

    def _open_group(self, limits: tuple[Limit, ...]) -> int:
        numbers = [number for limit in limits for number in self._numbers_of(limit)]
        self._groups.append(numbers)
        self._seen.append(limits)
        self._group_of[id(limits)] = len(self._groups)
        return len(self._groups)

    def _numbers_of(self, limit: Limit) -> list[int]:
        numbers = self._of_limit.get(limit.key)
        if numbers is None:
            numbers = self._of_limit[limit.key] = []
            for window, most in limit.windows():
                self._keys.append(self._key(limit, window))
                self._shared.append((self._share(limit, most), *window.value, int(limit.is_gateways)))
                self._places.append((limit, window))
                numbers.append(len(self._keys))
        return numbers

    def _windows_of(self, recipient: str, limit: Limit) -> list[int]:
        """Give a recipient's windows, each as its shape and its number."""
        known = self._recipients.get((recipient, id(limit)))
        if known is None:
            known = self._recipients[(recipient, id(limit))] = []
            for shape, prefix in self._shapes_of.get(id(limit)) or self._open_shapes(limit):
                self._single_keys.append(prefix + recipient)
                known += (shape, len(self._single_keys))
        return known

    def _open_shapes(self, limit: Limit) -> list[tuple[int, str]]:
        shapes = self._shapes_of[id(limit)] = []
        for window, most in limit.windows():
            self._single.append((self._share(limit, most), *window.value, 0))
            self._single_places.append((limit, window))
            shapes.append((len(self._single), self._key(_ANYBODY, window)))
        return shapes


# What all recipients' keys begin with, whatever limit is theirs.
_ANYBODY = Limit(key="r:")
