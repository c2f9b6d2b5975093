"""What a gateway's answer, or its lack, means while the whole gateway is ill."""

import contextlib
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest

from app.gateways.base import outcome_of_failure

WAIT = timedelta(seconds=7)


@pytest.fixture
def black_hole():
    """A port whose queue is full: connecting to it neither succeeds nor fails."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("mode", ["refuse", "error", "timeout", "lost", "garbage", "slow"])
def test_a_fault_of_the_gateway_is_no_fault_of_the_message(stage, gateway, mode, expected, write):
    stage.break_down(gateway, mode)
    (outcome,) = stage.send(gateway, write(), impatient=mode == "timeout")
    assert outcome.kind == expected.answer_in(mode), outcome


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_page_of_a_proxy_is_no_answer_of_the_gateway(stage, gateway, status, expected, write):
    stage.break_down(gateway, "proxy", status=status)
    (outcome,) = stage.send(gateway, write())
    assert outcome.kind == expected.answer_in(f"proxy {status}"), outcome
    assert "<" not in outcome.detail


def test_a_connection_cut_after_the_message_was_taken_leaves_it_unknown(stage, gateway, write):
    message = write()
    stage.break_down(gateway, "lost")
    (outcome,) = stage.send(gateway, message)
    assert (outcome.kind, len(stage.entries(message))) == ("unknown", 1)


def test_too_fast_without_a_wait_names_none(stage, gateway, expected, write):
    stage.break_down(gateway, "throttle")
    (outcome,) = stage.send(gateway, write())
    assert outcome.kind == expected.answer_to("throttled"), outcome


def test_too_fast_with_a_wait_keeps_it(stage, gateway, expected, write):
    stage.break_down(gateway, "throttle", retry_after=7)
    (outcome,) = stage.send(gateway, write())
    assert outcome.kind == expected.answer_to("throttled"), outcome
    if outcome.kind == "throttle" and expected.waits:
        assert outcome.retry_after == WAIT


def test_a_wait_that_a_proxy_asks_for_is_kept(stage, gateway, expected, write):
    if expected.answer_in("proxy 429") != "throttle":
        return  # Only in front of HTTP there is something that could ask.
    stage.break_down(gateway, "proxy", status=429, retry_after=7)
    (outcome,) = stage.send(gateway, write())
    assert (outcome.kind, outcome.retry_after) == ("throttle", WAIT)


def test_a_port_where_nobody_answers_has_taken_nothing(stage, gateway, write, black_hole):
    request = stage.gateways[gateway].build([write()], datetime.now(UTC))
    parts = urlsplit(request.url)
    elsewhere = urlunsplit(parts._replace(netloc=f"127.0.0.1:{black_hole}"))
    quick = timedelta(milliseconds=300)
    failure = stage.transport.fetch(replace(request, url=elsewhere, connect_timeout=quick))
    assert outcome_of_failure(failure).kind == "transient"


def test_after_a_fault_all_is_well_again(stage, gateway, write):
    stage.break_down(gateway, "refuse")
    stage.send(gateway, write())
    stage.control("DELETE", "faults")
    (outcome,) = stage.send(gateway, write())
    assert outcome.kind == "accepted", outcome


@pytest.mark.parametrize("mode", ["error", "lost", "garbage", "throttle"])
def test_the_words_kept_of_a_fault_hold_no_address(stage, gateway, mode, write):
    message = write()
    stage.break_down(gateway, mode)
    (outcome,) = stage.send(gateway, message)
    assert message.address not in f"{outcome.code} {outcome.detail}"
