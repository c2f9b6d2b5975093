"""Workers who want the same row."""

import threading

from app.domain.vocabulary import Priority
from app.services.sending import lane


def test_of_four_workers_racing_for_one_row_one_sends_it(world):
    for _ in range(10):
        message = world.one("P4")
        start = threading.Barrier(4)

        def race():
            start.wait()  # noqa: B023 - The threads end before the next round.
            lane.work(world.tools, Priority.P4, sweep=True)

        racers = [threading.Thread(target=race) for _ in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(world.gateways.taken(message.uuid)) == 1
        assert world.history(message) == ["queued", "sent"]
        assert world.row(message).tries == 1
