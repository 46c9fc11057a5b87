"""The page about drift: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.drift.observation import MEASURES, Measure
from dmdd_edge.runtime.drift.offline import Examined
from dmdd_edge.storage import make_folder, write_atomically

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 420, 150, 52, 20, 8
_TITLES: dict[Measure, str] = {
    "light": "Light: mean gray level, 0 to 255",
    "sharpness": "Sharpness of the strongest edges",
    "x": "Position across, in shares of the image's width",
    "y": "Position down, in shares of the image's height",
    "score": "Score of passing parts",
    "alarms": "Share of anomalous parts",
}


def write_page(path: Path, examined: Sequence[Examined], answer: str, about: str) -> None:
    """Write the page; its folder is created.

    Args:
        path: the HTML file.
        examined: the inspections.
        answer: the first line.
        about: what was read.

    Raises:
        StorageError: it cannot be written.
    """
    make_folder(path.parent)
    write_atomically(path, page(examined, answer, about))


def page(examined: Sequence[Examined], answer: str, about: str) -> str:
    """The page's HTML."""
    return str(
        _template().render(
            title=", ".join(each.name for each in examined),
            drifted=any(each.report["warnings"] for each in examined),
            answer=answer,
            about=about,
            inspections=[_inspection(each) for each in examined],
        )
    )


def _inspection(each: Examined) -> dict[str, Any]:
    from markupsafe import Markup

    counts = ", ".join(f"{count} {status}" for status, count in each.statuses.items())
    facts = f"{each.frames} frames ({counts}) from {_moment(each.first)} to {_moment(each.last)}."
    if each.report["stride"] > 1:
        facts += f" Neighboring frames are alike: a batch is {20 * each.report['stride']} frames."
    since: dict[str, list[int]] = {}
    for event in each.events:
        if event["event"] == "warning":
            since.setdefault(event["measure"], []).append(event["since"]["index"])
    since.setdefault("score", []).extend(since.get("calibration", []))
    charts = [
        {"title": _TITLES[measure], "svg": Markup(chart(each.traces[measure].points, since.get(measure, [])))}
        for measure in MEASURES
        if measure in each.traces and len(each.traces[measure].points) > 1
    ]
    learning = each.report["learning"]
    return {
        "name": each.name,
        "camera": each.camera,
        "facts": facts,
        "warnings": [warning["message"] for warning in each.report["warnings"]],
        "nothing": "Too few frames to tell: the watch still learns." if learning else "Nothing lasts.",
        "fix": each.report["fix"],
        "charts": charts,
        "events": each.events,
    }


def chart(points: Sequence[tuple[int, float]], since: Sequence[int]) -> str:
    """A measure over the frames as SVG, with a dashed line where each change began."""
    frames, values = [point[0] for point in points], [point[1] for point in points]
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or max(abs(high) * 0.01, 1e-6)
    low, high = low - pad, high + pad
    width, height = _WIDTH - _LEFT - 8, _HEIGHT - _TOP - _BOTTOM
    length = max(frames[-1] - frames[0], 1)

    def x(frame: float) -> float:
        return _LEFT + width * (frame - frames[0]) / length

    def y(value: float) -> float:
        return _TOP + height * (high - value) / (high - low)

    line = " ".join(f"{x(frame):.1f},{y(value):.1f}" for frame, value in points)
    marks = "".join(
        f'<line class="since" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP}" y2="{_TOP + height}"/>'
        for at in since
    )
    base = _TOP + height
    rules = "".join(
        f'<line class="rule" x1="{_LEFT}" x2="{_LEFT + width}" y1="{at}" y2="{at}"/>' for at in (_TOP, base)
    )
    labels = (
        f'<text x="{_LEFT - 5}" y="{_TOP + 9}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{_LEFT - 5}" y="{base}" text-anchor="end">{low:.4g}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 5}">frame {frames[0]}</text>'
        f'<text x="{_LEFT + width}" y="{_HEIGHT - 5}" text-anchor="end">{frames[-1]}</text>'
    )
    drawn = f'{rules}{marks}<polyline class="line" points="{line}"/>{labels}'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{drawn}</svg>'


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M}"


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("drift.html")
