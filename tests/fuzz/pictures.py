"""Image files as disks, networks and programs leave them: one drawn picture, encoded, then damaged."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64


@dataclass(frozen=True)
class Picture:
    """A file's bytes and what may come of them.

    Attributes:
        data: the file.
        suffix: of its name.
        image: what was encoded, uint8 64 x 64 x 3 BGR.
        damage: how it was damaged, "" when it was not.
        must_fail: a reader that returns an image returns a wrong one.
        loss: largest mean difference of a whole file's image, in grey levels.
    """

    data: bytes
    suffix: str
    image: np.ndarray
    damage: str
    must_fail: bool
    loss: float


def make_picture(seed: int) -> Picture:
    """Draw, encode and damage the picture of a seed."""
    draw = random.Random(seed)
    image = _drawn(draw)
    suffix, form = draw.choice(_FORMS)
    data, loss = form(image)
    damage = draw.choice(_DAMAGE)
    damaged, must_fail = damage(draw, data, suffix)
    name = "" if damage is whole else damage.__name__
    return Picture(damaged, suffix, image, name, must_fail, loss)


def _drawn(draw: random.Random) -> np.ndarray:
    noise = np.random.default_rng(draw.randrange(1 << 30)).normal(0, 3, (SIDE, SIDE, 3))
    image = np.clip(noise + np.array((90, 120, 160)), 0, 255).astype(np.uint8)
    cv2.circle(image, (30, 34), 18, (30, 200, 60), -1)
    return image


def _encode(image: np.ndarray, suffix: str, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, list(options))[1].tobytes())


def _grey(image: np.ndarray) -> bytes:
    return _encode(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), ".png")


_FORMS: tuple[tuple[str, Callable[[np.ndarray], tuple[bytes, float]]], ...] = (
    (".png", lambda image: (_encode(image, ".png"), 0)),
    (".png", lambda image: (_encode(np.dstack([image, image[..., 0]]), ".png"), 0)),
    (".png", lambda image: (_encode(image.astype(np.uint16) * 257, ".png"), 0)),
    (".png", lambda image: (_grey(image), 60)),
    (".jpg", lambda image: (_encode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90), 6)),
    (".jpg", lambda image: (_encode(image, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 6)),
    (".jpg", lambda image: (_encode(image, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2), 6)),
    (".bmp", lambda image: (_encode(image, ".bmp"), 0)),
    (".tif", lambda image: (_encode(image, ".tif"), 0)),
    (".webp", lambda image: (_encode(image, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101), 0)),
    (".ppm", lambda image: (_encode(image, ".ppm"), 0)),
)


def whole(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """Nothing was damaged."""
    return data, False


def trailing(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """Something was written behind the end, which every format allows."""
    return data + draw.choice((b"\0" * 512, b"\xff\xda", b"\xff\xd8\xff", draw.randbytes(300))), False


def cut(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """The copy ended early: at least a tenth is missing, so the image cannot be whole."""
    return data[: draw.randrange(0, len(data) * 9 // 10)], True


def zeros(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """Blocks that never reached the disk are zero: the last third. Formats without a checksum cannot tell."""
    kept = len(data) * 2 // 3
    return data[:kept] + b"\0" * (len(data) - kept), suffix == ".png"


def flipped(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """Single bits are wrong."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 3, 20))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed), False


def shuffled(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """A piece is missing from the middle, as from a stream that lost a packet."""
    start = len(data) // 3 + draw.randrange(len(data) // 4)
    return data[:start] + data[start + draw.randrange(50, len(data) // 6 + 60) :], suffix == ".png"


def huge(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """A small file that claims to hold an enormous picture."""
    side = draw.choice((30_000, 50_000, 1 << 24, (1 << 31) - 1))
    if suffix == ".bmp":
        return data[:18] + struct.pack("<ii", side, side) + data[26:], True
    if suffix == ".jpg":
        at = data.find(b"\xff\xc0")
        at = data.find(b"\xff\xc2") if at < 0 else at
        return data[: at + 5] + struct.pack(">HH", min(side, 65_000), min(side, 65_000)) + data[
            at + 9 :
        ], True
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 4096)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks, True


def other(draw: random.Random, data: bytes, suffix: str) -> tuple[bytes, bool]:
    """Something else under the name of an image."""
    return draw.choice(
        (b"", b"\0", b"<html>404</html>", draw.randbytes(500), b"BM", b"P6\n", b"\xff\xd8\xff", b"II*\0")
    ), True


_DAMAGE = (whole, whole, trailing, cut, cut, zeros, flipped, flipped, shuffled, huge, other)
