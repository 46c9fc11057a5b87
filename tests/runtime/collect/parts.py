"""Images of parts that lie alike and have each their own texture, and what goes wrong with a shot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SIZE = 160


def part(seed: int, size: int = SIZE, noise: float = 1.0, level: float = 1.0, shift: float = 0.4) -> Image:
    """A shot of one part: a plate with two holes, up to ``shift`` pixels off, grained by its seed."""
    random = np.random.default_rng(seed)
    scale = size / SIZE
    canvas: NDArray[np.float32] = np.full((size, size), 60.0, np.float32)
    cv2.rectangle(canvas, _at(30, 40, scale), _at(130, 120, scale), 150.0, -1)
    for x in (55, 105):
        cv2.circle(canvas, _at(x, 80, scale), round(14 * scale), 40.0, -1)
    cv2.rectangle(canvas, _at(112, 48, scale), _at(124, 56, scale), 210.0, -1)
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.6), np.float32)
    grain = cv2.GaussianBlur(random.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 2.0)
    canvas += 6 * grain / grain.std()
    dx, dy = random.uniform(-shift, shift, 2)
    placed = cv2.warpAffine(
        canvas, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (size, size), borderMode=cv2.BORDER_REPLICATE
    )
    return shot(level * np.asarray(placed, np.float32), int(random.integers(1 << 30)), noise)


def shot(canvas: NDArray[Any], seed: int, noise: float = 1.0) -> Image:
    """What a camera makes of a gray or BGR image: its own noise, rounded."""
    random = np.random.default_rng(seed)
    noisy = canvas.astype(np.float32) + random.normal(0, noise, canvas.shape).astype(np.float32)
    levels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)


def moved(image: Image, x: float = 0, y: float = 0, turn: float = 0) -> Image:
    """The image with its content shifted, and turned clockwise about the middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -turn, 1)
    matrix[:, 2] += (x, y)
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def blurred(image: Image, sigma: float = 2.0) -> Image:
    """The image out of focus, with the sensor's noise on top."""
    return shot(cv2.GaussianBlur(image, (0, 0), sigma), 5)


def folder_of(folder: Path, images: dict[str, Image]) -> Path:
    """A folder of image files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        assert cv2.imwrite(str(folder / name), image)
    return folder


def _at(x: float, y: float, scale: float) -> tuple[int, int]:
    return round(x * scale), round(y * scale)
