"""Drawn panels and webs: defects of the stated size, masks of just what changed, detail of a few pixels."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.images import read_image, read_mask
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.sample.options import SampleOptions, parse_sizes
from dmdd_edge.sample.panel import Panel
from dmdd_edge.sample.panel_defects import LARGE
from dmdd_edge.sample.write import draw, write_sample

PANEL = Panel(640, 640)


def pair(panel, defect, seed):
    """The image of a good part, and of the same part with the defect, and its mask."""
    good, nothing = panel.draw(np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1]), None)
    bad, mask = panel.draw(np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1]), defect)
    assert not nothing.any()
    return good, bad, mask, np.abs(good.astype(int) - bad).max(axis=2)


@pytest.mark.parametrize("size", [6, 12, 24])
def test_a_small_defect_has_the_stated_size_and_the_mask_marks_what_changed(size):
    for seed in range(4):
        _, _, mask, change = pair(PANEL, f"{size:03d}px", seed)
        _, _, width, height = cv2.boundingRect(mask.astype(np.uint8))
        assert max(width, height) in (size - 1, size)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0  # a slope reaches one pixel further
        assert change[~near].max() == 0
        assert change[mask].mean() > 20


@pytest.mark.parametrize("defect", LARGE)
@pytest.mark.parametrize("panel", [PANEL, Panel(256, 2048, endless=True)], ids=["panel", "web"])
def test_a_large_defect_covers_a_quarter_of_the_part(panel, defect):
    for seed in range(2):
        good, _, mask, change = pair(panel, defect, seed)
        part = cv2.morphologyEx((good[..., 1] > 70).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25)))
        assert 0.22 < mask.sum() / part.sum() < 0.29
        # A line that crosses the bend is drawn in pieces, and the light changes slowly.
        near = cv2.dilate(mask.astype(np.uint8), np.ones((33, 33))) > 0
        assert change[~near & (part > 0)].max() <= 2
        assert change[mask].mean() > 8
        assert change[~near].max() < 20  # the light over the mat beside the part


def test_a_larger_image_has_more_detail_and_not_larger_detail():
    for panel in (PANEL, Panel(1280, 1280), Panel(256, 2048, endless=True)):
        image = draw(panel, 0, "train", 0)[0][..., 1].astype(np.float32)
        enlarged = cv2.resize(
            cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
            image.shape[::-1],
            interpolation=cv2.INTER_CUBIC,
        )
        assert _detail(image) > 20 * _detail(enlarged)
    small, large = (draw(Panel(n, n), 0, "train", 0)[0][..., 1].astype(np.float32) for n in (640, 1280))
    assert _detail(large) == pytest.approx(_detail(small), rel=0.4)


def _detail(image):
    """Mean power of what a blur over one pixel takes away, of the part without the mat around it."""
    rows, columns = (slice(side // 10, -side // 10) for side in image.shape)
    return np.mean((image - cv2.GaussianBlur(image, (0, 0), 1.0))[rows, columns] ** 2)


def test_good_parts_vary():
    images = [draw(PANEL, 0, "train", k)[0].astype(float) for k in range(3)]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(images[a] - images[b]).mean() > 3
    assert all((image >= 254).mean() < 0.01 for image in images)


def test_same_arguments_same_bytes_and_another_seed_another_part():
    first, again, other = (draw(PANEL, seed, "test", 1, "012px") for seed in (0, 0, 1))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_a_category_of_panels(tmp_path):
    target = write_sample(
        tmp_path, "panel", train=1, test_good=1, test_bad=1, size=512, part="panel", defect_sizes=(20, 5)
    )
    category = load_category(tmp_path / "panel")
    assert category.defects == ["005px", "020px", "bent", "missing", "stain"]
    assert json.loads((target / "sample.json").read_text())["part"] == "panel"
    for image in category.test:
        assert read_image(image.path).shape == (512, 512, 3)
        assert image.mask is None or read_mask(image.mask).any()


def test_a_web_is_eight_times_as_wide_as_high_and_has_no_end_in_the_image(tmp_path):
    target = write_sample(tmp_path, "web", train=2, test_good=0, test_bad=0, size=256, part="web")
    for path in sorted((target / "train/good").iterdir()):
        image = read_image(path)
        assert image.shape == (256, 2048, 3)
        middle = image[100:156].mean(axis=2)
        assert np.median(middle[:, :8]) > 70
        assert np.median(middle[:, -8:]) > 70


def test_the_part_follows_from_the_size_unless_it_is_named(tmp_path):
    counts = {"train": 1, "test_good": 0, "test_bad": 0}
    for name, values, part in (
        ("small", {"size": 96}, "plate"),
        ("large", {"size": 1025}, "panel"),
        ("named", {"size": 512, "part": "panel"}, "panel"),
    ):
        target = write_sample(tmp_path, name, **counts, **values)
        assert json.loads((target / "sample.json").read_text())["part"] == part


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 300, "part": "panel"}, "300 pixels is not supported for a panel"),
        ({"size": 4097, "part": "web"}, "4097 pixels is not supported for a web"),
        ({"size": 4096, "part": "plate"}, "4096 pixels is not supported for a plate"),
        ({"size": 512, "part": "box"}, "'box' cannot be drawn"),
        ({"size": 512, "part": "panel", "defect_sizes": (2,)}, "Defects of 2 pixels"),
        ({"size": 512, "part": "panel", "defect_sizes": ()}, "Defects of no pixels"),
    ],
)
def test_what_cannot_be_drawn(tmp_path, wrong, message):
    with pytest.raises(DmddError, match=message) as caught:
        write_sample(tmp_path, train=1, **wrong)
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_defects_on_the_command_line(tmp_path):
    assert parse_sizes("12,6,6") == (12, 6)
    assert SampleOptions(folder=tmp_path, defect_sizes="8").defect_sizes == (8,)
    for text in ("2,6", "6,65", "six", ""):
        with pytest.raises(OptionError, match="--defect-sizes"):
            parse_sizes(text)
