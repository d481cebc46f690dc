"""Plots as SVG, small enough to write by hand; they follow the reader's light or dark colours."""

from collections.abc import Sequence
from html import escape

WIDTH = 760
_STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #333 } .ours { fill: #2a7de1 } .other { fill: #9aa4b1 }
line { stroke: #9aa4b1; stroke-width: 1 } polyline { fill: none; stroke: #2a7de1; stroke-width: 2 }
.h { font-weight: 600 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .other { fill: #6b7683 } }
</style>"""


def bars(title: str, values: Sequence[tuple[str, float, bool]]) -> str:
    """A bar for each `(label, value, ours)`, on a scale from 0, the value beside it."""
    left, step = 330, 24
    scale = (WIDTH - left - 90) / max(value for _, value, _ in values)
    parts = [_text(0, 16, title, "h")]
    for number, (label, value, ours) in enumerate(values):
        top = 30 + number * step
        long = max(1.0, value * scale)
        parts.append(_text(left - 8, top + 14, label, "", "end"))
        parts.append(
            f'<rect x="{left}" y="{top}" width="{long:.1f}" height="{step - 6}" class="{"ours" if ours else "other"}"/>'
        )
        parts.append(_text(left + long + 6, top + 14, f"{value:.1f}"))
    return _svg(title, 40 + step * len(values), parts)


def lines(title: str, panels: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """A small panel for each `(label, points)`, each on its own scale from 0."""
    columns, wide, high = 2, WIDTH // 2 + 20, 160
    parts = [_text(0, 16, title, "h")]
    for number, (label, points) in enumerate(panels):
        x, y = number % columns * wide, 30 + number // columns * high
        parts += _panel(label, points, x, y, wide - 60, high - 60)
    return _svg(title, 30 + high * -(-len(panels) // columns), parts)


def _panel(label: str, points: Sequence[tuple[float, float]], x: int, y: int, wide: int, high: int) -> list[str]:
    most_x, most_y = (max(point[axis] for point in points) for axis in (0, 1))
    bottom = y + 20 + high
    drawn = [(x + wide * across / most_x, bottom - high * max(up, 0) / most_y) for across, up in points]
    return [
        _text(x, y + 12, label),
        f'<line x1="{x}" y1="{bottom}" x2="{x + wide}" y2="{bottom}"/>',
        f'<polyline points="{" ".join(f"{across:.1f},{up:.1f}" for across, up in drawn)}"/>',
        *(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" class="ours"/>' for across, up in drawn),
        _text(x, bottom + 15, f"{points[0][0]:g}: {points[0][1]:,.1f}"),
        _text(x + wide, bottom + 15, f"{points[-1][0]:g}: {points[-1][1]:,.1f}", "", "end"),
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: int, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", _STYLE, *parts, "</svg>"]) + "\n"
