"""What is measured of each image; kept in its record, for whoever continues the set."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.data.look import look_at
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.quality import frame_statistics
from dmdd_edge.runtime.collect.sketch import Gray, Sketch, sketch_of

#: Energy that white noise of one gray level has after the Laplacian: the sum of its squared weights.
_LAPLACIAN_NOISE = 20.0
#: What JPEG leaves of its blocks (``look.ImageLook.blocks``) from which on an image counts as compressed.
_COMPRESSED = 0.1


class Measures(BaseModel):
    """Measures of one image.

    Attributes:
        width: of the image in pixels.
        height: likewise.
        light: mean gray level, 0..255.
        red: red less green, in percent of the light.
        blue: blue less green, likewise.
        saturated: share of pixels at or above gray level 250, 0..1.
        black: share of pixels at or below gray level 5, 0..1.
        fine: sharpness of fine detail: energy of the Laplacian over the variance, less that of the noise.
        coarse: the same after smoothing, where noise has no part.
        noise: of one shot, in gray levels of the sketch.
        compressed: whether JPEG left its blocks.
    """

    model_config = ConfigDict(frozen=True)

    width: int = Field(ge=1, le=1 << 20)
    height: int = Field(ge=1, le=1 << 20)
    light: float = Field(ge=0, le=255)
    red: float = Field(ge=-1e6, le=1e6)
    blue: float = Field(ge=-1e6, le=1e6)
    saturated: float = Field(ge=0, le=1)
    black: float = Field(ge=0, le=1)
    fine: float = Field(ge=0, le=1e9)
    coarse: float = Field(ge=0, le=1e9)
    noise: float = Field(ge=0, le=1e3)
    compressed: bool


def measure(image: NDArray[np.uint8]) -> tuple[Measures, Sketch]:
    """Measure an image.

    Args:
        image: uint8 H x W x 3 BGR.

    Returns:
        the measures, and the sketch that they are from.
    """
    look, sketch, levels = look_at(image, _WHOLE), sketch_of(image), frame_statistics(image)
    return (
        Measures(
            width=look.size[0],
            height=look.size[1],
            light=round(look.light, 3),
            red=round(look.red, 3),
            blue=round(look.blue, 3),
            saturated=round(levels.saturated, 5),
            black=round(levels.black, 5),
            fine=round(_sharpness(sketch.gray, sketch.noise), 6),
            coarse=round(
                _sharpness(np.asarray(cv2.GaussianBlur(sketch.gray, (0, 0), 1.0), np.float32), 0.0), 6
            ),
            noise=round(sketch.noise, 4),
            compressed=look.blocks > _COMPRESSED,
        ),
        sketch,
    )


_WHOLE = Preprocess()


def _sharpness(gray: Gray, noise: float) -> float:
    energy = float(cv2.Laplacian(gray, cv2.CV_32F).var()) - _LAPLACIAN_NOISE * noise**2
    return max(energy, 0.0) / max(float(gray.var()), 1.0)
