"""The body of a request to SendGrid: what its messages share, and what each has of its own."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from app.gateways.answers import part
from app.gateways.base import Attachment, Envelope
from app.gateways.email.mail import encoded, mailbox
from app.gateways.email.sendgrid.sharing import common

TAG_NAME = "tocsin"

# Templates whose name begins so are filled in with data, older ones by substitution.
_DYNAMIC = "d-"


def options_of(message: Envelope) -> dict[str, Any]:
    """Give what the caller asked of email alone."""
    return part(message.options, "email")


def template_of(message: Envelope) -> str | None:
    """Name the template at SendGrid that the caller chose."""
    chosen = options_of(message).get("template_id")
    return chosen if isinstance(chosen, str) and chosen else None


def is_dynamic(template: str) -> bool:
    """Tell whether a template takes data and brings all of its content."""
    return template.startswith(_DYNAMIC)


def categories_of(message: Envelope) -> list[str]:
    """List the message's category and those of its options, each once."""
    chosen = options_of(message).get("categories") or []
    return list(dict.fromkeys(name for name in (message.category, *chosen) if name))


def request_body(messages: Sequence[Envelope], pools: frozenset[str]) -> dict[str, Any]:
    """Make the body for messages that share all but what a personalization holds."""
    first = messages[0]
    sender, reply_to = mailbox(first.sender), mailbox(first.reply_to) if first.reply_to else None
    content, substitutions = _content(messages)
    body = {
        "personalizations": [
            _personalization(message, own) for message, own in zip(messages, substitutions, strict=True)
        ],
        "from": sender and _contact(sender.address, sender.name),
        "reply_to": reply_to and _contact(reply_to.address, reply_to.name),
        "content": content,
        "template_id": template_of(first),
        "attachments": [_attachment(each) for each in first.attachments],
        "categories": categories_of(first),
        "ip_pool_name": first.ip_pool if first.ip_pool in pools else None,
        "tracking_settings": _tracking(options_of(first)),
        "mail_settings": {"sandbox_mode": {"enable": True}} if options_of(first).get("sandbox") else None,
    }
    return {name: value for name, value in body.items() if value}


def _content(messages: Sequence[Envelope]) -> tuple[list[dict[str, str]], Sequence[Mapping[str, Any]]]:
    template = template_of(messages[0])
    if template is not None:
        own = [{} if is_dynamic(template) else _data(message) for message in messages]
        return [] if is_dynamic(template) else _parts(messages[0].text, messages[0].html), own
    shared = common(messages)
    return _parts(shared.text, shared.html), shared.substitutions or [{}] * len(messages)


def _parts(text: str | None, html: str | None) -> list[dict[str, str]]:
    # SendGrid wants the plain one in front.
    given = (("text/plain", text), ("text/html", html))
    return [{"type": kind, "value": value} for kind, value in given if value]


def _personalization(message: Envelope, substitutions: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {"to": [{"email": message.address}], "custom_args": {TAG_NAME: str(message.tag)}}
    if message.subject:
        own["subject"] = message.subject
    if message.headers:
        own["headers"] = {name: encoded(value) for name, value in message.headers.items()}
    if substitutions:
        own["substitutions"] = substitutions
    template = template_of(message) if message.options else None
    if template and is_dynamic(template):
        own["dynamic_template_data"] = options_of(message).get("template_data") or {}
    return own


def _data(message: Envelope) -> dict[str, str]:
    """Give a template's data as older templates take it: texts, by the tags in the template."""
    return {tag: str(value) for tag, value in part(options_of(message), "template_data").items()}


def _contact(address: str, name: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def _attachment(attachment: Attachment) -> dict[str, str]:
    described = {
        "content": b64encode(attachment.content).decode(),
        "type": attachment.content_type,
        "filename": attachment.filename,
        "disposition": "attachment",
    }
    if attachment.content_id:
        bare = attachment.content_id.removeprefix("<").removesuffix(">")
        described |= {"disposition": "inline", "content_id": bare}
    return described


def _tracking(options: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is tracked where the caller said so; else the account's settings hold."""
    tracking: dict[str, Any] = {}
    if (opens := options.get("track_opens")) is not None:
        tracking["open_tracking"] = {"enable": bool(opens)}
    if (clicks := options.get("track_clicks")) is not None:
        # Links in plain text are read by people and stay as they are.
        tracking["click_tracking"] = {"enable": bool(clicks), "enable_text": False}
    return tracking
