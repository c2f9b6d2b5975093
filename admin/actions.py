"""Actions: what a button changes, what it asks before, and what it says after.

An action is a POST that first shows what it would do, in numbers, and asks why where that matters; only what
is confirmed there is done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.services.audit import Who


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What somebody asked for: the things selected, as their page names them, why, and what else was said."""

    who: Who
    selected: tuple[str, ...]
    why: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an action would do: a question, and its consequence in numbers, as (name, figure).

    Where it is not `possible`, the question says why, and nothing can be confirmed.
    """

    question: str
    facts: Sequence[tuple[str, str]] = ()
    warning: str = ""
    possible: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One more thing to ask on the way: a choice where there are `choices` (value, label), else a line."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    value: str = ""
    hint: str = ""
    required: bool = True
    kind: str = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Once:
    """What is shown this once and kept nowhere: a new key or password, and what to do with it."""

    says: str
    secret: str
    todo: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One button. `preview` may change nothing; `apply` does it by a service, and says what came of it.

    What `apply` made and nobody can ask for again it gives as `Once`.

    `questions` may depend on what is selected. A reason is asked for unless `needs_reason` is off; one that
    is a `danger` is shown as such.
    """

    name: str
    label: str
    preview: Callable[[Wish], Preview]
    apply: Callable[[Wish], str | Once]
    questions: Callable[[Wish], Sequence[Question]] = lambda _wish: ()
    danger: bool = False
    needs_reason: bool = True
