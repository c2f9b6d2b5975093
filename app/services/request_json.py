"""A request as JSON, for one that is kept until its time comes."""

import base64
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.requests import File, SendRequest

_TIMES = ("scheduled_for", "expires_at")


def spelled(request: SendRequest) -> str:
    """Write a request down; `read` gives an equal one."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    values |= {
        "sections": {channel.value: dict(section) for channel, section in request.sections.items()},
        "attachments": [_file(each) for each in request.attachments],
        "headers": dict(request.headers),
        "metadata": dict(request.metadata),
        "data": dict(request.data),
    }
    kept = {name: value for name, value in values.items() if value not in (None, {}, [])}
    return orjson.dumps(kept).decode()


def read(kept: Mapping[str, Any]) -> SendRequest:
    """Read a request back."""
    priority = kept.get("priority")
    sections = kept.get("sections", {})
    values = {
        **kept,
        "channel": Channel(kept["channel"]),
        "message_type": MessageType(kept["message_type"]),
        "priority": Priority(priority) if priority else None,
        "sections": {Channel(name): section for name, section in sections.items()},
        "attachments": tuple(_as_file(each) for each in kept.get("attachments", ())),
        **{name: datetime.fromisoformat(kept[name]) for name in _TIMES if kept.get(name)},
    }
    return SendRequest(**values)


def _file(file: File) -> dict[str, Any]:
    content = base64.b64encode(file.content).decode()
    return {
        "filename": file.filename,
        "content_type": file.content_type,
        "content": content,
        "content_id": file.content_id,
    }


def _as_file(kept: Mapping[str, Any]) -> File:
    return File(**{**kept, "content": base64.b64decode(kept["content"])})
