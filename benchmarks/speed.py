"""Writes the saved results to `docs/speed.md`, a summary and tables, each between markers, and draws the plots."""

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from benchmarks import goals
from benchmarks.drivers import IN_LOOP, INTERFACES, WSGI
from benchmarks.goals import RATIO, Results
from benchmarks.growth import FIELDS, HEADERS, KEYS, KILOBYTES
from benchmarks.harness import FLOOR
from benchmarks.report import RESULTS, kept, shown
from benchmarks.samples import SHAPES

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- measured: `make bench` writes what follows -->", "<!-- end of what was measured -->"


class Run(NamedTuple):
    """The saved results of all suites for one minor version of Python."""

    version: str
    about: dict[str, str]
    results: Results


def write() -> None:
    runs = [_run(folder) for folder in sorted(RESULTS.iterdir(), key=lambda folder: int(folder.name.split(".")[1]))]
    page = DOCS / "speed.md"
    written = iter((_summary(runs[0]), _measured(runs)))
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    page.write_text(marked.sub(lambda _: f"{BEGIN}\n\n{next(written)}\n\n{END}", page.read_text()))
    (DOCS / "speed-middleware.svg").write_text(_bars(runs[0]))
    (DOCS / "speed-growth.svg").write_text(_lines(runs[0]))


def _run(folder: Path) -> Run:
    suites = {path.stem: kept(folder.name, path.stem) for path in folder.glob("*.json")}
    return Run(folder.name, next(iter(suites.values()))["about"], {name: it["rows"] for name, it in suites.items()})


def _summary(run: Run) -> str:
    whole, middleware = run.results["interfaces"], run.results["middleware"]
    accepted = {row: cells for row, cells in whole.items() if _accepted(row)}
    pairs = [cells for row, cells in accepted.items() if row.endswith((": pair by query", ": pair by header"))]
    others = [cells for cells in accepted.values() if cells not in pairs]
    guard, by_hand = (middleware[f"{IN_LOOP.name}: {row}"][RATIO] for row in (_QUERY, _BY_HAND))
    sentences = (
        f"If the ids are in the query or in headers, a guard adds {_span(pairs, 'median µs')} µs to a request.",
        f"This is {_span(pairs, RATIO)} times the necessary work,",
        "which is one HMAC of the standard library and a comparison.",
        "The presets, percent-encoded queries and bodies of 200 bytes of JSON",
        f"take {_span(others, RATIO)} times this work.",
        "The same check written by hand in a `BaseHTTPMiddleware` of Starlette takes",
        f"{by_hand / guard:.0f} times as long as the guard.",
        f"Measured on {run.about['machine']}, CPython {run.about['python']}.",
    )
    return fill(" ".join(sentences), 125, break_long_words=False, break_on_hyphens=False)


_QUERY, _BY_HAND = "guard, pair by query", "by hand: BaseHTTPMiddleware"


def _span(rows: list[dict[str, float]], column: str) -> str:
    values = [cells[column] for cells in rows]
    return f"{min(values):.1f} to {max(values):.1f}"


def _measured(runs: list[Run]) -> str:
    versions = ", ".join(run.about["python"] for run in runs)
    sections = [f"Measured on {runs[0].about['machine']}, CPython {versions}."]
    for title, note, table in (
        ("At a glance", "The best and the worst row of each kind.", _glance(runs)),
        (
            "Whole requests",
            "The additional cost of a guard compared with the bare application.",
            _rows(runs, "interfaces", _accepted),
        ),
        (
            "Refused requests",
            "The cost of the whole request. The application is not called.",
            _rows(runs, "interfaces", _refused),
        ),
        (
            "The check alone, compared with other packages",
            "Each row verifies the same 22 bytes.",
            _rows(runs, "function", _every),
        ),
        (
            "Middleware around a bare application",
            "The additional cost compared with the bare application.",
            _rows(runs, "middleware", _not_bare),
        ),
        (
            "In frameworks",
            "The rows with `bare` have the whole cost. The other rows have the additional cost.",
            _rows(runs, "frameworks", _every),
        ),
        ("Growth", "", _rows(runs, "growth", _not_bare)),
        (
            "Deliberately expensive requests",
            "The cost of the whole request, which is refused, without the log line.",
            _rows(runs, "hostile", _every, ("median µs",)),
        ),
        (
            "The guard's share of a served request",
            "The instructions of the server for one whole request, with a pair by query.",
            _rows(runs, "served", _every, ("bare", "guarded", "the guard", "share")),
        ),
        (
            "Webhooks, compared with the vendors' libraries",
            "The additional instructions of the middleware, and the instructions of the library's check alone.",
            _rows(runs, "webhooks", _every, ("the guard", "the library", "guard / library")),
        ),
        ("Memory", "", _rows(runs, "memory", _every, ("peak KiB", "left bytes"))),
        (
            "Import",
            "The additional time compared with the first row.",
            _rows(runs, "imports", _every, ("median ms", "/ base", "modules")),
        ),
    ):
        sections.append("\n\n".join(part for part in (f"### {title}", note, table) if part))
    return "\n\n".join(sections)


