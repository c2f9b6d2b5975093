"""How a simulated gateway is entered: its name, its double, and how Tocsin is pointed at it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A made-up account at one vendor; modules with one are imported early and import next to nothing.

    `name` is the double's name, in faults, counts and the register. `double` names its class as
    "module:Class", which is loaded where a simulator runs and nowhere else. `variables` gives Tocsin's
    settings for this account; it is told the origin of the double, and that of the control port.
    `gateways` are those that send through this double, where they are not one of the same name.
    """

    name: str
    double: str
    variables: Callable[[str, str], Mapping[str, str]]
    gateways: tuple[str, ...] = ()

    @property
    def senders(self) -> tuple[str, ...]:
        """The names of the gateways that send through this double."""
        return self.gateways or (self.name,)
