"""Counting at the gateways, which alone know what left."""

from collections import Counter


def agree(world, messages):
    """Each message left, and none twice without a mark; gives how often each did."""
    tags = Counter(entry["uuid"] for entry in world.gateways.entries())
    times = {message.id: tags[str(message.uuid)] for message in messages}
    assert min(times.values()) >= 1, "lost"
    marked = {message.id for message in messages if world.row(message).possible_duplicate}
    assert {number for number, often in times.items() if often > 1} <= marked
    return times
