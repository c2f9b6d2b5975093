"""How much is measured."""

from dataclasses import dataclass

QUICK_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Size:
    """The share of the usual amounts, and what else was asked for.

    `full` adds what takes long: ten million rows, leases that really lapse, a machine without caches.
    """

    share: float = 1.0
    full: bool = False
    kills: int = 50

    @property
    def rounds(self) -> int:
        """Say how often each way is measured, in turn with the others."""
        return 3 if self.share >= QUICK_SHARE else 1

    def of(self, usual: int, least: int = 1) -> int:
        """Give this share of the usual amount."""
        return max(round(usual * self.share), least)


QUICK = Size(share=QUICK_SHARE, kills=5)
