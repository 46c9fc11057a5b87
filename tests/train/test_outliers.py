"""Images that look out of place: the score by hand, what is not to be named, and the warning."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dmdd_edge.cli.main import app
from dmdd_edge.sample import write_sample
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.outlier_patches import all_patches, cells_on_part, unusual_patches
from dmdd_edge.train.outliers import (
    FEWEST,
    Outliers,
    describe,
    find_outliers,
    limit,
    outlier_scores,
    z_scores,
)
from dmdd_edge.train.session import train

CPU = torch.device("cpu")


def by_hand(patches: np.ndarray) -> np.ndarray:
    """The score as the module describes it, in plain loops."""
    count, each, _ = patches.shape
    far, beside = np.zeros((count, each)), {}
    for i in range(count):
        for p in range(each):
            found = []
            for j in range(count):
                if j != i:
                    distances = np.linalg.norm(patches[j] - patches[i, p], axis=1)
                    found.append((distances.min(), j, int(distances.argmin())))
            nearest = sorted(found)[:3]
            far[i, p], beside[i, p] = nearest[-1][0], [(j, q) for _, j, q in nearest]
    scores = np.zeros((count, each))
    for (i, p), places in beside.items():
        scores[i, p] = far[i, p] ** 2 / np.mean([far[place] for place in places])
    return np.sort(scores, 1)[:, -8:].mean(1)


def test_the_score_against_plain_loops() -> None:
    patches = np.random.default_rng(0).normal(0, 1, (9, 12, 5))
    found = outlier_scores(torch.from_numpy(patches).float()).numpy()
    np.testing.assert_allclose(found, by_hand(patches), rtol=1e-4)


def test_one_strange_patch_is_enough_and_variation_is_not() -> None:
    """Image 4 has a patch like no other; all images share a place that varies widely."""
    rng = np.random.default_rng(1)
    patches = rng.normal(0, 0.1, (40, 20, 6))
    patches[:, 0] += rng.normal(0, 1.5, (40, 6)) + 8
    patches[4, 10] += 3
    z = z_scores(outlier_scores(torch.from_numpy(patches).float()).numpy())
    assert int(z.argmax()) == 4
    assert z[4] > limit(40) > np.sort(z)[-2]


def test_two_of_the_same_do_not_excuse_each_other() -> None:
    rng = np.random.default_rng(2)
    patches = rng.normal(0, 0.1, (40, 20, 6))
    for index in (4, 5):
        patches[index, 10] = 3 + rng.normal(0, 0.01, 6)
    z = z_scores(outlier_scores(torch.from_numpy(patches).float()).numpy())
    assert set(np.argsort(-z)[:2].tolist()) == {4, 5}
    assert z[[4, 5]].min() > limit(40)


def test_z_scores_are_those_of_a_normal_distribution_and_outliers_do_not_widen_them() -> None:
    logs = np.random.default_rng(3).normal(2.0, 0.5, 20001)
    z = z_scores(np.exp(logs))
    assert np.median(z) == pytest.approx(0, abs=1e-9)
    assert float(np.quantile(z, 0.8413)) == pytest.approx(1, abs=0.05)
    few = np.exp(np.r_[np.linspace(-1, 1, 95), [50] * 5])
    assert z_scores(few)[-1] > 40
    assert np.isfinite(z_scores(np.zeros(10))).all()


def test_the_limit_is_higher_for_few_images() -> None:
    assert limit(10) == pytest.approx(8.5)
    assert limit(400) == pytest.approx(4.6)


class Grid(torch.nn.Module):
    """A teacher whose two middle levels are the image itself, averaged at strides 8 and 16."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.avg_pool2d(x, stride) + 1e-3 for stride in (4, 8, 16, 32)]


def colours(count: int, size: int = 128) -> np.ndarray:
    rng = np.random.default_rng(4)
    plain = (
        np.array([120, 90, 60])
        + rng.normal(0, 2, (count, 1, 1, 3))
        + rng.normal(0, 4, (count, size, size, 3))
    )
    return np.clip(plain, 0, 255).astype(np.uint8)


def test_a_stained_image_is_named() -> None:
    images = colours(30)
    images[7, 40:72, 8:40] = (20, 20, 220)
    paths = [Path(f"{k}.png") for k in range(30)]
    found = find_outliers(Grid(), torch.nn.Identity(), images.astype(np.float32), paths, [None] * 30, CPU)
    assert [path.name for path, _ in found.named] == ["7.png"]
    # The same stain where the part is not, is no business of ours while the part has patches enough.
    part = np.zeros((128, 128), np.bool_)
    part[:, 64:] = True
    away = find_outliers(Grid(), torch.nn.Identity(), images.astype(np.float32), paths, [part] * 30, CPU)
    assert away.z[7] < away.limit < found.z[7]


