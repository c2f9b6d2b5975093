"""A sending process over real servers."""

from tests.world import gateways, settings, world

__all__ = ["gateways", "settings", "world"]
