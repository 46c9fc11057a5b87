"""Doubts about images of good parts, before a threshold is set from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import Threshold, percent
from dmdd_edge.data.causes import find_causes
from dmdd_edge.data.look import ImageLook
from dmdd_edge.runtime.normal_scores import NormalScores

#: A score stands out above the median plus this number of spreads; the spread is at least ``_LEAST``.
_OUTLYING, _LEAST = 6.0, 0.02
#: Fewer good images set a threshold only on request, unless the false-alarm rate needs no more.
ENOUGH = 20
#: With fewer images, no score can stand out.
_FEWEST = 5
#: Scores differ widely if their range exceeds this multiple of the range at export.
_WIDE = 2.0


def few(threshold: Threshold) -> list[str]:
    """What speaks against a threshold from few images; empty for enough of them."""
    count = threshold.normals
    if threshold.holds or count >= ENOUGH:
        return []
    one = count == 1
    return [
        f"{count} good image{'' if one else 's'} support{'s' if one else ''} a false-alarm rate of "
        f"{percent(threshold.attainable)} only; {percent(threshold.alpha)} needs {threshold.needed}"
    ]


def at_zero(threshold: float) -> list[str]:
    """What speaks against a threshold of 0; empty for one above.

    Args:
        threshold: of the score, 0..1.
    """
    if threshold > 0:
        return []
    return ["the threshold would be 0, so every score above 0 is an alarm; scores of 0 are not usual"]


def doubts(bundle: Bundle, normals: NormalScores) -> list[str]:
    """Reasons against setting a threshold from these images; may be empty.

    Args:
        bundle: the bundle that scored them.
        normals: the scores of the images, at least one.
    """
    left_out = normals.unreliable + normals.skipped
    lines = [
        *_above(bundle, normals),
        *(_outlying(bundle, normals) or _wide(bundle, normals)),
        *_mixed(normals.looks),
    ]
    if left_out > len(normals.scores):
        lines.append(
            f"{left_out} of {left_out + len(normals.scores)} images cannot be judged and are omitted; "
            f"the first: {normals.first_reason}"
        )
    return lines


def _above(bundle: Bundle, normals: NormalScores) -> list[str]:
    manifest, scores = bundle.manifest, normals.scores
    above = sum(score > manifest.threshold.image for score in scores)
    if 2 * above <= len(scores):
        return []
    line = f"{above} of {len(scores)} images are above the exported threshold {manifest.threshold.image:.4f}"
    causes = []
    if manifest.look is not None and normals.looks:
        causes = find_causes(manifest.look, normals.looks, manifest.preprocess)
    return [f"{line}, and they are {causes[0].text}" if causes else line]


def _outlying(bundle: Bundle, normals: NormalScores) -> list[str]:
    """Few images far above the rest: defective parts among good ones would raise the threshold."""
    scores = np.asarray(normals.scores)
    if len(scores) < _FEWEST:
        return []
    middle = float(np.median(scores))
    spread = max(1.4826 * float(np.median(np.abs(scores - middle))), _LEAST)
    limit = max(middle + _OUTLYING * spread, bundle.manifest.threshold.image)
    out = np.flatnonzero(scores > limit)
    if not len(out):
        return []
    furthest = int(out[scores[out].argmax()])
    rest = float(scores[scores <= limit].max())
    one = len(out) == 1
    return [
        f"{len(out)} of {len(scores)} images stand{'s' if one else ''} out from the others, "
        f"whose scores reach {rest:.4f}: {normals.sources[furthest]} has {scores[furthest]:.4f}"
    ]


def _wide(bundle: Bundle, normals: NormalScores) -> list[str]:
    exported, scores = bundle.manifest.threshold.scores, normals.scores
    if min(len(scores), len(exported)) < _FEWEST:
        return []
    usual = max(exported) - min(exported)
    if max(scores) - min(scores) <= _WIDE * max(usual, _LEAST) or max(scores) <= max(exported):
        return []
    return [
        f"the images differ from each other: scores from {min(scores):.4f} to {max(scores):.4f}, "
        f"at export from {min(exported):.4f} to {max(exported):.4f}"
    ]


def _mixed(looks: Sequence[ImageLook]) -> list[str]:
    sizes = sorted({look.size for look in looks})
    if len(sizes) < 2:
        return []
    listed = ", ".join(f"{width} x {height}" for width, height in sizes[:3])
    return [f"the images have different sizes ({listed}{', ...' if len(sizes) > 3 else ''})"]
