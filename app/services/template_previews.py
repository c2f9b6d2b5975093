"""Seeing what a template comes to: each channel's words as their recipient would see or hear them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.domain import sms
from app.domain.rendering import Compiled, Content, Variable, faults
from app.domain.templates.checking_texts import spoken_seconds
from app.domain.vocabulary import Channel
from app.errors import Invalid


@dataclass(frozen=True, kw_only=True, slots=True)
class SmsView:
    """A text as SMS: `segments` are what each holds; `forced_by` are the characters GSM-7 lacks."""

    encoding: str
    units: int
    segments: tuple[str, ...]
    forced_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PushView:
    """What a phone shows of a push; `size` is about what goes over the wire, in bytes."""

    title: str | None
    body: str | None
    image: str | None
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceView:
    """What a call says; `seconds` is about how long it takes, once."""

    text: str
    language: str | None
    voice: str | None
    repeat: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplatePreview:
    """A template filled in; what it has no part for is None. `size` is the HTML's, in bytes.

    `made_up` are the variables that had neither data nor an example.
    """

    subject: str | None
    html: str | None
    text: str | None
    parts: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    sms: SmsView | None = None
    push: PushView | None = None
    voice: VoiceView | None = None
    made_up: tuple[str, ...] = ()


def render(
    channel: Channel,
    compiled: Compiled,
    variables: Sequence[Variable],
    data: Mapping[str, Any],
    *,
    fill: bool = False,
) -> TemplatePreview:
    """Fill a template in; examples stand in for what `data` leaves out.

    Where even those are missing, `fill` makes something up instead of raising Invalid.
    """
    filled = {**_examples(variables), **data}
    made_up = _made_up(variables, filled) if fill else {}
    filled |= made_up
    found = faults(variables, filled)
    if found:
        raise Invalid(found)
    return shown(channel, compiled.render(filled), made_up=tuple(made_up))


def shown(channel: Channel, content: Content, *, made_up: tuple[str, ...] = ()) -> TemplatePreview:
    """Show contents as their channel does."""
    own = dict(content.own or {})
    return TemplatePreview(
        subject=content.subject,
        html=content.html,
        text=content.text,
        parts=own,
        size=len((content.html or "").encode()),
        sms=_sms(content.text or "") if channel is Channel.SMS else None,
        push=_push(content, own) if channel is Channel.PUSH else None,
        voice=_voice(content.text or "", own) if channel is Channel.VOICE else None,
        made_up=made_up,
    )


def _examples(variables: Sequence[Variable]) -> dict[str, Any]:
    return {variable.name: variable.example for variable in variables if variable.example is not None}


def _made_up(variables: Sequence[Variable], data: Mapping[str, Any]) -> dict[str, Any]:
    """Make a value up for each variable that must have one and has none."""
    missing = (each for each in variables if each.required and each.default is None)
    return {each.name: _stand_in(each) for each in missing if data.get(each.name) is None}


def _stand_in(variable: Variable) -> Any:
    match variable.type:
        case "number":
            return 1
        case "boolean":
            return True
        case "list":
            return []
        case "object":
            return {}
        case "url":
            return f"https://example.com/{variable.name}"
    # What nothing is declared of is an address as likely as not where it is called one.
    return f"https://example.com/{variable.name}" if "url" in variable.name.lower() else f"[{variable.name}]"


def _sms(text: str) -> SmsView:
    found = sms.measure(text)
    return SmsView(
        encoding=found.encoding.value,
        units=found.units,
        segments=sms.split(text),
        forced_by=found.forced_by,
    )


def _push(content: Content, own: Mapping[str, Any]) -> PushView:
    shown_words = {"title": own.get("title") or content.subject, "body": content.text}
    return PushView(
        title=shown_words["title"],
        body=content.text,
        image=own.get("image"),
        size=len(orjson.dumps({**own, **shown_words})),
    )


def _voice(text: str, own: Mapping[str, Any]) -> VoiceView:
    return VoiceView(
        text=text,
        language=own.get("language"),
        voice=own.get("voice"),
        repeat=own.get("repeat") or 1,
        seconds=round(spoken_seconds(text), 1),
    )
