"""Topics and conditions as addresses of push."""

import pytest

from app.domain.device_tokens import canonical
from app.errors import Invalid

GOOD = [
    "topic:news",
    "topic:a.b_c~d%20-e",
    "condition:'a' in topics",
    "condition:!('a' in topics)",
    "condition:'a' in topics && ('b' in topics || 'c' in topics)",
    "condition:('a' in topics||'b' in topics)&&!'c' in topics",
]
BAD = [
    "topic:",
    "topic:a b",
    "topic:" + "a" * 901,
    "condition:",
    "condition:a in topics",
    "condition:'a' in topics &&",
    "condition:('a' in topics",
    "condition:'a' in topics 'b' in topics",
    "condition:" + " && ".join(f"'{letter}' in topics" for letter in "abcdef"),
    "condition:t && 'a' in topics",
    "condition:\0 && 'a' in topics",
    "condition:" + "(" * 5000,
]


@pytest.mark.parametrize("address", GOOD)
@pytest.mark.parametrize("platform", [None, "fcm"])
def test_topics_and_conditions_need_no_platform(address, platform):
    assert canonical(f" {address} ", platform) == address


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_topic_or_condition_is_refused(address):
    with pytest.raises(Invalid) as caught:
        canonical(address, None)
    assert [fault.field for fault in caught.value.faults] == ["recipient_address"]


def test_apple_has_no_topics():
    with pytest.raises(Invalid) as caught:
        canonical("topic:news", "apns")
    assert [fault.field for fault in caught.value.faults] == ["platform"]
