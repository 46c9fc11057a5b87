"""What the first bytes of an image file say: format, size and pixel layout, without decoding anything."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dmdd_edge.outside_files import open_regular

#: More than any header needs, but for a JPEG with an embedded profile or thumbnail, which is walked.
_HEAD = 1 << 16
_PNM = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})")
_SAMPLE = {1: "uint", 2: "int", 3: "float"}


class Header(NamedTuple):
    """What a file says about itself.

    Attributes:
        kind: the format, such as ``PNG``.
        width, height: in pixels; 0 where the file does not say it in a place that is known.
        layout: the pixel type, where it decides whether OpenCV can read the file; empty otherwise.
        more: whether the file holds pages or animation frames after the first.
    """

    kind: str
    width: int
    height: int
    layout: str = ""
    more: bool = False


def read_header(data: memoryview) -> Header | None:
    """Format, size and layout of an image file.

    Args:
        data: the whole file, as bytes.

    Returns:
        None when it is not an image of a known format; with a size of 0 x 0 when the header is cut or makes
        no sense.
    """
    head = bytes(data[:_HEAD])
    for kind, opening, read in _FORMATS:
        if opening.match(head):
            try:
                return read(head, data)
            except (struct.error, LookupError, ValueError):
                return Header(kind, 0, 0)
    return None


def header_of(path: Path) -> Header | None:
    """Format, size and layout of an image file; the file is read only as far as its header needs.

    Returns:
        as of ``read_header``; also None when the file cannot be read.
    """
    try:
        with (
            open_regular(path) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole,
            memoryview(whole) as data,
        ):
            return read_header(data)
    except (OSError, ValueError):  # gone, unreadable, or empty
        return None


def _png(head: bytes, data: memoryview) -> Header:
    width, height = struct.unpack_from(">II", head, 16)
    animation = head.find(b"acTL", 0, head.find(b"IDAT") + 1)
    more = animation > 0 and struct.unpack_from(">I", head, animation + 4)[0] > 1
    return Header("PNG", width, height, more=more)


def _jpeg(head: bytes, data: memoryview) -> Header:
    """Walk the segments up to the frame's header (SOF), whatever comes before it."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width = struct.unpack_from(">BHH", data, at + 4)
            return Header("JPEG", width, height, "" if bits == 8 else f"{bits} bits")
        elif marker in (0xD9, 0xDA):
            raise ValueError("no frame header")
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _gif(head: bytes, data: memoryview) -> Header:
    width, height = struct.unpack_from("<HH", head, 6)
    return Header("GIF", width, height, more=b"NETSCAPE2.0" in head)


def _bmp(head: bytes, data: memoryview) -> Header:
    (size,) = struct.unpack_from("<I", head, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
        return Header("BMP", width, height, f"{bits} bits per pixel")
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 18)
    packed = {1: ", run lengths", 2: ", run lengths", 3: ", bit fields"}.get(compression, "")
    return Header("BMP", abs(width), abs(height), f"{bits} bits per pixel{packed}")


def _webp(head: bytes, data: memoryview) -> Header:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return Header("WebP", width, height, more=bool(head[20] & 2))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", head, 26)
    return Header("WebP", width & 0x3FFF, height & 0x3FFF)


def _tiff(head: bytes, data: memoryview) -> Header:
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    entry, inline = (20, 12) if big else (12, 8)
    if count > 4096:
        raise ValueError("a directory of that many entries")
    tags = {}
    for start in range(at, at + entry * count, entry):
        tag, kind = struct.unpack_from(order + "HH", data, start)
        (values,) = struct.unpack_from(order + ("Q" if big else "I"), data, start + 4)
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag in (256, 257, 258, 339) and code and values:
            place = start + inline
            if values * struct.calcsize(code) > (8 if big else 4):
                (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
            (tags[tag],) = struct.unpack_from(order + code, data, place)
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + entry * count)
    layout = f"{_SAMPLE.get(tags.get(339, 1), 'unknown ')}{tags.get(258, 1)}"
    return Header("TIFF", tags[256], tags[257], layout, following != 0)


def _pnm(head: bytes, data: memoryview) -> Header:
    found = _PNM.match(head)
    if found is None:
        raise ValueError("no size")
    return Header("PNM", int(found[2]), int(found[3]))


def _pam(head: bytes, data: memoryview) -> Header:
    lines = dict(line.split(b" ", 1) for line in head.split(b"ENDHDR", 1)[0].split(b"\n")[1:] if b" " in line)
    return Header("PAM", int(lines.get(b"WIDTH", b"0")), int(lines.get(b"HEIGHT", b"0")))


def _jp2(head: bytes, data: memoryview) -> Header:
    # The size that the decoder goes by, not the one in the box around it.
    right, bottom, left, top = struct.unpack_from(">IIII", head, head.index(b"\xff\x4f\xff\x51") + 8)
    return Header("JPEG 2000", right - left, bottom - top)


def _heif(head: bytes, data: memoryview) -> Header:
    brand = head[8:12]
    kind = "AVIF" if brand in (b"avif", b"avis") else "HEIF"
    # An image may be a grid of tiles, each with its size; the whole is the largest.
    sizes = [struct.unpack_from(">II", head, found.end() + 4) for found in re.finditer(b"ispe", head)]
    width, height = max(sizes, default=(0, 0), key=lambda size: int(size[0]) * int(size[1]))
    return Header(kind, width, height, more=brand == b"avis")


_Reader = Callable[[bytes, memoryview], Header]
_FORMATS: tuple[tuple[str, re.Pattern[bytes], _Reader], ...] = tuple(
    (kind, re.compile(opening, re.DOTALL), read)
    for kind, opening, read in (
        ("PNG", rb"\x89PNG", _png),
        ("JPEG", rb"\xff\xd8\xff", _jpeg),
        ("GIF", rb"GIF8[79]a", _gif),
        ("BMP", rb"BM", _bmp),
        ("WebP", rb"RIFF....WEBP", _webp),
        ("TIFF", rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", _tiff),
        ("PNM", rb"P[1-6]\s", _pnm),
        ("PAM", rb"P7\n", _pam),
        ("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _jp2),
        ("HEIF", rb"....ftyp(?:avif|avis|heic|heix|hevc|mif1|msf1)", _heif),
    )
)
