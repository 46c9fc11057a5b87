"""Pixels as cameras send them, converted to uint8 BGR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.sources.genicam.interface import RawFrame

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class PixelFormat:
    """A format that can be converted.

    Attributes:
        name: in the Pixel Format Naming Convention (PFNC).
        group: the number of bytes after which its layout repeats.
        pixels: how many pixels are in a group.
        top: takes groups, uint8 N x G x ``group``, to the eight highest bits of each sample.
        color: takes samples, uint8 H x W or H x W x C, to BGR.
        host: whether a format of the camera's own conversion costs this machine less.
    """

    name: str
    group: int
    pixels: int
    top: Callable[[Bytes], Bytes]
    color: Callable[[Bytes], Bytes]
    host: bool = False


# The eight highest bits of samples of 10 and 12 bits: a fixed scale, floor(v / 4) and floor(v / 16).
# Numbers are low byte first. The older packed formats share the middle byte among the low ends of two pixels,
# which are not needed.


def _plain(groups: Bytes) -> Bytes:
    return groups


def _sixteen(shift: int) -> Callable[[Bytes], Bytes]:
    def top(groups: Bytes) -> Bytes:
        wide = np.ascontiguousarray(groups).view("<u2")
        return np.asarray(np.minimum(wide >> shift, 255), dtype=np.uint8)

    return top


def _ten_p(groups: Bytes) -> Bytes:
    b0, b1, b2, b3, b4 = (groups[..., byte] for byte in range(5))
    return np.stack([b0 >> 2 | b1 << 6, b1 >> 4 | b2 << 4, b2 >> 6 | b3 << 2, b4], axis=-1)


def _twelve_p(groups: Bytes) -> Bytes:
    return np.stack([groups[..., 0] >> 4 | groups[..., 1] << 4, groups[..., 2]], axis=-1)


def _packed(groups: Bytes) -> Bytes:
    return groups[..., ::2]


# From samples to BGR. OpenCV's code for a mosaic names the first four pixels, as PFNC's first two letters do;
# its older codes (BayerBG and so on) name others.


def _gray(samples: Bytes) -> Bytes:
    return np.asarray(cv2.cvtColor(samples, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _mosaic(code: int) -> Callable[[Bytes], Bytes]:
    return lambda samples: np.asarray(cv2.cvtColor(samples, code), dtype=np.uint8)


def _rgb(samples: Bytes) -> Bytes:
    return np.asarray(cv2.cvtColor(samples, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _bgr(samples: Bytes) -> Bytes:
    return samples.copy()  # the frame owns its memory


def _yuv(luma: int) -> Callable[[Bytes], Bytes]:
    """4:2:2 of full range (BT.601 as in JPEG), which OpenCV's codes for UYVY and YUYV do not assume."""

    def convert(samples: Bytes) -> Bytes:
        height, width = samples.shape[:2]
        pairs = cv2.extractChannel(samples, 1 - luma).reshape(height, width // 2, 2)
        u, v = (
            cv2.resize(cv2.extractChannel(pairs, place), (width, height), interpolation=cv2.INTER_NEAREST)
            for place in (0, 1)
        )
        planes = cv2.merge([cv2.extractChannel(samples, luma), v, u])  # OpenCV's Y, Cr, Cb
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2BGR), dtype=np.uint8)

    return convert


def _formats() -> dict[int, PixelFormat]:
    mosaics = {
        "BayerGR": (cv2.COLOR_BayerGRBG2BGR, 0x01080008, 0x0110000C, 0x01100010, 0x010C0026, 0x010C002A),
        "BayerRG": (cv2.COLOR_BayerRGGB2BGR, 0x01080009, 0x0110000D, 0x01100011, 0x010C0027, 0x010C002B),
        "BayerGB": (cv2.COLOR_BayerGBRG2BGR, 0x0108000A, 0x0110000E, 0x01100012, 0x010C0028, 0x010C002C),
        "BayerBG": (cv2.COLOR_BayerBGGR2BGR, 0x0108000B, 0x0110000F, 0x01100013, 0x010C0029, 0x010C002D),
    }
    # The numbers of the p formats are in another order: BG, GB, GR, RG.
    dense = {
        "BayerBG": (0x010A0052, 0x010C0053),
        "BayerGB": (0x010A0054, 0x010C0055),
        "BayerGR": (0x010A0056, 0x010C0057),
        "BayerRG": (0x010A0058, 0x010C0059),
    }
    found = {}

    def add(
        stem: str, codes: tuple[int, ...], dense: tuple[int, int], color: Callable[[Bytes], Bytes], host: bool
    ) -> None:
        eight, ten, twelve, ten_packed, twelve_packed = codes
        found[eight] = PixelFormat(f"{stem}8", 1, 1, _plain, color, host)
        found[ten] = PixelFormat(f"{stem}10", 2, 1, _sixteen(2), color, host)
        found[twelve] = PixelFormat(f"{stem}12", 2, 1, _sixteen(4), color, host)
        found[ten_packed] = PixelFormat(f"{stem}10Packed", 3, 2, _packed, color, host)
        found[twelve_packed] = PixelFormat(f"{stem}12Packed", 3, 2, _packed, color, host)
        found[dense[0]] = PixelFormat(f"{stem}10p", 5, 4, _ten_p, color, host)
        found[dense[1]] = PixelFormat(f"{stem}12p", 3, 2, _twelve_p, color, host)

    mono = (0x01080001, 0x01100003, 0x01100005, 0x010C0004, 0x010C0006)
    add("Mono", mono, (0x010A0046, 0x010C0047), _gray, False)
    for stem, (code, *numbers) in mosaics.items():
        add(stem, tuple(numbers), dense[stem], _mosaic(code), True)
    found[0x01100007] = PixelFormat("Mono16", 2, 1, _sixteen(8), _gray)
    found[0x02180014] = PixelFormat("RGB8", 3, 1, _plain, _rgb)
    found[0x02180015] = PixelFormat("BGR8", 3, 1, _plain, _bgr)
    found[0x02100032] = PixelFormat("YUV422_8", 2, 1, _plain, _yuv(0), True)
    found[0x0210001F] = PixelFormat("YUV422_8_UYVY", 2, 1, _plain, _yuv(1), True)
    found[0x0210003B] = PixelFormat("YCbCr422_8", 2, 1, _plain, _yuv(0), True)
    found[0x02100043] = PixelFormat("YCbCr422_8_CbYCrY", 2, 1, _plain, _yuv(1), True)
    return found


