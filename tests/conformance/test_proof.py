"""Webhooks prove themselves, and what is told cannot be changed on its way."""

from dataclasses import replace
from uuid import uuid4

import orjson
import pytest

from app.errors import Forged

JUNK = (None, 7, "x", [], {}, True, [[]])


@pytest.fixture
def told(stage, gateway, expected, write):
    """The requests that told of one message; empty for a gateway that tells nothing."""
    message = write(expected.teller)
    (outcome,) = stage.send(gateway, message)
    requests = [request for request, _ in stage.about(message, outcome)]
    assert bool(requests) == expected.told
    return message, requests


def refuses(stage, request):
    try:
        stage.prove(request)
    except Forged:
        return True
    return False


def test_what_comes_from_the_gateway_is_proven(stage, told):
    _, requests = told
    for request in requests:
        stage.prove(request)


def test_without_a_header_of_its_proof_it_is_forged(stage, expected, told):
    _, requests = told
    for name in expected.proof:
        for request in requests:
            lesser = {each: value for each, value in request.headers.items() if each != name}
            assert refuses(stage, replace(request, headers=lesser)), name


def test_with_a_header_of_its_proof_changed_it_is_forged(stage, expected, told):
    _, requests = told
    for name in expected.proof:
        for request in requests:
            value = request.headers[name]
            changed = value[:-6] + ("AAAAAA" if value[-6:] != "AAAAAA" else "BBBBBB")
            assert refuses(stage, replace(request, headers={**request.headers, name: changed})), name


def test_told_of_another_message_it_is_forged(stage, expected, told):
    """With our tag, or the gateway's id where the tag is not told, replaced by one as long."""
    message, requests = told
    for request in requests if expected.whole else ():
        found = str(message.tag.uuid)
        changed = replace(
            request,
            url=request.url.replace(found, str(uuid4())),
            body=request.body.replace(found.encode(), str(uuid4()).encode()),
        )
        assert changed != request, "the tag is nowhere in the webhook"
        assert refuses(stage, changed)


def test_every_change_of_a_telling_byte_is_seen(stage, expected, told):
    """No body that still says something about our message passes when one of its bytes is another."""
    _, requests = told
    for request in requests[:1] if expected.whole else ():
        for place in range(0, len(request.body), max(1, len(request.body) // 40)):
            body = bytearray(request.body)
            body[place] ^= 1
            changed = replace(request, body=bytes(body))
            if not refuses(stage, changed):
                assert facts(stage, changed) == facts(stage, request)


def test_without_a_part_of_its_body_it_is_forged_or_says_the_same(stage, expected, told):
    _, requests = told
    for request in requests[:1] if expected.whole else ():
        for lesser in without_each_part(request.body):
            changed = replace(request, body=lesser)
            if not refuses(stage, changed):
                assert facts(stage, changed) == facts(stage, request)


def test_asked_for_at_another_address_by_get_it_is_forged(stage, told):
    _, requests = told
    for request in requests:
        if request.method == "GET":
            assert refuses(stage, replace(request, url=f"{request.url}&a=b"))


def facts(stage, request):
    return stage.webhook(request).events(request)


def test_a_bad_element_beside_good_ones_is_left_out(stage, told):
    _, requests = told
    for request in requests:
        try:
            said = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            continue
        if isinstance(said, list):
            mixed = [*JUNK, *said, {"event": 5, "type": [], "message": 7}]
            assert facts(stage, replace(request, body=orjson.dumps(mixed))) == facts(stage, request)


def test_a_part_of_another_shape_is_no_crash(stage, told):
    """Wherever a value is not what the papers say, there may be nothing to tell, but no error either."""
    _, requests = told
    for request in requests[:2]:
        for body in misshapen(request.body):
            changed = replace(request, body=body)
            assert isinstance(facts(stage, changed), list)
            assert isinstance(stage.webhook(request).inbound(changed), list)


def without_each_part(body):
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    for name in said if isinstance(said, dict) else ():
        yield orjson.dumps({each: value for each, value in said.items() if each != name})


def misshapen(body):
    yield from (b"", b"\xff\xfe", b"null", b"[]", b"{}", b"7", b"[null]", b"{" * 100, body[: len(body) // 2])
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        yield from (body.replace(b"=", b"%"), body.replace(b"&", b"="), body + b"&" + body)
        return
    for path in paths(said):
        for junk in JUNK:
            yield orjson.dumps(put(said, path, junk))


def paths(value, before=()):
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield (*before, name)
        yield from paths(part, (*before, name))


def put(value, path, junk):
    if not path:
        return junk
    name, *rest = path
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[name] = put(copied[name], rest, junk)
    return copied
