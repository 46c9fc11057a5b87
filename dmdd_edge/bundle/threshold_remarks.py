"""What a person should know of the threshold that a run decides by."""

from __future__ import annotations

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import other_calibration
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.messages.commands import command


def threshold_remarks(bundle: Bundle, threshold: EffectiveThreshold, strip: int | None = None) -> list[str]:
    """What there is to say of a threshold, a line each.

    Args:
        bundle: as it decides with the precision that runs; see ``Bundle.at``.
        threshold: in force.
        strip: ``--strip`` of the run, in rows; None where its frames are no strips.
    """
    lines = (
        threshold.finds_nothing,
        other_calibration(bundle, threshold),
        other_strips(bundle, threshold, strip),
    )
    return [line for line in lines if line]


def other_strips(bundle: Bundle, threshold: EffectiveThreshold, strip: int | None) -> str:
    """A warning that a threshold was set from other frames than the run has; else empty.

    The score of a strip grows with its rows, and a threshold keeps its false-alarm rate only for frames as
    those that it was set from.

    Args:
        bundle, threshold, strip: as for ``threshold_remarks``.
    """
    made = threshold.strip
    if threshold.origin == "option" or made == strip:
        return ""
    again = command(
        "calibrate",
        category=bundle.category,
        precision=bundle.precision or None,
        source="GOOD_PARTS" if strip is None else "GOOD_STRIPS",
        strip=strip,
    )
    if made is None:
        return f"the threshold is of whole images, and these are strips; set it for strips: {again}"
    if strip is None:
        return (
            f"the threshold was calibrated from strips (--strip {made}), and these are whole images; give "
            f"--strip {made} to a run of strips, or calibrate again: {again}"
        )
    return f"the threshold was calibrated with --strip {made}, and not {strip}; calibrate again: {again}"
