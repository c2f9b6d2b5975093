"""Traces by OpenTelemetry, sent by OTLP over HTTP. Imported only where somebody wants them.

Spans are made when they are over, from what is known by then: nothing has to be kept while a request is
on the wire, and no context has to find its way through queues and webhooks.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from secrets import randbits
from uuid import UUID

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.domain.facts import Fact
from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass, Priority
from app.queue.rows import Claimed
from app.services.beats import this_version
from app.services.message_metrics import accepted_at
from app.settings import Settings

_BULK = frozenset({Priority.P2, Priority.P3})
_CALLER = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
# The random part at the end of a UUIDv7: the same message is taken or left by every process.
_RANDOM_BITS = 62
_SPAN_BITS = 64
_NANOSECONDS = 1_000


class OpenTelemetry:
    """Makes spans and hands them to a processor, which sends them in a thread of its own.

    Of bulk, only a share is taken, from 0 to 1.
    """

    def __init__(self, processor: SpanProcessor, *, process: str, bulk_share: float) -> None:
        self._processor = processor
        self._below = round(bulk_share * 2**_RANDOM_BITS)
        names = {"service.name": "tocsin", "service.version": this_version(), "process.role": process}
        self._resource = Resource.create(names)

    @classmethod
    def configured(cls, settings: Settings, process: str) -> "OpenTelemetry":
        """Make what the settings describe; OTEL_* variables say more, as OpenTelemetry names them."""
        base = (settings.otel_exporter_otlp_endpoint or "").rstrip("/")
        exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces")
        processor = BatchSpanProcessor(exporter)
        return cls(processor, process=process, bulk_share=settings.trace_bulk_share)

    def accepted(
        self, uuid: UUID, attributes: Mapping[str, str], *, took: timedelta, caller: str | None
    ) -> None:
        """Begin a message's trace with the call that sent it; `caller` is its traceparent header."""
        context = SpanContext(uuid.int, _root(uuid), is_remote=False, trace_flags=_SAMPLED)
        self._end(
            "accept",
            context,
            None,
            SpanKind.SERVER,
            ended_at=datetime.now(UTC),
            took=took,
            attributes={"tocsin.message": str(uuid), **attributes},
            links=_links(caller),
        )

    def tried(
        self, message: Claimed, gateway: str, outcome: Outcome, *, ended_at: datetime, took: timedelta
    ) -> None:
        """Add a try at a gateway; its messages waited in the queue from when they were accepted."""
        if not self._takes(message.uuid, Priority(message.priority)):
            return
        waited = ended_at - took - accepted_at(message)
        self._child(
            message.uuid,
            f"send {gateway}",
            SpanKind.CLIENT,
            ended_at=ended_at,
            took=took,
            attributes={
                "tocsin.gateway": gateway,
                "tocsin.priority": message.priority,
                "tocsin.channel": message.channel,
                "tocsin.attempt": message.tries,
                "tocsin.outcome": outcome.kind.value,
                "tocsin.code": outcome.code,
                "tocsin.waited_ms": round(waited / timedelta(milliseconds=1)),
            },
            failed=outcome.kind is not OutcomeClass.ACCEPTED,
        )

    def told(
        self, uuid: UUID, gateway: str, fact: Fact, *, received_at: datetime, ended_at: datetime
    ) -> None:
        """Add what a gateway told, from when its webhook came until it had its effect."""
        if fact.tag is not None and not self._takes(uuid, fact.tag.priority):
            return
        self._child(
            uuid,
            f"webhook {gateway}",
            SpanKind.CONSUMER,
            ended_at=ended_at,
            took=ended_at - received_at,
            attributes={
                "tocsin.gateway": gateway,
                "tocsin.event": fact.event_type.value,
                "tocsin.outcome": fact.outcome.value if fact.outcome else "",
                "tocsin.code": fact.code,
            },
        )

    def close(self) -> None:
        """Hand over what is not handed over yet."""
        self._processor.shutdown()

    def _takes(self, uuid: UUID, priority: Priority) -> bool:
        return priority not in _BULK or uuid.int % 2**_RANDOM_BITS < self._below

    def _child(
        self,
        uuid: UUID,
        name: str,
        kind: SpanKind,
        *,
        ended_at: datetime,
        took: timedelta,
        attributes: Mapping[str, str | int],
        failed: bool = False,
    ) -> None:
        parent = SpanContext(uuid.int, _root(uuid), is_remote=True, trace_flags=_SAMPLED)
        own = SpanContext(uuid.int, randbits(_SPAN_BITS) or 1, is_remote=False, trace_flags=_SAMPLED)
        told = {"tocsin.message": str(uuid), **attributes}
        self._end(name, own, parent, kind, ended_at=ended_at, took=took, attributes=told, failed=failed)

    def _end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        *,
        ended_at: datetime,
        took: timedelta,
        attributes: Mapping[str, str | int],
        links: tuple[Link, ...] = (),
        failed: bool = False,
    ) -> None:
        end = _nanoseconds(ended_at)
        span = ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            links=links,
            kind=kind,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=end - round(took / timedelta(microseconds=1)) * _NANOSECONDS,
            end_time=end,
        )
        self._processor.on_end(span)


def _root(uuid: UUID) -> int:
    """Give the id of a message's first span: every process finds it out of the message's UUID."""
    return int.from_bytes(blake2b(uuid.bytes, digest_size=8).digest()) or 1


def _links(caller: str | None) -> tuple[Link, ...]:
    """Link to the caller's own trace, as the header traceparent of W3C names it."""
    found = _CALLER.fullmatch(caller or "")
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return ()
    flags = TraceFlags(int(found[3], 16))
    context = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
    return (Link(context),)


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * _NANOSECONDS
