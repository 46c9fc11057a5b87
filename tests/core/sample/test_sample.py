"""The drawn category: same seed same bytes, masks that mark just what was changed, nothing overwritten."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.images import read_image, read_mask
from dmdd_edge.errors import DmddError
from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.plate_defects import DEFECTS
from dmdd_edge.sample.write import _draw, draw, write_sample

SMALL = {"train": 3, "test_good": 2, "test_bad": 1, "size": 96}


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def plate():
    return Plate(128)


def test_layout(tmp_path):
    target = write_sample(tmp_path / "demo", "flange", **SMALL)
    category = load_category(tmp_path / "demo")
    assert target == category.root
    assert (category.name, category.layout, len(category.train), len(category.test)) == (
        "flange",
        "mvtec",
        3,
        7,
    )
    assert category.defects == sorted(DEFECTS) == ["chip", "dent", "missing_hole", "scratch", "stain"]
    assert not category.notes
    for image in category.test:
        assert read_image(image.path).shape == (96, 96, 3)
        if image.mask:
            assert read_mask(image.mask).shape == (96, 96)
            assert read_mask(image.mask).any()


def test_same_seed_same_bytes_and_more_images_leave_the_first_as_they_are(tmp_path):
    first = digest(write_sample(tmp_path / "a", **SMALL, seed=5))
    assert digest(write_sample(tmp_path / "b", **SMALL, seed=5)) == first
    more = digest(write_sample(tmp_path / "c", **{**SMALL, "train": 4, "test_bad": 2}, seed=5))
    images = {name: value for name, value in first.items() if name.endswith(".png")}
    assert {name: more[name] for name in images} == images
    other = digest(write_sample(tmp_path / "d", **SMALL, seed=6))
    assert not {value for name, value in other.items() if name.startswith("train")} & set(first.values())


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_the_mask_marks_just_what_was_changed(plate, defect):
    for k in range(4):
        rngs = [[np.random.default_rng([k, stream]) for stream in (0, 1)] for _ in range(2)]
        good, nothing = _draw(plate, rngs[0][0], rngs[0][1], None)
        bad, mask = _draw(plate, rngs[1][0], rngs[1][1], defect)
        change = np.abs(good.astype(int) - bad).max(axis=2)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0  # the lens blurs over the edge
        assert not nothing.any()
        assert change[~near].max() <= 2
        assert change[mask].mean() > 10  # seen among noise of about 2
        assert np.mean(change[mask] > 2) > 0.7
        assert 8 < mask.sum() < 0.08 * mask.size


def test_good_parts_vary(plate):
    images = [draw(plate, 0, "train", k)[0].astype(float) for k in range(4)]
    for a, b in ((0, 1), (1, 2), (2, 3)):
        assert np.abs(images[a] - images[b]).mean() > 3
    assert all(40 < image.mean() < 180 for image in images)
    assert all((image >= 254).mean() < 0.01 for image in images)  # not blown out


def test_an_existing_category_is_kept(tmp_path):
    target = write_sample(tmp_path, **SMALL)
    before = digest(target)
    with pytest.raises(DmddError, match="already exists") as caught:
        write_sample(tmp_path, **SMALL, seed=1)
    assert "--overwrite" in caught.value.fix
    assert digest(target) == before
    write_sample(tmp_path, **{**SMALL, "train": 1}, seed=1, overwrite=True)
    assert len(load_category(tmp_path).train) == 1


def test_a_folder_of_other_things_is_never_overwritten(tmp_path):
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate/precious.txt").write_text("mine")
    with pytest.raises(DmddError, match="it is not changed"):
        write_sample(tmp_path, **SMALL, overwrite=True)
    assert (tmp_path / "plate/precious.txt").read_text() == "mine"
    write_sample(tmp_path, "other", **SMALL)  # beside it is fine
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "plate"]


def test_a_break_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path, **SMALL, on_image=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"train": 0}, {"test_bad": -1}, {"size": 8}, {"seed": -1}, {"category": "a/b"}, {"category": ".."}],
)
def test_values_that_cannot_be(tmp_path, wrong):
    with pytest.raises(DmddError) as caught:
        write_sample(tmp_path, **{**SMALL, **wrong})
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_command_ends_with_the_next_one(tmp_path):
    import typer

    from dmdd_edge.cli import sample

    app = typer.Typer()
    sample.register(app)
    arguments = [
        str(tmp_path / "my demo"),
        "--train",
        "2",
        "--test-good",
        "1",
        "--test-bad",
        "1",
        "--size",
        "64",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2 good images to learn from, 1 good and 5 defective in 5 types" in result.stderr
    assert result.stderr.rstrip().endswith(f"dmdd-edge train --data '{tmp_path}/my demo' --category plate")
    assert result.stdout == ""


def test_after_large_images_the_next_command_cuts_tiles(tmp_path):
    import typer

    from dmdd_edge.cli import sample

    app = typer.Typer()
    sample.register(app)
    few = ["--train", "1", "--test-good", "0", "--test-bad", "0"]
    result = CliRunner().invoke(app, [str(tmp_path), *few, "--size", "512", "--part", "panel"])
    assert result.stderr.rstrip().endswith(f"dmdd-edge train --data {tmp_path} --category plate --tile auto")
