"""The sentences of a drift warning: what moved, by how much, since when, and where to look."""

from __future__ import annotations

from datetime import datetime, timezone

from dmdd_edge.runtime.drift.observation import Cause, Drift, Place

#: Below a percent of a share, more digits say something.
_FINE = 0.1

FIXES: dict[Cause, str] = {
    "light": "Look at the lamp, stray light and the exposure.",
    "focus": "Look at the focus, and at dirt on the lens.",
    "position": "Look at the fixture of the parts and the mount of the camera.",
    "part": "Light, focus and position are as before: look at the parts, their lot and their process.",
    "calibration": "The threshold was set with other parts, or under other conditions.",
    "unknown": "The results do not say how the images look: look at the light first, then at the parts.",
}


def sentence(drift: Drift) -> str:
    """What moved and since when: ``The light is 8 % lower since frame 12340 (2026-11-29 07:12 UTC).``"""
    return f"{_what(drift)} since {_place(drift.since)}."


def ended(drift: Drift) -> str:
    """That a warning is over."""
    names = {
        "light": "The light is",
        "sharpness": "The sharpness is",
        "x": "The position is",
        "y": "The position is",
        "score": "The scores of passing parts are",
        "calibration": "The scores of passing parts are",
        "alarms": "The share of anomalous parts is",
    }
    usual = {
        "calibration": "like those of the calibration again",
        "alarms": "what the threshold promises again",
    }
    return f"{names[drift.measure]} {usual.get(drift.measure, 'as before again')}."


def fix(cause: Cause, calibrate: str = "") -> str:
    """Where to look, and what to do when the change is meant.

    Args:
        cause: what probably changed.
        calibrate: the command that sets the threshold again; empty without one.
    """
    if not calibrate:
        return FIXES[cause]
    when = "If the parts are good" if cause == "calibration" else "If the change is meant"
    return f"{FIXES[cause]} {when}: {calibrate}"


def percent(share: float) -> str:
    """A share in words: ``8 %``, ``0.4 %``."""
    value = 100 * abs(share)
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= _FINE else f"{value:.2f} %"


def _what(drift: Drift) -> str:
    if drift.measure in ("light", "sharpness"):
        noun = "light" if drift.measure == "light" else "sharpness"
        change = (drift.now - drift.before) / drift.before if drift.before else 0.0
        return f"The {noun} is {percent(change)} {'higher' if drift.rises else 'lower'}"
    if drift.measure in ("x", "y"):
        sides = ("further right", "further left") if drift.measure == "x" else ("lower", "higher")
        extent = "width" if drift.measure == "x" else "height"
        moved = percent(drift.now - drift.before)
        return f"The part is {sides[not drift.rises]}, by {moved} of the image's {extent},"
    if drift.measure == "score":
        word = "higher" if drift.rises else "lower"
        return f"Passing parts have {word} scores, {drift.now:.4f} instead of {drift.before:.4f},"
    if drift.measure == "calibration":
        word = "higher" if drift.rises else "lower"
        share = drift.now if drift.rises else 1 - drift.now
        return f"Passing parts have {word} scores than the calibration's in {percent(share)} of all pairs"
    return (
        f"{percent(drift.now)} of the parts are anomalous, where the threshold promises "
        f"{percent(drift.before)} of good ones,"
    )


def _place(place: Place) -> str:
    if not place.time:
        return f"frame {place.frame}"
    moment = datetime.fromtimestamp(place.time, timezone.utc)
    return f"frame {place.frame} ({moment:%Y-%m-%d %H:%M} UTC)"
