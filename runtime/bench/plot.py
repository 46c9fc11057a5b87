"""Draw latencies as SVG: their distribution, and their course over time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.bench.history import check_writable
from dmdd_edge.runtime.bench.timing import Series
from dmdd_edge.storage import write_atomically

#: Boundaries that are drawn, with their colors.
_DRAWN = {"call": "#1f6fb2", "from_frame": "#2a9d5b", "from_encoded": "#c47f17", "from_arrival": "#8b4fb0"}
_WIDTH, _PANEL, _HEIGHT, _TOP, _LEFT = 960, 400, 220, 46, 56
_GAP, _BOTTOM, _BINS, _DOTS = 64, 44, 60, 1500


def write_plot(path: Path, title: str, series: dict[str, Series]) -> None:
    """Write the plot: a row per scenario, the distribution on the left, the time line on the right.

    Args:
        path: file to write, ``.svg``.
        title: of the plot.
        series: by the scenario's name; each with at least one query.

    Raises:
        OptionError: another suffix, nothing to draw, or the file cannot be written.
    """
    drawn = {
        name: item
        for name, item in series.items()
        if any(item.of(boundary) is not None for boundary in _DRAWN)
    }
    check_plot(path, tuple(drawn))
    write_atomically(path, draw(title, drawn))


def check_plot(path: Path, scenarios: Sequence[str]) -> None:
    """Reject, before anything is measured, a plot that cannot be drawn or written; its folder is created.

    Raises:
        OptionError: another suffix, nothing to draw, or the file cannot be written.
    """
    if path.suffix.lower() != ".svg":
        raise OptionError(f"--plot {path}: only SVG is supported.", "Give a name that ends in .svg.")
    if not set(scenarios) - {"offline"}:
        raise OptionError("--plot needs latencies, but none are measured.", "Add --scenario single.")
    check_writable(path, "--plot")


def draw(title: str, series: dict[str, Series]) -> str:
    """The plot as SVG text; see ``write_plot``."""
    row = _TOP + _HEIGHT + _BOTTOM
    height = 30 + row * len(series)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(_LEFT, 20, title, size=14),
    ]
    for index, (name, item) in enumerate(series.items()):
        parts.append(f'<g transform="translate(0 {30 + index * row})">')
        parts.extend(_scenario(name, item))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _scenario(name: str, item: Series) -> list[str]:
    latencies = {boundary: values for boundary in _DRAWN if (values := item.of(boundary)) is not None}
    low = min(float(values.min()) for values in latencies.values())
    # The scale covers 99.5 % of the values; those beyond are drawn at its end.
    high = max(float(np.quantile(values, 0.995)) for values in latencies.values())
    high = high + 0.05 * (high - low) if high > low else low * 1.1 + 1e-6
    parts = [
        _text(_LEFT, 20, f"{name}: {item.count} queries of {item.batch} in {item.seconds:.1f} s", size=13)
    ]
    for index, (boundary, values) in enumerate(latencies.items()):
        label = f"{boundary}: median {np.median(values):.2f} ms"
        parts.append(_text(_LEFT + 220 * index, 38, label, color=_DRAWN[boundary]))
    right = _LEFT + _PANEL + _GAP
    parts += _axes(_LEFT, (low, high), "ms", (0.0, 100.0), "share of the peak, %")
    parts += _axes(right, (0.0, max(item.seconds, 1e-6)), "s", (low, high), "ms")
    for boundary, values in latencies.items():
        parts.append(_histogram(values, low, high, _DRAWN[boundary]))
        parts.append(_median_line(float(np.median(values)), low, high, _DRAWN[boundary]))
        parts.append(_time_line(np.asarray(item.started), values, item.seconds, low, high, _DRAWN[boundary]))
    return parts


def _histogram(values: NDArray[np.float64], low: float, high: float, color: str) -> str:
    counts, _ = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
    tops = _TOP + _HEIGHT * (1 - counts / counts.max())
    step = _PANEL / _BINS
    points = [
        f"{_LEFT + i * step:.1f},{y:.1f} {_LEFT + (i + 1) * step:.1f},{y:.1f}" for i, y in enumerate(tops)
    ]
    base = _TOP + _HEIGHT
    outline = f"{_LEFT},{base} {' '.join(points)} {_LEFT + _PANEL},{base}"
    return f'<polygon points="{outline}" fill="{color}" fill-opacity="0.25" stroke="{color}"/>'


def _median_line(value: float, low: float, high: float, color: str) -> str:
    x = _LEFT + _PANEL * (value - low) / (high - low)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _HEIGHT}" stroke="{color}" '
        'stroke-dasharray="4 3"/>'
    )


def _time_line(
    started: NDArray[np.float64],
    values: NDArray[np.float64],
    seconds: float,
    low: float,
    high: float,
    color: str,
) -> str:
    # Of many queries, the slowest of each group is drawn, so that no disturbance is lost.
    group = -(-len(values) // _DOTS)
    chosen = [first + int(np.argmax(values[first : first + group])) for first in range(0, len(values), group)]
    left = _LEFT + _PANEL + _GAP
    xs = left + _PANEL * started[chosen] / max(seconds, 1e-6)
    ys = _TOP + _HEIGHT * (1 - (np.clip(values[chosen], low, high) - low) / (high - low))
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(xs, ys, strict=True))
    return f'<path d="{dots}" stroke="{color}" stroke-width="2.4" stroke-linecap="round" fill="none"/>'


def _axes(
    left: float, across: tuple[float, float], unit: str, up: tuple[float, float], label: str, ticks: int = 5
) -> list[str]:
    base = _TOP + _HEIGHT
    parts = [f'<rect x="{left}" y="{_TOP}" width="{_PANEL}" height="{_HEIGHT}" fill="none" stroke="#999"/>']
    for share in np.linspace(0, 1, ticks):
        x, y = left + _PANEL * share, base - _HEIGHT * share
        parts.append(_text(x, base + 16, _short(across, float(share)), anchor="middle"))
        parts.append(_text(left - 6, y + 4, _short(up, float(share)), anchor="end"))
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" stroke="#999"/>')
    parts.append(_text(left + _PANEL / 2, base + 34, unit, anchor="middle"))
    return [*parts, _text(left + 4, _TOP + 14, label, color="#777")]


def _short(ends: Sequence[float], share: float) -> str:
    value, span = ends[0] + share * (ends[1] - ends[0]), ends[1] - ends[0]
    return f"{value:.{0 if span >= 20 else 1 if span >= 2 else 2 if span >= 0.2 else 3}f}"


def _text(x: float, y: float, text: str, color: str = "#222", anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
