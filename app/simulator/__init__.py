"""A double of the gateways: their wire protocols on loopback, and nothing leaves the machine."""

from app.simulator.environment import environment

__all__ = ["environment"]