def _glance(runs: list[Run]) -> str:
    head = ["measure", *(f"{run.version}: {what}" for run in runs for what in ("best", "worst"))]
    lines = [head, ["---", *("--:" for _ in head[1:])]]
    for goal in goals.GOALS:
        seen = [goals.reached(goal, run.results) for run in runs]
        cells = [cell for it in seen for cell in ((shown(it.best), shown(it.worst)) if it else ("", ""))]
        lines.append([goal.measure, *cells])
    return _table(lines)


def _rows(
    runs: list[Run],
    suite: str,
    chosen: Callable[[str], bool],
    columns: tuple[str, ...] = ("median µs", RATIO),
) -> str:
    having = [run for run in runs if suite in run.results]
    if not having:
        return "Not run."
    head = ["", *(f"{run.version}: {column}" for run in having for column in columns)]
    lines = [head, ["---", *("--:" for _ in head[1:])]]
    for row in filter(chosen, having[0].results[suite]):
        cells = [run.results[suite].get(row, {}) for run in having]
        lines.append([row, *(shown(cell.get(column)) for cell in cells for column in columns)])
    return _table(lines)


def _table(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _every(row: str) -> bool:
    return True


def _not_bare(row: str) -> bool:
    return not row.endswith(", bare")


def _accepted(row: str) -> bool:
    return any(row == f"{interface.name}: {shape.name}" for interface in INTERFACES for shape in SHAPES)


def _refused(row: str) -> bool:
    return ", refused, " in row


def _bars(run: Run) -> str:
    """Draw what a check adds, in HMACs of the standard library. Rows that are mostly noise are left out."""
    rows = {row: run.results["middleware"][row] for row in _MIDDLEWARE} | run.results["frameworks"]
    values = [
        (row, cells[RATIO], "guard" in row)
        for row, cells in rows.items()
        if _not_bare(row) and row != FLOOR and cells[RATIO] > 3 * cells["±"]
    ]
    return bars(f"What a check adds to a request, in HMACs of the standard library, CPython {run.version}", values)


_MIDDLEWARE = (
    f"{IN_LOOP.name}: {_QUERY}",
    f"{IN_LOOP.name}: guard, pair by header",
    f"{IN_LOOP.name}: asgi-csrf",
    f"{IN_LOOP.name}: {_BY_HAND}",
    f"{WSGI.name}: guard, pair by query",
    f"{WSGI.name}: guard, pair by header",
    f"{WSGI.name}: by hand: closure",
    f"{WSGI.name}: 18F hmac_authentication",
)


def _lines(run: Run) -> str:
    rows = run.results["growth"]
    panels = [
        (label, [(float(count), rows[f"{IN_LOOP.name}: {name.format(count)}"][RATIO]) for count in counts])
        for label, name, counts in (
            ("keys in the ring", "{} keys", KEYS),
            ("query parameters, a pair by query", "{} query parameters, pair by query", FIELDS),
            ("headers, a pair by header", "{} headers, pair by header", HEADERS),
            ("KB of JSON", "{} KB of JSON", KILOBYTES),
        )
    ]
    return lines(f"How it grows, in HMACs of the standard library, ASGI, CPython {run.version}", panels)


#: The width of a plot, in pixels.
WIDTH = 760
#: Plots follow the light or dark colours of the reader's browser.
_STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #333 } .ours { fill: #2a7de1 } .other { fill: #9aa4b1 }
line { stroke: #9aa4b1; stroke-width: 1 } polyline { fill: none; stroke: #2a7de1; stroke-width: 2 }
.h { font-weight: 600 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .other { fill: #6b7683 } }
</style>"""


def bars(title: str, values: Sequence[tuple[str, float, bool]]) -> str:
    """Return an SVG with a bar for each `(label, value, is_ours)`, on a scale from 0, and the value next to it."""
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
    """Return an SVG with a panel for each `(label, points)`, each on its own scale from 0."""
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
