"""What templates come to, as pages for a frame: mail closed off from everything, other words as cards."""

import re
from collections.abc import Mapping

from flask import Response, make_response, render_template

from app.domain.vocabulary import Channel
from app.errors import Fault
from app.services.template_previews import TemplatePreview

# What a mail may do in its frame: show itself. It has no origin, no script, no form, and leads nowhere.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; font-src https: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_OWN_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data: https:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)

VIEWS: Mapping[Channel, Mapping[str, str]] = {
    Channel.EMAIL: {"desktop": "Desktop", "phone": "Phone", "dark": "Dark", "text": "Plain text"},
    Channel.SMS: {"segments": "Segments"},
    Channel.WHATSAPP: {"text": "Message"},
    Channel.VOICE: {"voice": "Read out"},
    Channel.PUSH: {"card": "Card"},
}

_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)", re.IGNORECASE)
_LIGHT = re.compile(r"\(\s*prefers-color-scheme\s*:\s*light\s*\)", re.IGNORECASE)
_ALWAYS, _NEVER = "(min-width: 0)", "(max-width: 0)"
_HEAD = re.compile(r"<head[^>]*>|(?=<body)", re.IGNORECASE)
# Many programs turn the colours of a mail round that has none of its own for the dark.
_TURNED = (
    "<style>html{background:#fff;filter:invert(1) hue-rotate(180deg)}"
    "img,video{filter:invert(1) hue-rotate(180deg)}</style>"
)


def shown(channel: Channel, preview: TemplatePreview, view: str) -> Response:
    """Show a preview as one of its channel's views; one that there is not is the first."""
    view = view if view in VIEWS[channel] else next(iter(VIEWS[channel]))
    if channel is Channel.EMAIL and view != "text" and preview.html is not None:
        return _framed(_in_light(preview.html, dark=view == "dark"), _MAIL_POLICY)
    page = render_template("templates/shown.html", preview=preview, view=view, channel=channel, faults=())
    return _framed(page, _OWN_POLICY)


def not_shown(faults: tuple[Fault, ...]) -> Response:
    """Say why there is nothing to show."""
    page = render_template("templates/shown.html", preview=None, view="faults", channel=None, faults=faults)
    return _framed(page, _OWN_POLICY)


def _framed(page: str, policy: str) -> Response:
    response = make_response(page)
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _in_light(html: str, *, dark: bool) -> str:
    """Let a mail's own rules for dark or light hold, whatever the browser of who looks at it wants."""
    has_own = _DARK.search(html) is not None
    html = _DARK.sub(_ALWAYS if dark else _NEVER, html)
    html = _LIGHT.sub(_NEVER if dark else _ALWAYS, html)
    if not dark or has_own:
        return html
    turned = _HEAD.sub(lambda found: f"{found.group()}{_TURNED}", html, count=1)
    return turned if turned != html else f"{_TURNED}{html}"
