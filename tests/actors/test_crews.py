"""How many workers there are, and what each may have on the wire."""

import pytest

from actors.crews import crews
from app.settings import Settings

SETTINGS = Settings(_env_file=None, gateway_concurrency=64, gateway_connections=256)


def crew(name):
    return next(crew for crew in crews(SETTINGS) if crew.name == name)


@pytest.mark.parametrize(("threads", "each"), [(0, 256), (1, 256), (4, 64), (5, 51), (25, 10), (300, 1)])
def test_a_lanes_threads_share_its_connections_and_none_goes_without(threads, each):
    assert crew("campaigns").share(threads) == each


def test_no_process_has_more_threads_than_select_can_see_requests_of():
    assert all(crew.most * 64 < 1024 for crew in crews(SETTINGS))
