"""Draws a chart as inline SVG: axes, lines, bars, labels. Colors are classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from dmdd_edge.train.report.curves import Curve


def number(value: float) -> str:
    """A coordinate or a tick in its shortest form."""
    return f"{value:.4g}"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between two bounds, about ``about`` of them."""
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


class Chart:
    """A chart that is drawn piece by piece; y grows upwards.

    Args:
        title: what it shows, for screen readers.
        x: range of the x axis.
        y: range of the y axis.
        size: width and height in units of the drawing; it is scaled to the page.
        margins: left, top, right, bottom.
    """

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float] = (0.0, 1.0),
        size: tuple[int, int] = (420, 300),
        margins: tuple[int, int, int, int] = (48, 12, 14, 42),
    ) -> None:
        self.title, self.x, self.y, self.size, self.margins = title, x, y, size, margins
        self.parts: list[str] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Position of a value in the drawing."""
        left, top, right, bottom = self.margins
        across, up = self.size[0] - left - right, self.size[1] - top - bottom
        share_x = (x - self.x[0]) / (self.x[1] - self.x[0])
        share_y = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + share_x * across, self.size[1] - bottom - share_y * up

    def text(self, x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> None:
        """Text at a place of the drawing."""
        cls = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{cls}>{escape(words)}</text>'
        )

    def segment(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line between two places of the drawing."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" class="{kind}"/>'
        )

    def axes(self, x_label: str, y_label: str = "") -> None:
        """Grid, ticks and names of the axes; the y axis only when it has a name."""
        height = self.size[1]
        for value in ticks(*self.x):
            low = self.at(value, self.y[0])
            self.segment(low, self.at(value, self.y[1]), "grid")
            self.text(low[0], low[1] + 16, number(value), "middle", "tick")
        middle = (self.at(self.x[0], 0)[0] + self.at(self.x[1], 0)[0]) / 2
        self.text(middle, height - 6, x_label, "middle", "axis")
        if not y_label:
            return
        for value in ticks(*self.y):
            left = self.at(self.x[0], value)
            self.segment(left, self.at(self.x[1], value), "grid")
            self.text(left[0] - 6, left[1] + 4, number(value), "end", "tick")
        place = f'transform="translate(12 {number(height / 2)}) rotate(-90)"'
        self.parts.append(f'<text {place} text-anchor="middle" class="axis">{escape(y_label)}</text>')

    def line(self, points: Curve, kind: str) -> None:
        """A curve through points."""
        places = (self.at(x, y) for x, y in zip(*points, strict=True))
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.parts.append(f'<polyline points="{drawn}" class="line {kind}"/>')

    def dot(self, x: float, y: float, kind: str, words: str) -> None:
        """A marked point with a tooltip."""
        cx, cy = self.at(x, y)
        self.parts.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="4.5" class="{kind}">'
            f"<title>{escape(words)}</title></circle>"
        )

    def bars(self, edges: Sequence[float], heights: Sequence[float], base: float, kind: str) -> None:
        """Bars on a baseline, a value of y; a height of zero draws no bar."""
        for low, high, tall in zip(edges[:-1], edges[1:], heights, strict=True):
            if tall > 0:
                (x0, y0), (x1, y1) = self.at(low, base + tall), self.at(high, base)
                wide = max(x1 - x0 - 0.8, 0.8)
                self.parts.append(
                    f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{wide:.1f}" height="{y1 - y0:.1f}" '
                    f'class="{kind}"/>'
                )

    def legend(self, entries: Sequence[tuple[str, str]], right: bool = True) -> None:
        """Legend in the lower corner, each entry as (class, text); ``mark`` is a dot."""
        x = self.at(self.x[1], 0)[0] - 12 if right else self.at(self.x[0], 0)[0] + 12
        for row, (kind, words) in enumerate(reversed(entries)):
            y = self.at(0, self.y[0])[1] - 14 - 18 * row
            self.text(x - 30 if right else x + 30, y, words, "end" if right else "start", "key")
            ends = (x - 24, x) if right else (x, x + 24)
            if kind == "mark":
                self.parts.append(
                    f'<circle cx="{x - 12 if right else x + 12:.1f}" cy="{y - 4:.1f}" r="4" class="mark"/>'
                )
            else:
                self.segment((ends[0], y - 4), (ends[1], y - 4), f"line {kind}")

    def draw(self) -> str:
        """The chart as an SVG element."""
        width, height = self.size
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self.title, quote=True)}">'
            f"{''.join(self.parts)}</svg>"
        )


def shares(values: Sequence[float] | np.ndarray, edges: Sequence[float]) -> list[float]:
    """Counts of values between edges, relative to the largest; zeros where there are no values."""
    counts = np.histogram(np.asarray(values, np.float64), np.asarray(edges))[0]
    highest = max(int(counts.max(initial=0)), 1)
    return [float(count / highest) for count in counts]
