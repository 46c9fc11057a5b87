"""Sources of the foreign texture of a synthetic anomaly: a folder of images, or a procedural bank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import list_images, read_image, resize
from dmdd_edge.errors import DataError, DmddError

Image = NDArray[np.uint8]
#: Decoded textures kept in memory; all others are read again when drawn.
_CACHED = 1500


class Textures(Protocol):
    """A source of textures."""

    def draw(self, rng: np.random.Generator) -> Image:
        """A texture, uint8 S x S x 3 BGR."""


class FolderTextures:
    """Texture images of a folder and its subfolders (DTD's layout or any other).

    Args:
        folder: of the images.
        size: side S that textures are resized to.

    Raises:
        DmddError: the folder is missing or holds no image.
    """

    def __init__(self, folder: Path, size: int) -> None:
        if not folder.is_dir():
            raise DataError(
                f"The texture folder {folder} does not exist.",
                fix="Give --textures a folder of images, or leave it out.",
            )
        self.paths = list_images(folder, recursive=True)
        if not self.paths:
            raise DataError(
                f"The texture folder {folder} holds no images.",
                fix="Give --textures a folder of images, or leave it out.",
            )
        self.size = size
        self._cache: dict[int, Image] = {}

    def draw(self, rng: np.random.Generator) -> Image:
        """A random texture, uint8 S x S x 3 BGR; a broken file is replaced by the next one."""
        start = int(rng.integers(len(self.paths)))
        for offset in range(len(self.paths)):
            index = (start + offset) % len(self.paths)
            cached = self._cache.get(index)
            if cached is not None:
                return cached
            try:
                texture = resize(read_image(self.paths[index]), self.size)
            except DmddError:
                continue
            if len(self._cache) < _CACHED:
                self._cache[index] = texture
            return texture
        raise DataError("No texture image can be read.", fix="Check the folder given with --textures.")


class ProceduralTextures:
    """An endless bank of drawn textures that look like photographs of surfaces.

    Half of them are overlapping shapes of all sizes (dead leaves, whose statistics are those of natural
    images: Lee, Mumford, Huang, IJCV 2001), each with its own shade; the others are stripes, checks, cells,
    clouds, grain and dots, bent out of shape. Colors are mostly close to gray, contrast goes from faint to
    strong, and light and fine structure vary over all of them.

    Args:
        size: side S of a texture.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._patterns: tuple[Callable[[np.random.Generator], NDArray[np.float32]], ...] = (
            self._stripes,
            self._checks,
            self._cells,
            self._clouds,
            self._grain,
            self._dots,
        )

    def draw(self, rng: np.random.Generator) -> Image:
        """A random texture, uint8 S x S x 3 BGR."""
        if rng.random() < 0.5:
            texture = self._leaves(rng)
        else:
            pattern = self._patterns[int(rng.integers(len(self._patterns)))](rng)
            if rng.random() < 0.7:
                pattern = self._bent(pattern, rng)
            dark, light = _colors(2, rng)
            texture = dark + (light - dark) * pattern[..., None]
        light = self._clouds(rng)[..., None] - 0.5
        texture = texture * (1 + float(rng.uniform(0.0, 1.0)) * light) + float(rng.uniform(0, 100)) * light
        fine = self._grain(rng)[..., None] - 0.5
        texture = texture + float(rng.uniform(0, 120)) ** 2 / 120 * fine
        return np.clip(texture, 0, 255).astype(np.uint8)

    def _leaves(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Overlapping shapes whose sizes follow a power law, float32 S x S x 3."""
        size, count = self.size, int(rng.integers(60, 300))
        largest, smallest = size * float(rng.uniform(0.05, 0.35)), max(1.5, size / 100)
        # The density of the radii is r^-3, by which every scale covers as much of the image.
        share = rng.random(count)
        radii = 1 / np.sqrt(share / smallest**2 + (1 - share) / largest**2)
        shades = _colors(count, rng)
        canvas = np.empty((size, size, 3), np.float32)
        canvas[:] = shades[0]
        corners = int(rng.integers(3, 9))  # 8 is drawn as an ellipse
        stretch = float(rng.uniform(1.0, 3.0))
        for (x, y), radius, shade, angle in zip(
            rng.uniform(0, size, (count, 2)),
            np.sort(radii)[::-1],
            shades,
            rng.uniform(0, 360, count),
            strict=True,
        ):
            axes = (max(1, round(radius * stretch)), max(1, round(radius)))
            color = tuple(float(value) for value in shade)
            if corners == 8:
                cv2.ellipse(canvas, (round(x), round(y)), axes, angle, 0, 360, color, -1, cv2.LINE_4)
            else:
                outline = cv2.ellipse2Poly((round(x), round(y)), axes, round(angle), 0, 360, 360 // corners)
                cv2.fillConvexPoly(canvas, np.asarray(outline, np.int32), color)
        return canvas

    def _bent(self, pattern: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """The pattern with its coordinates moved by smooth noise."""
        cells = int(rng.integers(2, 12))
        reach = float(rng.uniform(0.2, 0.8)) * self.size / cells
        moves = rng.uniform(-reach, reach, (2, cells, cells)).astype(np.float32)
        dx, dy = (cv2.resize(move, (self.size, self.size), interpolation=cv2.INTER_CUBIC) for move in moves)
        y, x = np.mgrid[0 : self.size, 0 : self.size].astype(np.float32)
        bent = cv2.remap(pattern, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(bent, np.float32)

    def _coordinates(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        angle = float(rng.uniform(0, np.pi))
        y, x = np.mgrid[0 : self.size, 0 : self.size].astype(np.float32) / self.size
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def _stripes(self, rng: np.random.Generator) -> NDArray[np.float32]:
        u, v = self._coordinates(rng)
        bend = float(rng.uniform(0, 0.08)) * np.sin(v * float(rng.uniform(5, 40)))
        wave = np.sin((u + bend) * 2 * np.pi * float(rng.uniform(3, 40)))
        return _unit(wave > 0 if rng.random() < 0.5 else wave)

    def _checks(self, rng: np.random.Generator) -> NDArray[np.float32]:
        u, v = self._coordinates(rng)
        a, b = rng.uniform(3, 30, 2)
        return _unit((np.floor(u * a) + np.floor(v * b)) % 2)

    def _cells(self, rng: np.random.Generator) -> NDArray[np.float32]:
        marks = np.full((self.size, self.size), 255, np.uint8)
        count = int(rng.integers(8, 200))
        points = rng.integers(0, self.size, (count, 2))
        marks[points[:, 0], points[:, 1]] = 0
        distance, label = cv2.distanceTransformWithLabels(
            marks, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        if rng.random() < 0.5:
            return _unit(distance)
        return rng.random(count + 1).astype(np.float32)[label % (count + 1)]

    def _clouds(self, rng: np.random.Generator) -> NDArray[np.float32]:
        total = np.zeros((self.size, self.size), np.float32)
        weight, cells = 1.0, int(rng.integers(2, 8))
        decay = float(rng.uniform(0.5, 0.9))
        while cells < self.size:
            layer = rng.random((cells, cells)).astype(np.float32)
            total += weight * cv2.resize(layer, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
            weight, cells = weight * decay, cells * 2
        return _unit(total)

    def _grain(self, rng: np.random.Generator) -> NDArray[np.float32]:
        noise = rng.standard_normal((self.size, self.size)).astype(np.float32)
        sigma_x, sigma_y = rng.uniform(0.5, 8.0, 2)
        return _unit(cv2.GaussianBlur(noise, (0, 0), sigma_x, sigmaY=sigma_y))

    def _dots(self, rng: np.random.Generator) -> NDArray[np.float32]:
        canvas = np.zeros((self.size, self.size), np.float32)
        for _ in range(int(rng.integers(20, 150))):
            x, y = (int(value) for value in rng.integers(0, self.size, 2))
            radius = int(rng.integers(1, max(2, self.size // 16)))
            cv2.circle(canvas, (x, y), radius, float(rng.random()), -1)
        return canvas


class OwnTextures:
    """The category's normal images as textures: rotated, shifted, brighter or darker.

    Under a small mask this shows a piece of the part where it does not belong.

    Args:
        images: uint8 n x S x S x 3 BGR.
    """

    def __init__(self, images: Sequence[Image] | Image) -> None:
        self.images = images

    def draw(self, rng: np.random.Generator) -> Image:
        """A random view of a random image, uint8 S x S x 3 BGR."""
        image = self.images[int(rng.integers(len(self.images)))]
        size = image.shape[0]
        turn = cv2.getRotationMatrix2D(
            (size / 2, size / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.8, 1.25))
        )
        turn[:, 2] = turn[:, 2] + rng.uniform(-0.25 * size, 0.25 * size, 2)
        moved = cv2.warpAffine(
            image, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        gain, offset = float(rng.uniform(0.7, 1.3)), float(rng.uniform(-25, 25))
        return np.asarray(cv2.convertScaleAbs(moved, alpha=gain, beta=offset), np.uint8)


class MixedTextures:
    """Two sources of textures, one of which is drawn at random.

    Args:
        first: a source.
        second: another.
        share: chance of the second, 0..1.
    """

    def __init__(self, first: Textures, second: Textures, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def draw(self, rng: np.random.Generator) -> Image:
        """A texture from one of the two."""
        return (self.second if rng.random() < self.share else self.first).draw(rng)


def _colors(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Colors of one texture, count x 3: about one brightness, most of them close to gray."""
    contrast, saturation = float(rng.uniform(20, 110)), 60 * float(rng.random()) ** 2
    mean = rng.uniform(20, 235) + rng.normal(0, saturation, 3)
    light = rng.normal(0, contrast, (count, 1))
    return np.asarray(np.clip(mean + light + rng.normal(0, saturation, (count, 3)), 0, 255), np.float32)


def _unit(pattern: NDArray[np.generic]) -> NDArray[np.float32]:
    """Scale to 0..1."""
    values = pattern.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)
