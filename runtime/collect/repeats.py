"""Whether two images are two shots of one part: they differ by no more than the noise of two shots.

A perceptual hash cannot tell: aligned good parts look alike, and it calls each of them a copy.

The noise is that of the images themselves. Each has blocks without texture; what varies there from pixel to
pixel is the noise of one shot (``sketch``), and two shots differ by that of both. Where a part is brighter
than those blocks, the noise may grow as that of photons does, with the root of the level. Two parts differ by
many times as much in at least one block: by their texture, their edges, their place.
"""

from __future__ import annotations

import numpy as np

from dmdd_edge.runtime.collect.sketch import Gray, Sketch, in_blocks

#: The difference in the worst block, in shares of what noise explains. White noise reaches 1.7 over a
#: thousand blocks, two parts of a real set more than 8 under strong noise and more than 40 without.
LIMIT = 3.0
#: The same of compressed images: JPEG removes the noise where a part is flat and keeps it where it is not.
COMPRESSED_LIMIT = 16.0
#: The most that a lamp may be brighter in the one shot than in the other, as a factor.
_LAMP = 1.1
#: Part of the level that no photons cause, in gray levels.
_OFFSET = 16.0


def difference(one: Sketch, other: Sketch) -> float:
    """How far two images differ, as a multiple of what the noise of two shots explains; at least 0.

    A lamp that is brighter as a whole does not count. Infinite where the images have different sizes.
    """
    if one.gray.shape != other.gray.shape:
        return float("inf")
    first, second = one.gray.astype(np.float32), other.gray.astype(np.float32)
    first, second = first - first.mean(), second - second.mean()
    gain = float((first * second).sum() / max(float((second**2).sum()), 1.0))
    gap = first - np.float32(min(max(gain, 1 / _LAMP), _LAMP)) * second
    gap -= np.float32(np.median(gap))
    strength = np.sqrt((in_blocks(gap) ** 2).mean(axis=2))
    levels = in_blocks((one.gray.astype(np.float32) + other.gray) / np.float32(2)).mean(axis=2)
    return float((strength / np.hypot(_noise_at(levels, one), _noise_at(levels, other))).max())


def _noise_at(levels: Gray, sketch: Sketch) -> Gray:
    """The most noise that a shot may have at some levels."""
    growth = np.sqrt((levels + _OFFSET) / (sketch.flat_level + _OFFSET))
    return np.asarray(sketch.noise * np.maximum(growth, 1.0), np.float32)
