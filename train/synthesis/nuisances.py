"""Nuisances: changes to an image of a good part that are not defects: JPEG, light, focus, position.

Training images come from one day and one camera. On the production line the light drifts, the camera sends
JPEG, and the position of the part varies. Each kind is applied at the size of the network's input, where its
effect is largest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
#: Changes uint8 H x W x 3 BGR by an amount; noise is drawn from the generator.
Nuisance = Callable[[Image, float, np.random.Generator], Image]


def jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """Compress at a quality of 1..100 and decode."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def light(image: Image, gain: float, rng: np.random.Generator) -> Image:
    """Multiply the brightness."""
    return _as_bytes(image.astype(np.float32) * np.float32(gain))


def gamma(image: Image, exponent: float, rng: np.random.Generator) -> Image:
    """Bend the brightness scale."""
    bright = np.asarray(image, np.float32) / 255
    return _as_bytes((255 * bright ** np.float32(exponent)).astype(np.float32))


def blur(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Blur with a Gaussian of this width in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Add a sensor's noise of this standard deviation, in gray levels."""
    return _as_bytes(image + np.float32(deviation) * rng.standard_normal(image.shape, np.float32))


def zoom(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Enlarge about the center, at the same size."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0.0, factor).astype(np.float64)
    return _moved(image, turn)


def shift(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Move along both axes by this share of the side."""
    height, width = image.shape[:2]
    return _moved(image, np.array([[1.0, 0.0, share * width], [0.0, 1.0, share * height]], np.float64))


#: By name: the kind and the range its amount is drawn from in training, too mild to hide a defect.
KINDS: Mapping[str, tuple[Nuisance, tuple[float, float]]] = {
    "jpeg": (jpeg, (75.0, 98.0)),
    "light": (light, (0.88, 1.12)),
    "gamma": (gamma, (0.9, 1.1)),
    "blur": (blur, (0.3, 0.7)),
    "noise": (noise, (0.5, 3.0)),
    "zoom": (zoom, (0.99, 1.01)),
}

#: What another camera or mounting changes in the image of any part, and how much.
OF_CAMERAS: tuple[tuple[Nuisance, float], ...] = (
    (jpeg, 85),
    (jpeg, 70),
    (noise, 2.0),
    (blur, 0.5),
    (zoom, 1.01),
    (shift, 0.01),
)


def disturbed(image: Image, rng: np.random.Generator) -> Image:
    """A good image with one of the kinds, drawn evenly, at an amount drawn evenly from its range."""
    change, (low, high) = list(KINDS.values())[int(rng.integers(len(KINDS)))]
    return change(image, float(rng.uniform(low, high)), rng)


def changed(images: Image, change: Nuisance, amount: float, seed: int) -> Image:
    """Images under one kind, uint8 n x S x S x 3; the noise of each is the same in every call."""
    return np.stack([changed_one(image, change, amount, seed, i) for i, image in enumerate(images)])


def changed_one(image: Image, change: Nuisance, amount: float, seed: int, index: int) -> Image:
    """The image of this number under one kind, of any height and width."""
    return change(image, amount, np.random.default_rng([seed, index]))


def _moved(image: Image, turn: NDArray[np.float64]) -> Image:
    size = image.shape[1], image.shape[0]
    moved = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _as_bytes(values: NDArray[np.float32] | NDArray[np.float64]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