#: By PFNC number.
PIXEL_FORMATS = _formats()
#: Their names, and what cameras of GigE Vision before PFNC call the same.
FORMAT_NAMES = {format_.name: format_ for format_ in PIXEL_FORMATS.values()} | {
    old: next(format_ for format_ in PIXEL_FORMATS.values() if format_.name == new)
    for old, new in (
        ("RGB8Packed", "RGB8"),
        ("BGR8Packed", "BGR8"),
        ("YUV422Packed", "YUV422_8_UYVY"),
        ("YUV422_YUYV_Packed", "YUV422_8"),
    )
}
#: What costs this machine least.
CHEAP = ("RGB8", "BGR8", "RGB8Packed", "BGR8Packed", "Mono8")


def to_bgr(frame: RawFrame, name: str) -> NDArray[np.uint8]:
    """Convert a frame.

    Args:
        frame: a complete one.
        name: of the camera, for messages.

    Returns:
        uint8 H x W x 3 BGR, which owns its memory. Of samples with 10, 12 and 16 bits the eight highest bits.

    Raises:
        SourceError: the format is not one of ``PIXEL_FORMATS``, or there are fewer bytes than pixels.
    """
    format_ = PIXEL_FORMATS.get(frame.pixel_format)
    if format_ is None:
        raise unsupported(f"0x{frame.pixel_format:08X}", name, ())
    width, height = frame.width, frame.height
    if width < 1 or height < 1 or (width % 2 and "422" in format_.name):
        raise SourceError(f"{name}: a frame of {width} x {height} pixels cannot be {format_.name}.")
    data = np.frombuffer(frame.data, np.uint8)
    # Without padding lines follow each other without a gap, even in the middle of a byte.
    rows, columns = (height, width) if frame.padding else (1, width * height)
    bits = 8 * format_.group // format_.pixels
    needed = (columns * bits + 7) // 8
    stride = needed + frame.padding
    if len(data) < rows * stride - frame.padding:
        wanted = rows * stride - frame.padding
        raise SourceError(f"{name}: a frame has {len(data)} bytes instead of {wanted}.")
    missing = rows * stride - len(data)
    if missing > 0:  # the last line may come without its padding
        data = np.pad(data, (0, missing))
    lines = data[: rows * stride].reshape(rows, stride)[:, :needed]
    groups = -(-columns // format_.pixels)
    if groups * format_.group > needed:
        lines = np.pad(lines, ((0, 0), (0, groups * format_.group - needed)))
    samples = format_.top(lines.reshape(rows, groups, format_.group))
    # Samples per pixel: 1 for gray and mosaics, 2 for 4:2:2, 3 for colors.
    channels = samples.shape[-1] // format_.pixels
    samples = samples.reshape(rows, -1)[:, : columns * channels]
    shape = (height, width) if channels == 1 else (height, width, channels)
    return format_.color(np.ascontiguousarray(samples).reshape(shape))


def unsupported(format_: str, name: str, offered: tuple[str, ...]) -> DmddError:
    """The error for a format that cannot be converted.

    Args:
        format_: its name or number.
        name: of the camera.
        offered: the formats that the camera offers.
    """
    usable = [one for one in offered if one in FORMAT_NAMES] or [f.name for f in PIXEL_FORMATS.values()]
    return SourceError(
        f"{name}: the pixel format {format_} is not supported.",
        f"Choose another with PixelFormat=...: {', '.join(usable)}.",
    )