def test_patches_have_unit_length_levels_and_the_grid_of_the_image() -> None:
    images = colours(3).astype(np.float32)
    patches = all_patches(Grid(), torch.nn.Identity(), images, CPU)
    assert patches.shape == (3, 16 * 16, 6)
    # Each level has length one before its patches are averaged, and neighbours here are nearly alike.
    for level in (patches[..., :3], patches[..., 3:]):
        assert level.float().norm(dim=2).min() > 0.98
    part = np.zeros((128, 128), np.bool_)
    part[:64, :64] = True
    cells = cells_on_part(part, 16).reshape(16, 16)
    assert cells[:8, :8].all()
    assert not cells[9:, :].any()
    assert cells_on_part(None, 16).sum() == 256


def test_the_least_usual_patches_are_chosen() -> None:
    rng = np.random.default_rng(5)
    patches = rng.normal(0, 0.1, (12, 400, 8))
    patches[:, 17] += 2 * np.arange(12)[:, None]
    chosen = unusual_patches(torch.from_numpy(patches).half(), torch.ones(12, 400))
    assert chosen.shape == (12, 84 + 12, 8)
    last = torch.from_numpy(patches[11, 17]).half().float()
    assert (chosen[11] - last).abs().sum(1).min() < 1e-3
    off = torch.ones(12, 400)
    off[:, 17] = 0
    chosen = unusual_patches(torch.from_numpy(patches).half(), off)
    assert (chosen[11] - last).abs().sum(1).min() > 1


def test_too_few_images_are_not_judged() -> None:
    count = FEWEST - 1
    paths = [Path(f"{k}.png") for k in range(count)]
    found = find_outliers(Grid(), torch.nn.Identity(), colours(count), paths, [None] * count, CPU)
    assert found.named == []


def test_many_images_are_held_against_each_other_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.train.outliers._GROUP", 12)
    images = colours(40, 64).astype(np.float32)
    images[9, 20:40, 20:40] = (20, 20, 220)
    paths = [Path(f"{k}.png") for k in range(40)]
    found = find_outliers(Grid(), torch.nn.Identity(), images, paths, [None] * 40, CPU)
    assert [path.name for path, _ in found.named] == ["9.png"]


def test_the_warning_names_the_files_furthest_first() -> None:
    paths = [Path(f"/parts/{k}.png") for k in range(20)]
    z = np.zeros(20)
    z[[3, 11]] = (6.5, 9.25)
    found = Outliers(paths, z, 4.5).as_dict()
    assert found["images"] == [{"file": "/parts/11.png", "z": 9.25}, {"file": "/parts/3.png", "z": 6.5}]
    assert found["furthest"][:2] == found["images"]
    assert len(found["furthest"]) == 12
    lines = describe(found)
    assert lines[0].startswith("2 training images look out of place")
    assert "/parts/11.png (9.2 times the usual spread from the others)" in lines[1]
    assert describe(found, shown=1)[-1] == "  and 1 more, in run.json"
    assert describe({"limit": 4.5, "images": []}) == []
    assert describe(None) == []
    one = describe(Outliers(paths[:4], np.array([0, 9.0, 0, 0]), 4.5).as_dict())
    assert one[0].startswith("1 training image looks out of place")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn plates, of which one training image has a bright sheet of paper on it."""
    root = tmp_path_factory.mktemp("spoilt")
    folder = write_sample(root, train=24, test_good=1, test_bad=1, size=64, seed=5)
    file = folder / "train" / "good" / "013.png"
    image = cv2.imread(str(file))
    assert image is not None
    image[20:44, 16:40] = (40, 230, 250)
    cv2.imwrite(str(file), image)
    return root


@pytest.fixture
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' backbone has random weights, and sees a sheet of paper less well than a trained one."""
    monkeypatch.setattr("dmdd_edge.train.outliers.limit", lambda count: 3.0)


@pytest.mark.usefixtures("sooner")
def test_training_keeps_and_logs_the_warning(
    spoilt: Path, tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    config = tiny_config(data=spoilt, steps=2, head_steps=1)
    outcome = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False)
    found = load_run(tmp_path / "run").info["outliers"]
    assert found == outcome.run.info["outliers"]
    assert [Path(item["file"]).name for item in found["images"]] == ["013.png"]
    assert found["limit"] == 3.0
    assert found["seconds"] >= 0
    assert "013.png" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("sooner")
def test_the_command_warns_before_the_next_step(spoilt: Path, tiny_weights: Path, tmp_path: Path) -> None:
    options = [
        "train", "--data", spoilt, "--category", "plate", "--runs-dir", tmp_path / "runs",
        "--backbone", "timm:test_efficientnet", "--weights", tiny_weights, "--image-size", 64,
        "--steps", 2, "--batch-size", 2, "--device", "cpu", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(app, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    lines = result.stderr.strip().splitlines()
    at = next(i for i, line in enumerate(lines) if "1 training image looks out of place" in line)
    assert "013.png" in lines[at + 1]
    assert lines[-1].startswith("next: ")
    json.loads(result.stdout)
    shutil.rmtree(tmp_path / "runs")
