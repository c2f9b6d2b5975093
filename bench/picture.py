"""Drawing a file of results: how far each figure is above or below its bar."""

from html import escape
from math import log10
from pathlib import Path
from typing import Any

import orjson

from bench.results import short

_ROW, _LEFT, _WIDTH, _RIGHT = 22, 500, 420, 260
_TOP, _BOTTOM = 64, 34
_FROM, _TO = 0.1, 100.0
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 }
.faint { fill: #777; font-size: 12px }
.met { fill: #2a8a57 }
.missed { fill: #c2402f }
.bar { stroke: #222; stroke-width: 1.5 }
.line { stroke: #ddd }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .faint { fill: #999 } .bar { stroke: #ddd }
.line { stroke: #444 } }
"""


def draw(results: Path) -> Path:
    """Draw the results beside their file: one row a figure that has a bar, on a logarithmic scale."""
    kept = orjson.loads(results.read_bytes())
    rows = [
        (f"{bench}: {name}", figure)
        for bench, facts in kept["benches"].items()
        for name, figure in facts["figures"].items()
        if figure["bar"]
    ]
    picture = results.with_suffix(".svg")
    picture.write_text(_svg(rows, results.stem, kept["machine"]))
    return picture


def _svg(rows: list[tuple[str, dict[str, Any]]], day: str, machine: dict[str, Any]) -> str:
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _ROW * len(rows) + _BOTTOM
    about = f"{machine['cores']} x {machine['cpu']}, {machine['memory_mib']} MiB, Python {machine['python']}"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<style>{_STYLE}</style>",
        f'<text x="16" y="24">Figures against their bars, {day}</text>',
        f'<text x="16" y="44" class="faint">{escape(about)}; to the right of the line is better</text>',
    ]
    body = [line for place, row in enumerate(rows) for line in _row(_TOP + place * _ROW, *row)]
    return "\n".join([*head, *_scale(height), *body, "</svg>"]) + "\n"


def _scale(height: int) -> list[str]:
    bottom = height - _BOTTOM
    lines = []
    for times in (0.1, 1, 10, 100):
        x = _x(times)
        kind = "bar" if times == 1 else "line"
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{bottom + 4}" class="{kind}"/>')
        lines.append(
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle" class="faint">{times}x</text>'
        )
    return lines


def _row(y: int, name: str, figure: dict[str, Any]) -> list[str]:
    start, end = sorted((_x(1), _x(figure["score"])))
    kind = "met" if figure["passed"] else "missed"
    value = f"{short(figure['median'])} {figure['unit']} ({figure['bar']})"
    return [
        f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{start - 2:.1f}" y="{y + 3}" width="{end - start + 4:.1f}" height="14" class="{kind}"/>',
        f'<text x="{_LEFT + _WIDTH + 10}" y="{y + 14}" class="faint">{escape(value)}</text>',
    ]


def _x(times: float) -> float:
    times = min(max(times, _FROM), _TO)
    return _LEFT + _WIDTH * log10(times / _FROM) / log10(_TO / _FROM)
