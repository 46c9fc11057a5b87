"""Whether images that should be good parts look like it, before a threshold is set from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.causes import find_causes
from dmdd_edge.data.look import ImageLook
from dmdd_edge.runtime.normal_scores import NormalScores

#: A score stands out from this many spreads above the median on, the spread at least ``_LEAST``.
_OUTLYING, _LEAST = 6.0, 0.02
#: Of fewer images, none can stand out.
_FEWEST = 5
#: Scores differ widely when their range is so many times that of the scores at export.
_WIDE = 2.0


def doubts(bundle: Bundle, found: NormalScores) -> list[str]:
    """What speaks against setting a threshold from these images; none when nothing does.

    Args:
        bundle: judges.
        found: the scores of the images, at least one.
    """
    left_out = found.unreliable + found.skipped
    lines = [
        *_above(bundle, found),
        *(_outlying(bundle, found) or _wide(bundle, found)),
        *_mixed(found.looks),
    ]
    if left_out > len(found.scores):
        lines.append(
            f"{left_out} of {left_out + len(found.scores)} images cannot be judged and are left out; "
            f"the first: {found.first_reason}"
        )
    return lines


def _above(bundle: Bundle, found: NormalScores) -> list[str]:
    manifest, scores = bundle.manifest, found.scores
    above = sum(score > manifest.threshold.image for score in scores)
    if 2 * above <= len(scores):
        return []
    line = f"{above} of {len(scores)} images are above the exported threshold {manifest.threshold.image:.4f}"
    causes = []
    if manifest.look is not None and found.looks:
        causes = find_causes(manifest.look, found.looks, manifest.preprocess)
    return [f"{line}, and they are {causes[0].text}" if causes else line]


def _outlying(bundle: Bundle, found: NormalScores) -> list[str]:
    """Few images far above the rest: defective parts among good ones set the threshold for all."""
    scores = np.asarray(found.scores)
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
        f"whose scores reach {rest:.4f}: {found.sources[furthest]} has {scores[furthest]:.4f}"
    ]


def _wide(bundle: Bundle, found: NormalScores) -> list[str]:
    exported, scores = bundle.manifest.threshold.scores, found.scores
    if min(len(scores), len(exported)) < _FEWEST:
        return []
    usual = max(exported) - min(exported)
    if max(scores) - min(scores) <= _WIDE * max(usual, _LEAST) or max(scores) <= max(exported):
        return []
    return [
        f"the images differ among themselves: scores from {min(scores):.4f} to {max(scores):.4f}, "
        f"at export from {min(exported):.4f} to {max(exported):.4f}"
    ]


def _mixed(looks: Sequence[ImageLook]) -> list[str]:
    sizes = sorted({look.size for look in looks})
    if len(sizes) < 2:
        return []
    listed = ", ".join(f"{width} x {height}" for width, height in sizes[:3])
    return [f"the images have different sizes ({listed}{', ...' if len(sizes) > 3 else ''})"]
