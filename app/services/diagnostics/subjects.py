"""Every subject and its checks, in the order in which people would look at them."""

from app.errors import Invalid
from app.services.diagnostics import (
    contents,
    database,
    delivery,
    domains,
    gateways,
    limits,
    memory_store,
    network,
    numbers,
    queues,
    resources,
    scheduling,
    security,
    webhooks,
    workers,
)
from app.services.diagnostics.checking import Check

_MODULES = (
    database,
    memory_store,
    workers,
    scheduling,
    queues,
    gateways,
    webhooks,
    delivery,
    contents,
    limits,
    resources,
    network,
    domains,
    numbers,
    security,
)

CHECKS: tuple[Check, ...] = tuple(check for module in _MODULES for check in module.CHECKS)
SUBJECTS: tuple[str, ...] = tuple(module.SUBJECT for module in _MODULES)
# What may turn from well to ill within a minute, and costs little to look at.
PROMPT: tuple[str, ...] = tuple(module.SUBJECT for module in (workers, scheduling, queues, gateways))


def chosen(subjects: tuple[str, ...], *, deep: bool) -> tuple[Check, ...]:
    """Give the checks of these subjects, of all where none is named; without `deep` the quick ones only.

    Who names subjects gets their deep checks, too. Raises Invalid for one that there is not.
    """
    unknown = sorted(set(subjects) - set(SUBJECTS))
    if unknown:
        raise Invalid.of("subject", f"there is no {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    if subjects:
        return tuple(check for check in CHECKS if check.subject in subjects)
    return tuple(check for check in CHECKS if deep or not check.deep)
