"""The status page: what this is, what may be asked of it, and what it has seen."""

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, select_autoescape

from app.simulator.environment import GATEWAYS
from app.simulator.faults import MEANING
from app.simulator.recipients import STORIES, Fate

_TEMPLATES = Environment(loader=PackageLoader("app.simulator"), autoescape=select_autoescape())


def page(
    *,
    host: str,
    counts: Mapping[str, object],
    faults: Mapping[str, object],
    tally: Mapping[str, object] | None,
    tellings: Mapping[Fate, Mapping[str, str]],
) -> bytes:
    """Draw the page; `host` is where it is asked for, as examples need it. `tellings`: see `exchange`."""
    template = _TEMPLATES.get_template("status.html")
    return template.render(
        host=host,
        counts=counts,
        faults=faults,
        tally=tally,
        tellings=tellings,
        stories=STORIES,
        modes=MEANING,
        gateways=GATEWAYS,
    ).encode()
