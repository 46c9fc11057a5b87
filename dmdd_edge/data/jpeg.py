"""Checks whether the data of a JPEG are complete. libjpeg knows but hides it, and OpenCV does not report it.

Between two restart marks the compressed data must hold exactly as many blocks as the image has there. A
decoder that finds no end mark behind the data, but nothing at all, gives up where blocks are missing instead
of painting them gray; and one that succeeds although the last bytes were taken away had too many of them.
So two trial decodings tell both kinds of damage: lost bytes, and bytes that were replaced. Of a file with
several scans the blocks cannot be counted this way; there libjpeg's own remarks are read.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.messages.quiet import imdecode, imdecode_with_remarks

#: Zeros in the place of the end mark: as many as the decoder looks ahead.
PADDING = 16
#: Bytes of data behind the last block that some cameras' encoders leave there.
_SLACK = 16
_MARK = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]", re.DOTALL)
#: How libjpeg reports data that do not fit the image. A few bytes before the end mark (d9) are filling.
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!\d\d? extraneous bytes before marker 0xd9)"
    r"|Premature end|Inconsistent progression"
)
#: The decoder's largest side.
_LARGEST = 65500


class Jpeg(NamedTuple):
    """Where the parts of a JPEG file are.

    Attributes:
        frame: offset of the frame header's marker (SOF).
        data: offset of the compressed data of the first scan.
        end: offset just behind that data: of the end mark, or of the next scan's headers.
        file_end: offset behind the end mark (EOI); what follows is not part of the image. None without one.
        restart: blocks (MCUs) between two restart marks; 0 without them.
        single: sequential coding in one scan; only then the blocks can be counted.
    """

    frame: int
    data: int
    end: int
    file_end: int | None
    restart: int
    single: bool


def parse(data: memoryview) -> Jpeg | None:
    """Walk a file from its first marker to its end mark; None when it is not built like a JPEG."""
    at, frame, restart = 2, 0, 0
    first: tuple[int, int] | None = None
    scans = 0
    try:
        while True:
            if data[at] != 0xFF:
                return None
            marker = data[at + 1]
            if marker == 0xFF:
                at += 1
                continue
            if marker == 0xD9:
                break
            if marker == 0x01 or 0xD0 <= marker <= 0xD8:
                at += 2
                continue
            (length,) = struct.unpack_from(">H", data, at + 2)
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                frame = at
            elif marker == 0xDD:
                (restart,) = struct.unpack_from(">H", data, at + 4)
            at += 2 + length
            if marker == 0xDA:
                scans += 1
                found = _MARK.search(data, at)
                end = len(data) if found is None else found.start()
                first = first or (at, end)
                if found is None:
                    break
                at = found.end() - 2
    except (IndexError, struct.error):
        if first is None:
            return None
        return Jpeg(frame, *first, None, restart, single=False)
    if first is None or not frame:
        return None
    whole = at + 2 if at + 2 <= len(data) and data[at] == 0xFF and data[at + 1] == 0xD9 else None
    sequential = data[frame + 1] in (0xC0, 0xC1)
    return Jpeg(frame, *first, whole, restart, single=sequential and scans == 1)


def decode(data: NDArray[np.uint8], parts: Jpeg, flags: int) -> tuple[NDArray[np.uint8] | None, bool]:
    """Decode a JPEG, and check whether its data fit the image.

    Args:
        data: the file, uint8, writable, with ``PADDING`` bytes of room behind ``parts.file_end``; what
            follows the image is overwritten.
        parts: of that file, with an end mark.
        flags: as of ``cv2.imdecode``.

    Returns:
        The image as OpenCV decodes it, or None; and whether the data are complete. A progressive file, or one
        with several scans, is damaged if libjpeg reports so.
    """
    assert parts.file_end is not None
    if not parts.single or not _reports_missing_data():
        image, remarks = imdecode_with_remarks(data[: parts.file_end], flags)
        damaged = _DAMAGE.search(remarks) is not None
        return (None if image is None else np.asarray(image, dtype=np.uint8)), not damaged
    if parts.restart:
        if not _segments_are_whole(data, parts):
            return None, False
        return _decoded(data[: parts.file_end], flags), True
    data[parts.end : parts.end + PADDING] = 0
    image = _decoded(data[: parts.end + PADDING], flags)
    return image, image is not None and not _has_too_much(data[: parts.end], parts.data)


def _decoded(data: NDArray[np.uint8], flags: int) -> NDArray[np.uint8] | None:
    image = imdecode(data, flags)
    return None if image is None else np.asarray(image, dtype=np.uint8)


def _has_too_much(data: NDArray[np.uint8], start: int) -> bool:
    """Whether the image is complete without the last bytes of its data."""
    end = len(data)
    while end > start and data[end - 1] in (0x00, 0xFF):  # filled up by the encoder
        end -= 1
    return end - start > _SLACK and _succeeds(data[: end - _SLACK])


def _succeeds(data: NDArray[np.uint8]) -> bool:
    # An eighth of the size: all of the data is read, and hardly any pixel is computed.
    return imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION) is not None


def _segments_are_whole(data: NDArray[np.uint8], parts: Jpeg) -> bool:
    """Check the data between two restart marks as a separate image, one row of blocks high."""
    head = bytearray(data[: parts.data].tobytes())
    height, width, components = struct.unpack_from(">HHB", head, parts.frame + 5)
    factors = [head[parts.frame + 11 + 3 * number] for number in range(components)]
    if components == 1:
        factors = [0x11]
    across, down = 8 * max(f >> 4 for f in factors), 8 * max(f & 15 for f in factors)
    blocks = -(-width // across) * -(-height // down)
    body = data[parts.data : parts.end].tobytes()
    pieces, numbers, at = [], [], 0
    for found in _RESTART.finditer(body):
        pieces.append(body[at : found.start()])
        numbers.append(found[0][-1] & 7)
        at = found.end()
    pieces.append(body[at:])
    if len(pieces) != -(-blocks // parts.restart) or numbers != [n % 8 for n in range(len(numbers))]:
        return False
    for number, piece in enumerate(pieces):
        count = min(parts.restart, blocks - number * parts.restart)
        if count * across > _LARGEST:
            return True
        struct.pack_into(">HH", head, parts.frame + 5, down, count * across)
        trial = np.frombuffer(bytes(head) + piece + b"\0" * PADDING, np.uint8)
        if not _succeeds(trial) or _has_too_much(trial[:-PADDING], len(head)):
            return False
    return True


@lru_cache(maxsize=1)
def _reports_missing_data() -> bool:
    """Whether this OpenCV fails on data that end too early, as those of 2025 and 2026 do."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    data = np.concatenate([cv2.imencode(".jpg", noise)[1].ravel()[:-2], np.zeros(PADDING, np.uint8)])
    return _succeeds(data) and not _succeeds(data[: -2 * PADDING])
