"""`evaluate` on a bundle and the user's own folders, as on an edge box: without torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import write_calibration
from dmdd_edge.bundle.gate import Gate
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.quality import FrameLimits
from tests.runtime.forked import Forked

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]

#: Runs the program where torch and its kin cannot be imported.
LEAN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "onnx", "safetensors"):
            raise ModuleNotFoundError(name, name=name)
assert "torch" not in sys.modules
sys.meta_path.insert(0, Refuse())
from dmdd_edge.cli.main import main
main()
"""


@pytest.fixture
def lean(tmp_path: Path, forked: Forked) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["evaluate", "--backend", "cpu", *map(str, arguments)]
        return forked.run(words, tmp_path, 60, LEAN)

    return run


@pytest.fixture
def folders(tmp_path: Path, make_picture: Picture) -> Path:
    """The score is the bluest pixel: 4 good parts, one of them too blue, and 3 defects, one of them faint."""
    parts = {
        "ok/0": None, "ok/1": 20, "ok/b/2": 90, "ok/b/3": 230,
        "ng/dent/0": 250, "ng/dent/1": 100, "ng/chip/0": 204,
    }  # fmt: skip
    for name, patch in parts.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), make_picture(patch=patch))
    for name in ("dent/0", "chip/0"):
        mask = np.zeros((128, 256), np.uint8)
        mask[20:40, 100:140] = 255
        path = tmp_path / "truth" / f"{name}_mask.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)
    return tmp_path


def test_found_and_false_alarms_first_figures_behind_and_a_page(
    make_bundle: Make, folders: Path, lean: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    make_bundle()
    options = (
        "--good",
        "ok",
        "--bad",
        "ng",
        "--masks",
        "truth",
        "--report",
        "page.html",
        "--json",
        "--quiet",
    )
    done = lean("--category", "screw", *options)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "screw: 2 of 3 defects found, 1 of 4 good parts rejected, at threshold 0.5000"
    assert lines[1] == "found: chip 1 of 1, dent 1 of 2"
    assert lines[2] == "rejected: good 0 of 2, good/b 1 of 2"
    assert lines[3].startswith("promise: at most 33 % of good parts rejected")
    assert lines[-1].startswith("next: dmdd-edge run --category screw")
    found = json.loads(done.stdout)
    for name in ("backbone", "image_size", "steps", "seed", "pro", "image_ap", "train_seconds"):
        assert name in found
    # 10 of the 12 pairs are in order: 100 and 204 are below 230.
    assert found["image_auroc"] == pytest.approx(10 / 12)
    assert found["pixel_auroc"] is not None
    assert set(found["per_defect"]) == {"dent", "chip"}
    assert (found["threshold"], found["threshold_origin"]) == (0.5, "manifest")
    assert found["at_threshold"]["groups"]["good/b"]["above"] == 1
    page = (folders / "page.html").read_text()
    assert "2 of 3" in page
    assert "Bundle " in page


@pytest.mark.slow
def test_one_kind_alone_and_the_calibrated_threshold(
    make_bundle: Make, folders: Path, lean: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    bundle = make_bundle()
    good = json.loads(lean("--model", bundle.path, "--good", "ok", "--json").stdout)
    assert (good["at_threshold"]["false_alarms"], good["at_threshold"]["good"]) == (1, 4)
    assert good["image_auroc"] is None
    bad = lean("--bad", "ng")
    assert bad.returncode == 0, bad.stderr
    assert "screw: 2 of 3 defects found, at threshold 0.5000" in bad.stderr
    assert "promise" not in bad.stderr
    both = lean("--good", "ok", "--bad", "ng")
    assert "px, %" in both.stderr  # this bundle does not know how long it was trained


def test_what_cannot_be_judged_is_counted_apart(
    make_bundle: Make,
    folders: Path,
    lean: Callable[..., subprocess.CompletedProcess[str]],
    make_picture: Picture,
) -> None:
    limits = FrameLimits(mean_min=20, mean_max=255, saturated_max=1, black_max=1, sharpness_min=0, images=1)
    make_bundle(frame_limits=limits)
    cv2.imwrite(str(folders / "ok" / "0.png"), make_picture(0))
    done = lean("--good", "ok")
    assert "unreliable: 1 image cannot be judged" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--category", "screw"], "A bundle holds no images"),
        (["--good", "nowhere"], "there is no such folder"),
        (["--good", "ok", "--data", "ok"], "--data is given together with"),
        (["--masks", "truth"], "--masks has no effect without --bad"),
        (["--model", "nowhere", "--good", "ok"], "nowhere"),
    ],
)
def test_a_users_error_has_a_fix(
    arguments: list[str],
    words: str,
    make_bundle: Make,
    folders: Path,
    lean: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    make_bundle()
    done = lean(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "fix:" in done.stderr


@pytest.mark.parametrize(("area", "found", "rejected"), [("800px", 2, 1), ("801px", 0, 0)])
def test_evaluate_decides_with_the_smallest_area_of_the_calibration(
    make_bundle: Make,
    folders: Path,
    lean: Callable[..., subprocess.CompletedProcess[str]],
    area: str,
    found: int,
    rejected: int,
) -> None:
    # Each patch is 40 x 20 pixels of the source image.
    write_calibration(make_bundle(), threshold_from_normals([0.25, 0.5]), "good/", gate=Gate(min_area=area))
    done = lean("--category", "screw", "--good", "ok", "--bad", "ng", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["min_area"] == area
    assert (counts["at_threshold"]["found"], counts["at_threshold"]["false_alarms"]) == (found, rejected)
