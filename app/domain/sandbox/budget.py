"""How much one rendering may do, counted in steps rather than seconds, so that it is the same anywhere."""

from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.runtime import LoopContext, Undefined
from markupsafe import Markup

WORK = 1_000_000
LONGEST_TEXT = 1024 * 1024
_CHARACTERS_PER_STEP = 16

_SCALARS = (str, int, float, bool, type(None), Markup)


class Stopped(TemplateRuntimeError):
    """A rendering was ended by a rule of ours; the text never contains data."""


class Budget:
    """The work left to one rendering: about one step for each node, element or 16 characters touched."""

    __slots__ = ("_left",)

    def __init__(self, work: int = WORK) -> None:
        self._left = work

    def charge(self, steps: int) -> None:
        """Take steps off; raises Stopped when none are left."""
        self._left -= steps
        if self._left < 0:
            raise Stopped("takes more work than one message may: shorten its loops")

    def charge_text(self, length: int) -> None:
        """Pay for handling a text of so many characters; raises Stopped where it is too long."""
        if length > LONGEST_TEXT:
            raise Stopped(f"makes a text longer than {LONGEST_TEXT} characters")
        self.charge(1 + length // _CHARACTERS_PER_STEP)

    def charge_deep(self, value: object) -> None:
        """Pay for a value with all that is in it, each time it occurs; gives up as soon as it is too much."""
        if isinstance(value, str):
            self.charge_text(len(value))
        elif isinstance(value, dict):
            self.charge(1 + len(value))
            for element in value.values():
                self.charge_deep(element)
        elif isinstance(value, list | tuple):
            self.charge(1)
            for element in value:
                self.charge_deep(element)
        else:
            self.charge(len(value) if isinstance(value, range) else 1)


def scalar(value: Any) -> Any:
    """Let through what can be printed; lists and objects must be taken apart by the template first."""
    if type(value) in _SCALARS or isinstance(value, Undefined):
        return value
    raise Stopped("prints a list or an object: name the part of it, or join it")


def listed(value: Any) -> Any:
    """Give something with a length for anything that a template may loop over."""
    if isinstance(value, str | list | tuple | dict | range):
        return value
    if isinstance(value, Iterator | Undefined) and not isinstance(value, LoopContext):
        return list(value)
    raise Stopped("loops over something that is no list")
