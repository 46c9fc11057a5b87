"""Reading, resizing and listing images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from dmdd_edge.data.images import list_images, natural_key, read_image, resize, resize_mask
from dmdd_edge.errors import DmddError


@pytest.fixture
def colour():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def save(path, image):
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_colour_and_grey_come_back_as_bgr(tmp_path, colour, suffix):
    np.testing.assert_array_equal(read_image(save(tmp_path / f"c{suffix}", colour)), colour)
    grey = read_image(save(tmp_path / f"g{suffix}", colour[..., 1]))
    np.testing.assert_array_equal(grey, np.repeat(colour[..., 1:2], 3, axis=2))


def test_channel_order_is_bgr(tmp_path):
    # Another library, which reads RGB, says what the file really holds.
    from skimage.io import imread

    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 2] = 200
    path = save(tmp_path / "red.png", red)
    assert imread(path)[0, 0].tolist() == [200, 0, 0]
    assert read_image(path)[0, 0].tolist() == [0, 0, 200]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_scale_by_the_full_range(tmp_path, suffix):
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    expected = np.rint(values / 65535 * 255)
    np.testing.assert_array_equal(read_image(save(tmp_path / f"g{suffix}", values))[..., 0], expected)
    # Twelve bits in the low end stay dark: the scale never depends on the image.
    assert read_image(save(tmp_path / f"low{suffix}", values // 16)).max() == 16


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_is_dropped(tmp_path, colour, depth):
    scale = 257 if depth == np.uint16 else 1
    alpha = np.zeros((*colour.shape[:2], 1), np.uint8)
    image = np.dstack([colour, alpha]).astype(depth) * depth(scale)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", image)), colour)


def test_any_path_can_be_read(tmp_path, colour):
    folder = tmp_path / "größe 寸法"
    folder.mkdir()
    _, data = cv2.imencode(".png", colour)
    (folder / "täglich #1.png").write_bytes(data.tobytes())
    np.testing.assert_array_equal(read_image(folder / "täglich #1.png"), colour)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_cut_off_file_is_an_error(tmp_path, colour, suffix, share):
    path = save(tmp_path / f"whole{suffix}", colour)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DmddError, match=f"whole{suffix}"):
        read_image(path)


def test_unreadable_files_are_named_with_the_reason(tmp_path, colour):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image at all")
    save(tmp_path / "tiny.png", colour[:15])
    save(tmp_path / "float.tif", colour.astype(np.float32))
    reasons = {
        "empty.png": "empty",
        "text.png": "not an image",
        "tiny.png": "56 x 15 pixels is too small",
        "float.tif": "float32",
        "absent.png": "no such file",
        ".": "cannot be read",
    }
    for name, reason in reasons.items():
        with pytest.raises(DmddError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path) in caught.value.message
        assert caught.value.fix


def test_smallest_image(tmp_path, colour):
    assert read_image(save(tmp_path / "small.png", colour[:16, :16])).shape == (16, 16, 3)


def test_shrinking_averages_over_areas():
    image = np.random.default_rng(1).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    expected = downscale_local_mean(image.astype(float), (3, 2, 1))
    assert np.abs(resize(image, 32) - expected).max() <= 0.5 + 1e-6


def test_enlarging_interpolates_between_pixel_centres():
    image = np.repeat(np.array([[0], [100]], np.uint8)[..., None], 3, axis=2)
    # Centres of the four new rows lie at -0.25, 0.25, 0.75, 1.25 of the old ones.
    assert resize(image, 4)[:, 0, 0].tolist() == [0, 25, 75, 100]


def test_one_axis_shrinks_while_the_other_grows():
    # Stripes one pixel wide must average to grey; plain interpolation would keep black or white ones.
    image = np.zeros((16, 512, 3), np.uint8)
    image[:, ::2] = 254
    result = resize(image, 64)
    assert result.shape == (64, 64, 3)
    assert np.abs(result.astype(int) - 127).max() <= 1


def test_an_image_of_the_right_size_is_returned_itself(colour):
    square = colour[:32, :32]
    assert resize(square, 32) is square


def test_mask_shrinks_by_half_coverage():
    mask = np.zeros((8, 8), bool)
    mask[0:2, 0:1] = True  # half of the first 2 x 2 block
    mask[4, 4] = True  # a quarter of another
    expected = np.zeros((4, 4), bool)
    expected[0, 0] = True
    np.testing.assert_array_equal(resize_mask(mask, 4), expected)


def test_a_thin_mask_never_vanishes():
    mask = np.zeros((64, 64), bool)
    mask[10, 5:50] = True
    result = resize_mask(mask, 16)
    assert result[2, 2:12].all()
    assert result[:2].sum() + result[3:].sum() == 0


def test_natural_order():
    text = "a1.png A02.png a2.png a10.png a10b a.png ab.png b/1 b/9 b/10 b1/0"
    paths = [Path(name) for name in text.split()]
    assert sorted(set(paths), key=natural_key) == paths


def test_listing_is_natural_and_leaves_out_what_is_no_image(tmp_path):
    for name in (
        "10.png",
        "2.png",
        "1.JPG",
        "b.bmp",
        "a.TIFF",
        "notes.txt",
        ".hidden.png",
        "sub/3.png",
        ".git/4.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path)] == ["1.JPG", "2.png", "10.png", "a.TIFF", "b.bmp"]
    found = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path, recursive=True)]
    assert found == ["1.JPG", "2.png", "10.png", "a.TIFF", "b.bmp", "sub/3.png"]
    with pytest.raises(DmddError, match="no such folder"):
        list_images(tmp_path / "absent")
