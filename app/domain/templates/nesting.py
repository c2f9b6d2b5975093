"""How deep elements are nested: tools that walk down by recursion end the process where that is too deep."""

import re

from app.errors import Invalid

DEEPEST = 300

_MARK = re.compile(r"<!--|<(/?)([a-zA-Z][\w:-]*)([^<>]*)")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


def require_shallow(text: str, field: str) -> None:
    """Raise Invalid with the line where elements are nested too deeply, or left open too often."""
    depth = position = 0
    while found := _MARK.search(text, position):
        position = found.end()
        if found.group() == "<!--":
            position = text.find("-->", found.end())
            if position < 0:
                return
        elif found[1]:
            depth = max(0, depth - 1)
        elif found[2].lower() not in _VOID and not found[3].endswith("/"):
            depth += 1
        if depth > DEEPEST:
            line = text.count("\n", 0, found.start()) + 1
            raise Invalid.of(field, f"line {line}: more than {DEEPEST} elements are open; close each")
