"""A synthetic anomalous image from a normal one (paper, FAS): I_a = beta * I + (1 - beta) * A in the mask.

A share of the anomalies (zero with the paper's recipe) is damage to the part itself instead.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import is_gray
from dmdd_edge.train.config import SynthesisConfig
from dmdd_edge.train.synthesis import damage
from dmdd_edge.train.synthesis.perlin import perlin_mask
from dmdd_edge.train.synthesis.textures import Textures

#: Masks to draw before the restriction to the foreground is dropped for this image.
_TRIES = 20


def synthesize(
    image: NDArray[np.uint8],
    foreground: NDArray[np.bool_] | None,
    textures: Textures,
    config: SynthesisConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Blend a texture into a normal image under a Perlin mask, or damage the part there.

    Args:
        image: uint8 S x S x 3, BGR, normal.
        foreground: bool S x S where anomalies may be; None for everywhere.
        textures: source of the foreign texture.
        config: ranges.
        rng: source of randomness; the same state gives the same result.

    Returns:
        the anomalous image, uint8 S x S x 3, and its mask, bool S x S, not empty.
    """
    size = image.shape[0]
    mask = perlin_mask(size, config.perlin_octave, config.perlin_threshold, rng)
    for attempt in range(1, _TRIES):
        allowed = mask & foreground if foreground is not None and attempt < _TRIES - 1 else mask
        if allowed.any():
            mask = allowed
            break
        mask = perlin_mask(size, config.perlin_octave, config.perlin_threshold, rng)
    if not mask.any():
        mask = foreground if foreground is not None and foreground.any() else np.ones((size, size), np.bool_)
    make = _damage(config, rng)
    if make is not None:
        damaged, visible = make(image, mask, rng)
        if visible.any():
            return damaged, visible
    beta = float(rng.uniform(*config.beta))
    texture = textures.draw(rng)
    if config.match_grey and is_gray(image):
        gray = cv2.cvtColor(cv2.cvtColor(texture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        texture = np.asarray(gray, np.uint8)
    blended = beta * image[mask].astype(np.float32) + (1.0 - beta) * texture[mask].astype(np.float32)
    out = image.copy()
    out[mask] = np.rint(blended).astype(np.uint8)
    return out, mask


def _damage(config: SynthesisConfig, rng: np.random.Generator) -> damage.Maker | None:
    """The kind of damage of an anomaly; None for a blended texture."""
    shares = {damage.warp: config.warps, damage.shade: config.shades, damage.smear: config.smears}
    if not any(shares.values()):
        return None  # without drawing a number, so that the paper's anomalies stay the same
    left = float(rng.random())
    for make, share in shares.items():
        left -= share
        if left < 0:
            return make
    return None
