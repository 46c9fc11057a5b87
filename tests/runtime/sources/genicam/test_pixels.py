"""Every pixel format against a conversion written out pixel by pixel in plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.genicam.interface import RawFrame
from dmdd_edge.runtime.sources.genicam.pixels import FORMAT_NAMES, PIXEL_FORMATS, to_bgr
from tests.runtime.sources.genicam.cameras import needs_viva

_CODES = {format_.name: code for code, format_ in PIXEL_FORMATS.items()}
_GRAY_BITS = {
    "Mono8": 8,
    "Mono10": 10,
    "Mono12": 12,
    "Mono16": 16,
    "Mono10p": 10,
    "Mono12p": 12,
    "Mono10Packed": 10,
    "Mono12Packed": 12,
}
_PATTERNS = {"BayerRG": "RGGB", "BayerGR": "GRBG", "BayerGB": "GBRG", "BayerBG": "BGGR"}
_DEPTHS = ("8", "10", "12", "10p", "12p", "10Packed", "12Packed")


def pack(values: list[int], suffix: str) -> bytes:
    """Pack values as the format with this suffix, bit by bit as the standards draw it."""
    if suffix in ("8",):
        return bytes(values)
    if suffix in ("10", "12", "16"):
        return b"".join(value.to_bytes(2, "little") for value in values)
    bits = 10 if suffix.startswith("10") else 12
    if suffix.endswith("p"):  # one stream of bits, the lowest first
        stream = 0
        for place, value in enumerate(values):
            stream |= value << (bits * place)
        return stream.to_bytes((bits * len(values) + 7) // 8, "little")
    packed = b""  # two pixels in three bytes, the low ends of both in the middle one
    for first, second in zip(values[::2], [*values[1::2], 0], strict=False):
        low = bits - 8
        mask = (1 << low) - 1
        packed += bytes([first >> low, (first & mask) | (second & mask) << 4, second >> low])
    return packed


def frame(data: bytes, width: int, height: int, name: str, padding: int = 0) -> RawFrame:
    return RawFrame(data, width, height, padding, _CODES[name])


@pytest.mark.parametrize("name", _GRAY_BITS)
@pytest.mark.parametrize("size", [(16, 16), (18, 17), (20, 3)])
def test_gray_takes_the_eight_highest_bits_of_every_pixel(name: str, size: tuple[int, int]) -> None:
    width, height = size
    bits = _GRAY_BITS[name]
    rng = random.Random(f"{name}{size}")
    values = [rng.randrange(1 << bits) for _ in range(width * height)]
    values[:4] = [0, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 8)) - 1]

    image = to_bgr(frame(pack(values, name.removeprefix("Mono")), width, height, name), "camera")

    assert image.dtype == np.uint8
    assert image.flags.owndata
    assert image.shape == (height, width, 3)
    for place, value in enumerate(values):
        assert image[place // width, place % width].tolist() == [value // 2 ** (bits - 8)] * 3


@pytest.mark.parametrize(("name", "suffix"), [("Mono8", "8"), ("Mono10p", "10p"), ("Mono12p", "12p")])
def test_padding_after_each_line_is_no_pixels(name: str, suffix: str) -> None:
    rng = random.Random(1)
    bits = _GRAY_BITS[name]
    lines = [[rng.randrange(1 << bits) for _ in range(18)] for _ in range(4)]
    data = b"".join(pack(line, suffix) + b"\xff" * 6 for line in lines)

    image = to_bgr(frame(data[:-6], 18, 4, name, padding=6), "camera")

    assert image[:, :, 0].tolist() == [[value >> (bits - 8) for value in line] for line in lines]


# Colors as (blue, green, red), one per quarter; no two channels and no two quarters are alike.
_QUARTERS = [(250, 20, 90), (10, 200, 60), (30, 80, 240), (120, 160, 40)]


def _drawn(width: int, height: int) -> list[list[tuple[int, int, int]]]:
    return [
        [_QUARTERS[2 * (2 * y >= height) + (2 * x >= width)] for x in range(width)] for y in range(height)
    ]


@pytest.mark.parametrize("depth", _DEPTHS)
@pytest.mark.parametrize("pattern", _PATTERNS)
def test_a_drawn_picture_keeps_its_colors_through_every_mosaic(pattern: str, depth: str) -> None:
    width, height = 32, 24
    bits = int("".join(filter(str.isdigit, depth)))
    picture = _drawn(width, height)
    values = []
    for y in range(height):
        for x in range(width):
            color = _PATTERNS[pattern][2 * (y % 2) + x % 2]
            # The low bits differ from pixel to pixel; the fixed scale takes them away.
            values.append((picture[y][x]["BGR".index(color)] << (bits - 8)) + (x + y) % (1 << (bits - 8)))

    image = to_bgr(frame(pack(values, depth), width, height, f"{pattern}{depth}"), "camera")

    # Within a quarter all neighbors are alike, so that interpolating is exact.
    for y in (2, 5, height - 6, height - 3):
        for x in (2, 7, width - 8, width - 3):
            assert tuple(image[y, x].tolist()) == picture[y][x], (x, y)


def test_colors_of_the_camera_are_put_in_our_order() -> None:
    pixels = [(10, 20, 30), (200, 100, 50), (1, 2, 3), (255, 0, 128)] * 4
    data = b"".join(bytes(pixel) for pixel in pixels)

    bgr = to_bgr(frame(data, 4, 4, "BGR8"), "camera")
    rgb = to_bgr(frame(data, 4, 4, "RGB8"), "camera")

    assert bgr.reshape(-1, 3).tolist() == [list(pixel) for pixel in pixels]
    assert rgb.reshape(-1, 3).tolist() == [list(pixel[::-1]) for pixel in pixels]
    bgr[0, 0] = 0  # owns its memory


@pytest.mark.parametrize("name", ["YUV422_8", "YUV422_8_UYVY", "YCbCr422_8", "YCbCr422_8_CbYCrY"])
def test_yuv_is_converted_by_the_equations_of_full_range(name: str) -> None:
    width, height = 16, 8
    rng = random.Random(name)
    pairs = [[rng.randrange(256) for _ in range(4)] for _ in range(width * height // 2)]
    pairs[0], pairs[1] = [255, 128, 0, 128], [81, 90, 81, 240]  # y0, u, y1, v
    chroma_first = name in ("YUV422_8_UYVY", "YCbCr422_8_CbYCrY")
    data = b"".join(bytes([u, y0, v, y1] if chroma_first else [y0, u, y1, v]) for y0, u, y1, v in pairs)

    image = to_bgr(frame(data, width, height, name), "camera").reshape(-1, 3)

    for number, (y0, u, y1, v) in enumerate(pairs):
        for place, y in ((2 * number, y0), (2 * number + 1, y1)):
            # JPEG's (ITU-T T.871): white is 255, black is 0.
            exact = (
                y + 1.772 * (u - 128),
                y - 0.344136 * (u - 128) - 0.714136 * (v - 128),
                y + 1.402 * (v - 128),
            )
            for got, value in zip(image[place].tolist(), exact, strict=True):
                assert abs(got - min(max(value, 0), 255)) <= 1.01


def test_a_short_frame_and_an_unknown_format_are_errors() -> None:
    with pytest.raises(SourceError, match="255 bytes instead of 256"):
        to_bgr(frame(bytes(255), 16, 16, "Mono8"), "camera")
    with pytest.raises(SourceError, match="383 bytes instead of 384"):
        to_bgr(frame(bytes(383), 16, 16, "Mono12p"), "camera")
    with pytest.raises(SourceError, match="0x02300012"):
        to_bgr(RawFrame(bytes(100), 4, 4, 0, 0x02300012), "camera")
    with pytest.raises(SourceError, match="15 x 16 pixels cannot be YUV422_8"):
        to_bgr(frame(bytes(480), 15, 16, "YUV422_8"), "camera")


@needs_viva
@pytest.mark.parametrize("name", [*_GRAY_BITS, "RGB8", "BGR8", "YUV422_8", "YUV422_8_UYVY", "YCbCr422_8"])
@pytest.mark.parametrize("width", [16, 18])
def test_another_library_reads_the_same_bytes_alike(name: str, width: int) -> None:
    from viva_genicam import Frame

    height = 6
    data = random.Random(name).randbytes(width * height * 3)
    other = Frame.from_bytes(data, width, height, name)

    ours = to_bgr(frame(data, width, height, name), "camera")

    assert other.pixel_format_code == _CODES[name]
    if name in _GRAY_BITS and _GRAY_BITS[name] > 8:
        deep = np.minimum(np.asarray(other.to_numpy(), np.uint16), (1 << 16) - 1)
        limit = (1 << _GRAY_BITS[name]) - 1
        assert np.array_equal(ours[:, :, 0], np.minimum(deep, limit) >> (_GRAY_BITS[name] - 8))
    else:
        difference = ours[:, :, ::-1].astype(int) - other.to_rgb8().astype(int)
        assert np.abs(difference).max() <= (1 if "422" in name else 0)


@needs_viva
def test_the_numbers_of_the_formats_are_those_of_another_library() -> None:
    from viva_genicam import Frame

    for name, code in _CODES.items():
        assert Frame.from_bytes(bytes(4 * 4 * 4), 4, 4, name).pixel_format_code == code, name


def test_the_old_names_mean_the_same_formats() -> None:
    assert FORMAT_NAMES["YUV422Packed"] is PIXEL_FORMATS[0x0210001F]
    assert FORMAT_NAMES["RGB8Packed"] is FORMAT_NAMES["RGB8"]
