"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """The share of the usual amounts, and what else was asked for.

    `full` adds what takes long: ten million rows, leases that really lapse, a machine without caches.
    """

    share: float = 1.0
    full: bool = False
    kills: int = 50

    def of(self, usual: int, least: int = 1) -> int:
        """Give this share of the usual amount."""
        return max(round(usual * self.share), least)


QUICK = Size(share=0.1, kills=5)
