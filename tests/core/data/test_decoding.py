"""Decoding pictures: what is read, what is refused before it is decoded, and what is damaged inside."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image

from dmdd_edge.data.decoding import decode_bytes, read_file, readable_suffixes
from dmdd_edge.data.images import read_image, read_mask, to_uint8
from dmdd_edge.errors import DmddError

PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).normal(128, 40, (200, 150, 3)).clip(0, 255).astype(np.uint8), (0, 0), 1.5
)
# Each kind of JPEG whose blocks can be counted: colour at half and full size, restart marks, grey.
JPEGS = {
    "half": (PICTURE, []),
    "full": (PICTURE, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
    "restart": (PICTURE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 7]),
    "optimised": (PICTURE, [cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    "grey": (PICTURE[..., 0], []),
}


def jpeg(kind="half"):
    image, options = JPEGS[kind]
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def saved(form, image=None, **options):
    file = io.BytesIO()
    (image or Image.fromarray(PICTURE[..., ::-1])).save(file, form, **options)
    return file.getvalue()


def png_header(width, height):
    """A PNG of a few bytes that claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", JPEGS)
def test_a_whole_jpeg_comes_out_as_opencv_decodes_it(kind):
    data = jpeg(kind)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode_bytes(data, "x").image, expected)
    # What follows the end mark is no part of the picture, whatever it looks like.
    behind = decode_bytes(data + b"METADATA\xff\xda" + bytes(16), "x").image
    np.testing.assert_array_equal(behind, expected)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("damage", ["lost", "replaced", "repeated"])
def test_a_jpeg_that_is_damaged_inside_is_refused(kind, damage):
    data = jpeg(kind)
    for share in (0.3, 0.5, 0.8):
        at = int(len(data) * share)
        piece = {
            "lost": b"",
            "replaced": np.random.default_rng(at).integers(0, 255, 512, dtype=np.uint8).tobytes(),
            "repeated": data[at : at + 512] * 2,
        }[damage]
        with pytest.raises(DmddError, match=r"part\.jpg: the JPEG is damaged"):
            decode_bytes(data[:at] + piece + data[at + 512 :], "part.jpg")


@pytest.mark.parametrize("kind", JPEGS)
def test_even_pictures_and_padded_ones_are_whole(kind):
    _, options = JPEGS[kind]
    for value in (0, 128, 255):
        flat = np.full((64, 48, 3), value, np.uint8)
        data = cv2.imencode(".jpg", flat, options)[1].tobytes()
        assert decode_bytes(data, "x").image.shape == flat.shape
        # Encoders of cameras leave a few bytes before the end mark, or fill up.
        assert (
            decode_bytes(data[:-2] + b"\x12\x34\x56" + bytes(40) + data[-2:], "x").image.shape == flat.shape
        )


def test_a_progressive_jpeg_needs_its_end_mark():
    data = saved("JPEG", progressive=True)
    assert decode_bytes(data, "x").image.shape == PICTURE.shape
    with pytest.raises(DmddError, match="ends too early"):
        decode_bytes(data[:-200], "x")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_progressive_jpeg_that_is_damaged_inside_is_refused(share):
    data = saved("JPEG", progressive=True, quality=95)
    at = int(len(data) * share)
    # A packet lost, blocks that never reached the disk, an end mark put behind a cut file.
    for damaged in (
        data[:at] + data[at + 1460 :],
        data[:at] + bytes(len(data) - at - 2) + data[-2:],
        data[:at] + data[-2:],
    ):
        with pytest.raises(DmddError, match="the JPEG is damaged inside"):
            decode_bytes(damaged, "x")
    filled = data[:-2] + bytes(40) + data[-2:]
    assert decode_bytes(filled, "x").image.shape == PICTURE.shape


