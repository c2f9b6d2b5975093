"""A sending process over real servers, and what the tests of faults share."""

from tests.world import gateways, outages, settings, world

__all__ = ["gateways", "outages", "settings", "world"]
