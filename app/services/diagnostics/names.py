"""Asking the DNS what a domain says of itself."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import dns.exception
import dns.resolver

from app.errors import Unavailable

LONGEST = timedelta(seconds=4)


class Resolver(Protocol):
    """Whoever can be asked for records."""

    def records(self, name: str, kind: str) -> Sequence[str] | None:
        """Give the records of a kind as text; None where the name does not exist. Raises Unavailable."""


class Dns:
    """Asks the resolvers that this machine is set up with."""

    def records(self, name: str, kind: str) -> Sequence[str] | None:
        """Give the records of a kind as text; None where the name does not exist. Raises Unavailable."""
        try:
            answer = dns.resolver.resolve(name, kind, lifetime=LONGEST.total_seconds())
        except dns.resolver.NXDOMAIN:
            return None
        except dns.resolver.NoAnswer:
            return ()
        except (dns.exception.DNSException, OSError) as exc:
            raise Unavailable(f"DNS did not answer about {kind} of {name}: {type(exc).__name__}") from exc
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]
