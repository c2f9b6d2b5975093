"""A message's trace, from the call to the webhook, put together by processes that tell each other nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, Priority
from app.services.open_telemetry import OpenTelemetry
from app.services.recording.heard import Heard
from app.services.recording.observing import worked_off
from app.services.sending.lane import work

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


def process(spans, *, bulk_share=1.0):
    return OpenTelemetry(SimpleSpanProcessor(spans), process="test", bulk_share=bulk_share)


def begin(traces, uuid, caller=None):
    traces.accepted(uuid, {"tocsin.priority": "P4"}, took=timedelta(milliseconds=20), caller=caller)


def test_what_three_processes_add_hangs_together_by_the_messages_uuid(world, spans):
    row = world.one("P4")
    begin(process(spans), row.uuid)
    work(world.with_tools(traces=process(spans)).tools, Priority.P4, sweep=True)
    tag = Tag(uuid=row.uuid, priority=Priority.P4, attempt=1)
    fact = Fact(key="k", event_type=EventType.DELIVERED, occurred_at=datetime.now(UTC), tag=tag)
    heard = [Heard(gateway="postal", fact=fact, inbox=None)]
    worked_off(world.with_tools(traces=process(spans)).tools, [], heard)
    accept, send, webhook = spans.get_finished_spans()
    assert [accept.name, send.name, webhook.name] == ["accept", "send postal", "webhook postal"]
    assert {span.context.trace_id for span in (accept, send, webhook)} == {row.uuid.int}
    assert send.parent.span_id == webhook.parent.span_id == accept.context.span_id
    assert len({span.context.span_id for span in (accept, send, webhook)}) == 3
    assert send.attributes["tocsin.outcome"] == "accepted"
    assert send.attributes["tocsin.attempt"] == 1
    assert send.end_time > send.start_time


def test_no_address_and_no_word_of_a_message_is_in_its_trace(world, spans):
    row = world.one("P4", recipient_address="ada@example.com", subject="Hush", body_text="Not for you")
    work(world.with_tools(traces=process(spans)).tools, Priority.P4, sweep=True)
    (span,) = spans.get_finished_spans()
    assert span.attributes["tocsin.message"] == str(row.uuid)
    for word in ("ada@", "Hush", "Not for you"):
        assert word not in span.to_json()


def test_a_try_that_failed_shows_as_an_error(world, spans):
    world.gateways.break_("postal")
    world.one("P3")
    work(world.with_tools(traces=process(spans)).tools, Priority.P3, sweep=True)
    first = spans.get_finished_spans()[0]
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["tocsin.outcome"] == "transient"


def test_the_callers_own_trace_is_linked_and_nonsense_is_not(spans):
    traces = process(spans)
    begin(traces, uuid4(), CALLER)
    begin(traces, uuid4(), "00-nonsense")
    begin(traces, uuid4(), "00-" + "0" * 32 + "-" + "0" * 16 + "-01")
    linked, *others = spans.get_finished_spans()
    assert linked.links[0].context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert [span.links for span in others] == [(), ()]


def test_of_bulk_a_share_is_taken_the_same_by_every_process(spans):
    one, other = process(spans, bulk_share=0.25), process(InMemorySpanExporter(), bulk_share=0.25)
    uuids = [UUID(int=uuid4().int) for _ in range(2000)]
    taken = [uuid for uuid in uuids if one._takes(uuid, Priority.P3)]
    assert 400 < len(taken) < 600
    assert taken == [uuid for uuid in uuids if other._takes(uuid, Priority.P3)]
    assert all(one._takes(uuid, Priority.P0) for uuid in uuids)


def test_where_nobody_wants_traces_opentelemetry_is_not_even_imported(settings):
    code = (
        "import sys; from app.bootstrap import build; from app import settings;"
        "print(build(settings.load(), 'test').traces, 'opentelemetry.sdk.trace' in sys.modules)"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["None", "False"]


def test_with_an_endpoint_there_are_traces(world):
    configured = world.app.settings.model_copy(update={"otel_exporter_otlp_endpoint": "http://127.0.0.1:9"})
    traces = replace(world.app, settings=configured).traces
    assert isinstance(traces, OpenTelemetry)
    traces.close()
