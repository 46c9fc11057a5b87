"""Small images that a bundle's manifest holds as texts: PNG in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.decoding import decode_bytes
from dmdd_edge.errors import BundleError, DmddError


def to_text(image: NDArray[np.uint8], options: Sequence[int] = ()) -> str:
    """An image as a text.

    Args:
        image: uint8 rows x columns.
        options: of OpenCV's PNG writer, besides the strongest compression.
    """
    encoded, data = cv2.imencode(".png", image, [*options, cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert encoded
    return base64.b64encode(data.tobytes()).decode("ascii")


def size_of(text: str) -> tuple[int, int]:
    """Width and height that a text states, without decoding it.

    Raises:
        ValueError: it is not a PNG in base64.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    # The signature, then the first chunk: its length, its type IHDR, width and height.
    if len(data) < 24 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError("not a PNG in base64")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def from_text(text: str, what: str) -> NDArray[np.uint8]:
    """The image of a text, uint8 rows x columns.

    Args:
        text: from ``to_text``.
        what: the image's name, such as "the stored ignore mask".

    Raises:
        BundleError: it cannot be decoded.
    """
    try:
        return decode_bytes(base64.b64decode(text, validate=True), what).image[..., 0]
    except (ValueError, DmddError):
        raise undecodable(what) from None


def undecodable(what: str) -> BundleError:
    """The error for an image that cannot be decoded, or has another size than it must have."""
    return BundleError(f"{what[0].upper()}{what[1:]} cannot be decoded.", fix="Export the bundle again.")