def test_nothing_of_a_damaged_picture_reaches_the_terminal(capfd):
    png = saved("PNG")
    files = [png[:500] + b"x" + png[501:], jpeg()[:-2] + b"\x12\x34\x56\x78" * 8 + jpeg()[-2:]]
    files.append(png[:33] + b"\0\0\0\1tEXtxBADC" + png[33:])
    for data in files * 2:
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert "libpng" in capfd.readouterr().err  # what OpenCV alone prints
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_tried, files * 20))
    assert capfd.readouterr().err == ""
    cv2.imdecode(np.frombuffer(files[0], np.uint8), cv2.IMREAD_COLOR)
    assert "libpng" in capfd.readouterr().err  # others' lines are not held back afterwards


def _tried(data):
    with suppress(DmddError):
        decode_bytes(data, "x")
        decode_bytes(saved("JPEG", progressive=True)[:-900] + b"\xff\xd9", "x")


def test_a_small_file_of_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    huge = png_header(50_000, 50_000)
    monkeypatch.setattr(cv2, "imdecode", None)  # not even tried
    with pytest.raises(DmddError, match="50000 x 50000 pixels; at most 120 megapixels") as caught:
        decode_bytes(huge, "camera")
    assert "DMDD_MAX_MEGAPIXELS" in caught.value.fix
    (tmp_path / "huge.png").write_bytes(huge)
    for read in (read_image, read_mask):
        with pytest.raises(DmddError, match="120 megapixels"):
            read(tmp_path / "huge.png")


def test_the_limit_can_be_moved(monkeypatch):
    data = saved("PNG")
    monkeypatch.setenv("DMDD_MAX_MEGAPIXELS", "0.03")  # 200 x 150 are just that
    assert decode_bytes(data, "x").image.shape == PICTURE.shape
    monkeypatch.setenv("DMDD_MAX_MEGAPIXELS", "0.02")
    with pytest.raises(DmddError, match=r"0\.02 megapixels"):
        decode_bytes(data, "x")
    monkeypatch.setenv("DMDD_MAX_MEGAPIXELS", "many")
    with pytest.raises(DmddError, match="must be a number above 0"):
        decode_bytes(data, "x")


@pytest.mark.parametrize("suffix", readable_suffixes())
def test_every_suffix_that_is_listed_is_read(suffix):
    name = {".jpe": ".jpg", ".jfif": ".jpg", ".dib": ".bmp"}.get(suffix, suffix)
    image = PICTURE[..., 0] if suffix == ".pgm" else PICTURE
    done, data = cv2.imencode(name, image[..., 0] if suffix == ".pbm" else image)
    assert done
    decoded = decode_bytes(data.tobytes(), "x")
    assert (decoded.header.width, decoded.header.height) == (150, 200)
    assert decoded.image.shape == PICTURE.shape


def test_unusual_pixels_are_converted():
    picture = Image.fromarray(PICTURE[..., ::-1])
    grey = np.asarray(picture.convert("L"))
    black = np.asarray(picture.convert("1")).astype(np.uint8) * 255
    palette = picture.convert("P")
    cases = {
        "CMYK": (saved("JPEG", picture.convert("CMYK"), quality=98), PICTURE),
        "1 bit": (saved("PNG", picture.convert("1")), np.dstack([black] * 3)),
        "grey and alpha": (saved("PNG", picture.convert("LA")), np.dstack([grey] * 3)),
        "palette with a transparent colour": (
            saved("PNG", palette, transparency=3),
            np.asarray(palette.convert("RGB"))[..., ::-1],
        ),
    }
    for name, (data, expected) in cases.items():
        found = decode_bytes(data, name).image
        assert np.abs(found.astype(int) - expected).mean() < 2, name


def test_the_orientation_of_a_photograph_is_applied():
    exif = Image.Exif()
    exif[0x112] = 6  # the camera was held upright: turn it clockwise
    data = saved("JPEG", exif=exif, quality=98)
    found = decode_bytes(data, "x").image
    assert np.abs(found.astype(int) - cv2.rotate(PICTURE, cv2.ROTATE_90_CLOCKWISE)).mean() < 3


