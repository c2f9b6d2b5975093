"""Arrays as PostgreSQL spells them, for statements that take thousands of values.

The driver writes an array element by element in Python; joining strings costs a tenth of that. The
statement names the type: `%(ids)s::bigint[]`.
"""

from collections.abc import Iterable, Sequence
from typing import cast


def numbers(values: Iterable[float]) -> str:
    """Spell an array of numbers."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Spell an array of texts, or of what text stands for; None is NULL."""
    given = values if isinstance(values, list | tuple) else list(values)
    missing = given.count(None)
    if missing == len(given):
        return "{" + ",".join(["NULL"] * missing) + "}"
    if missing:
        spelt = "{" + ",".join(["NULL" if value is None else f'"{value}"' for value in given]) + "}"
    else:
        spelt = '{"' + '","'.join(cast("Sequence[str]", given)) + '"}'
    # Hardly any text has a mark that needs another before it, and looking for all at once costs least.
    if "\\" not in spelt and spelt.count('"') == 2 * (len(given) - missing):
        return spelt
    return "{" + ",".join(map(_text, given)) + "}"


def flags(values: Iterable[bool]) -> str:
    """Spell an array of booleans."""
    return "{" + ",".join("t" if value else "f" for value in values) + "}"


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
