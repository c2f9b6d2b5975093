"""Operations: what an endpoint takes and gives, declared once, beside the function that does it.

The router, the checks before a view runs and the OpenAPI document all read the same declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Required, TypedDict, Unpack

from flask import Response

from app.api.problems import Kind

View = Callable[..., Response]


class Share(StrEnum):
    """Kinds of request that may only use a part of the process, so that single messages find a thread."""

    UPLOADS = "uploads"
    WEBHOOKS = "webhooks"
    EXPORTS = "exports"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer that an operation gives when all goes well; `model` describes its body for the document.

    `linked` tells that the body has `links` beside what the model says.
    """

    description: str
    model: Any = None
    media_type: str = "application/json"
    linked: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that the view reads itself, as a stream; media types with what they hold."""

    media_types: Mapping[str, str]
    model: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path. Without a scope, no key is asked for; `body` and `query` are checked first.

    A body `with_files` may be larger by what attachments may have. One that is `hot` is called so often that
    it is served without Flask's routing.
    """

    method: str
    rule: str
    summary: str
    view: View
    tag: str
    scope: str | None
    body: Any = None
    query: Any = None
    upload: Upload | None = None
    replies: Mapping[int, Reply] = field(default_factory=dict)
    problems: tuple[Kind, ...] = ()
    idempotent: bool = False
    with_files: bool = False
    share: Share | None = None
    hot: bool = False

    @property
    def name(self) -> str:
        """The operation's id: its resource and its function."""
        return f"{self.tag}_{self.view.__name__}"

    @property
    def description(self) -> str:
        """What the view's docstring says behind its first line."""
        return "\n".join(line.strip() for line in (self.view.__doc__ or "").splitlines()[1:]).strip()


class Options(TypedDict, total=False):
    """What an operation may say beside its path and scope, as in `Operation`."""

    replies: Required[Mapping[int, Reply]]
    body: Any
    query: Any
    upload: Upload | None
    problems: tuple[Kind, ...]
    idempotent: bool
    with_files: bool
    share: Share | None
    hot: bool


class Resource:
    """A group of operations that belong together."""

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.about = about
        self.operations: list[Operation] = []

    def operation(
        self, method: str, rule: str, *, scope: str | None, **options: Unpack[Options]
    ) -> Callable[[View], View]:
        """Declare the function below as an operation; the first line of its docstring is the summary."""

        def declare(view: View) -> View:
            summary = (view.__doc__ or "").partition("\n")[0].rstrip(".")
            self.operations.append(
                Operation(
                    method=method,
                    rule=rule,
                    summary=summary,
                    view=view,
                    tag=self.name,
                    scope=scope,
                    **options,
                )
            )
            return view

        return declare