@pytest.mark.parametrize(("kind", "mode"), [("float32", "F"), ("int32", "I")])
def test_the_pixel_type_of_a_tiff_is_named(kind, mode):
    data = saved("TIFF", Image.fromarray(PICTURE[..., 0]).convert(mode))
    with pytest.raises(DmddError, match=f"holds {kind} pixels; 8 or 16 bits can be read") as caught:
        decode_bytes(data, "x")
    assert "PNG" in caught.value.fix


@pytest.mark.parametrize(
    ("form", "several"), [("PNG", True), ("TIFF", True), ("GIF", True), ("WEBP", True), ("TIFF", False)]
)
def test_pages_after_the_first_are_known(form, several):
    first, second = Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())
    options = {"save_all": True, "append_images": [second], "loop": 0} if several else {}
    decoded = decode_bytes(saved(form, first, **options), "x")
    assert decoded.header.more == several
    assert decoded.image.shape == PICTURE.shape


def test_what_is_no_image_file_says_so(tmp_path):
    (tmp_path / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    os.mkfifo(tmp_path / "pipe.png")  # opened, it would wait for ever
    reasons = {
        "pointer.png": "Git LFS pointer",
        "pipe.png": "a device or a pipe",
        "a\0b.png": "can have this name",
    }
    for name, reason in reasons.items():
        with pytest.raises(DmddError, match=reason):
            read_file(tmp_path / name)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_sixteen_bit_files_of_fewer_bits(bits):
    top = 2**bits - 1
    values = np.array([[0, top // 3, top // 2, top, 65535]], np.uint16)
    expected = np.rint(np.minimum(values, top) / top * 255)
    np.testing.assert_array_equal(to_uint8(values, bits), expected)
    assert to_uint8(np.array([7], np.uint8), bits)[0] == 7  # eight bits are eight bits


def test_a_large_image_of_16_bits_takes_no_more_memory_than_its_values() -> None:
    image = np.full((3000, 1000, 3), 65535, np.uint16)
    tracemalloc.start()
    try:
        scaled = to_uint8(image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (scaled == 255).all()
    assert peak < 1.5 * scaled.nbytes


def tiff(image, big, side):
    """A gray 16-bit TIFF or BigTIFF in tiles of this side, written by hand."""
    number, offset = ("Q", 16) if big else ("I", 8)
    rows, columns = image.shape
    tiles = [image[y : y + side, x : x + side] for y in range(0, rows, side) for x in range(0, columns, side)]
    body = b"".join(
        np.pad(part, ((0, side - part.shape[0]), (0, side - part.shape[1]))).tobytes() for part in tiles
    )
    size = 2 * side * side
    places = [offset + index * size for index in range(len(tiles))]
    lists = {324: places, 325: [size] * len(tiles)}
    known = {256: columns, 257: rows, 258: 16, 259: 1, 262: 1, 277: 1, 322: side, 323: side}
    entries, room = [], 8 if big else 4
    for tag in sorted({**known, **lists}):
        values = lists.get(tag, [known.get(tag, 0)])
        raw = struct.pack(f"<{len(values)}{number}", *values)
        if len(raw) > room:
            raw, body = struct.pack(f"<{number}", offset + len(body)), body + raw
        entries.append(struct.pack(f"<HH{number}", tag, 16 if big else 4, len(values)) + raw)
    start = offset + len(body)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start)
    count = struct.pack("<Q" if big else "<H", len(entries))
    return head + body + count + b"".join(entries) + bytes(room)


@pytest.mark.parametrize("big", [False, True])
def test_tiled_and_big_tiff_files_are_read(big):
    image = np.random.default_rng(0).integers(0, 65536, (100, 150), np.uint16)
    found = decode_bytes(tiff(image, big, 64), "x")
    assert (found.header.width, found.header.height, found.header.layout) == (150, 100, "uint16")
    np.testing.assert_array_equal(found.image[..., 1], image)
