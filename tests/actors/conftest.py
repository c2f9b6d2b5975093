"""A sending process over real servers."""

from tests.world import gateways, outages, settings, world

__all__ = ["gateways", "outages", "settings", "world"]
