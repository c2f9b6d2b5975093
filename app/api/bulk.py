"""/v1/messages/bulk: one message to any number of recipients, as JSON, NDJSON or CSV."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.api import bodies, problems
from app.api.answers import NDJSON, answer
from app.api.calls import Call
from app.api.faults import parsed, read
from app.api.messages import REPLAYED, replayed
from app.api.models.answers import BatchTaken
from app.api.models.messages import Batch, BatchHead
from app.api.multipart import batch_and_rows
from app.api.operations import Reply, Resource, Share, Upload
from app.bootstrap import App
from app.errors import Fault, Invalid, TooLarge
from app.services.requests import Reject, Row
from app.services.uploads import csv_rows, json_rows, ndjson

resource = Resource("bulk", "Send one message to many recipients with one request.")

_NDJSON = """\
First line: the shared fields, as in `BatchHead`. Then one recipient a line, as in `Recipient`. Any number."""
_CSV = """\
First part, called `batch`: the shared fields as JSON, as in `BatchHead`. Second part: CSV whose columns are
`address`, `id` and `type`; every other column is data. Any number of rows."""


@dataclass(frozen=True, slots=True)
class _Upload:
    head: BatchHead
    rows: Iterable[Row | Reject]


@resource.operation(
    "POST",
    "/v1/messages/bulk",
    scope="messages:send",
    upload=Upload(
        {
            "application/json": "Up to 16 MB.",
            NDJSON: _NDJSON,
            "multipart/form-data": _CSV,
        },
        Batch,
    ),
    share=Share.UPLOADS,
    idempotent=True,
    problems=(problems.NO_GATEWAY, problems.LENGTH_REQUIRED, problems.BUSY),
    replies={
        202: Reply(
            "Accepted, and safe; sending has begun",
            BatchTaken,
            headers=REPLAYED | {"Location": "Where the progress can be read"},
        )
    },
)
def send(app: App, call: Call) -> Response:
    """Send one message to many recipients.

    The body is read as it streams, and may be gzip (`Content-Encoding`). Nothing is sent before the last
    recipient was read; an upload that breaks off leaves nothing behind and can be sent again with the
    same idempotency key. A row that cannot be a recipient is rejected with its line number, and stops
    no other. Plain NDJSON needs `Content-Length`.
    """
    key = call.idempotency_key
    body = call.upload()
    upload = _READERS[_media_type(call)](app, call, body.chunks)
    accepted = app.messages.send_bulk(
        call.caller,
        upload.head.request(),
        upload.rows,
        idempotency_key=key,
        request_hash=body.fingerprint,
    )
    path = f"/v1/batches/{accepted.batch}"
    content = {
        "batch": accepted.batch,
        "status": accepted.status,
        "received": accepted.received,
        "invalid": accepted.invalid,
        "warnings": accepted.warnings,
        "links": {"self": path, "rejects": f"{path}/rejects"},
    }
    return answer(202, content, headers={"Location": path, **replayed(is_replay=accepted.replayed)})


def _media_type(call: Call) -> str:
    media_type = bodies.media_type(call.environ)
    if media_type == "text/csv":
        raise UnsupportedMediaType("Send CSV as multipart/form-data, behind a part `batch` with the JSON.")
    if media_type not in _READERS:
        raise UnsupportedMediaType(f"Send one of {', '.join(_READERS)}.")
    return media_type


def _json(app: App, _call: Call, chunks: Iterator[bytes]) -> _Upload:
    limit = app.settings.max_body_bytes
    raw = bytearray()
    for chunk in chunks:
        raw += chunk
        if len(raw) > limit:
            raise TooLarge(f"a JSON body may have {limit} bytes at most; send more as NDJSON or CSV")
    content = parsed(bytes(raw))
    recipients: Any = content.pop("recipients", None) if isinstance(content, dict) else None
    head = _head(orjson.dumps(content), also=_recipients_faults(recipients))
    return _Upload(head, json_rows(recipients))


def _ndjson(_app: App, call: Call, chunks: Iterator[bytes]) -> _Upload:
    bodies.require_known_end(call.environ)
    head, rows = ndjson(chunks)
    return _Upload(_head(head), rows)


def _multipart(_app: App, call: Call, chunks: Iterator[bytes]) -> _Upload:
    head, rows = batch_and_rows(chunks, call.environ["CONTENT_TYPE"])
    return _Upload(_head(head), csv_rows(rows))


_READERS: dict[str, Callable[[App, Call, Iterator[bytes]], _Upload]] = {
    "application/json": _json,
    NDJSON: _ndjson,
    "multipart/form-data": _multipart,
}


def _head(raw: bytes, *, also: list[Fault] | None = None) -> BatchHead:
    """Read the shared fields; faults found elsewhere are told together with theirs."""
    faults = also or []
    try:
        head = read(BatchHead, raw)
    except Invalid as exc:
        raise Invalid([*exc.faults, *faults]) from exc
    except BadRequest as exc:
        raise BadRequest(f"The shared fields: {exc.description}") from exc
    if faults:
        raise Invalid(faults)
    return head


def _recipients_faults(recipients: Any) -> list[Fault]:
    if not isinstance(recipients, list) or not recipients:
        return [Fault("recipients", "must be a list of at least one recipient")]
    return []
