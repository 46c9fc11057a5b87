"""Parts in any direction: when they are turned, how exactly, and what a run and its graph keep of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dmdd_edge.train.alignment import Alignment
from dmdd_edge.train.brightness import Brightness
from dmdd_edge.train.synthesis import nuisances
from tests.train.drawn_bolts import Image, bolt, bolts, write_bolts


def fitted(images: Image) -> Alignment:
    alignment = Alignment(images.shape[1])
    assert alignment.fit(images) is None
    return alignment


def tensor(images: Image) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def test_parts_in_any_direction_come_to_lie_the_same_way() -> None:
    images = bolts(40, size=128)
    aligned = fitted(images[:20]).changed(images).astype(np.float32)
    typical = np.median(aligned, axis=0)
    assert np.median(np.abs(images - typical).mean((1, 2, 3))) > 10  # before
    assert np.abs(aligned - typical).mean((1, 2, 3)).max() < 4
    rows, columns = np.nonzero(typical.mean(2) > 100)
    assert abs(rows.mean() - 63.5) < 1.5
    assert abs((columns.min() + columns.max()) / 2 - 63.5) < 2.5
    assert np.ptp(columns) > 2 * np.ptp(rows)
    assert typical[:, : columns.min() + 8].mean() > typical[:, columns.max() - 8 :].mean()  # the head is left


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 45.0, -135.0, 89.99])
def test_no_direction_is_special(degrees: float) -> None:
    images = bolts(20)
    alignment = fitted(images)
    pose = alignment.pose(tensor(bolt(degrees)[None]).float())
    found = np.rad2deg(np.arctan2(float(pose.sine), float(pose.cosine)))
    assert abs((found - degrees + 180) % 360 - 180) < 1.5
    assert float(pose.cosine**2 + pose.sine**2) == pytest.approx(1, abs=1e-4)


def test_a_map_is_turned_back_to_where_the_image_shows_it() -> None:
    images = bolts(20, size=128)
    alignment = fitted(images)
    marked = images.copy()
    places = []
    for index, image in enumerate(marked):
        rows, columns = np.nonzero(image.mean(2) > 100)
        place = int(columns[len(columns) // 3]), int(rows[len(rows) // 3])
        cv2.circle(marked[index], place, 3, (255, 0, 0), -1)
        places.append(place)
    aligned, pose = alignment(tensor(marked))
    blue = (aligned[:, 0] - aligned[:, 2]).clamp(min=0)
    back = alignment.back(blue, torch.zeros(20), pose)[0].numpy()
    for found, (column, row) in zip(back, places, strict=True):
        top, left = np.unravel_index(int(cv2.GaussianBlur(found, (0, 0), 2).argmax()), found.shape)
        assert np.hypot(top - row, left - column) < 2


def test_a_map_of_ones_says_where_the_aligned_image_reaches() -> None:
    images = bolts(20)
    alignment = fitted(images)
    _, pose = alignment(tensor(images))
    reached, _ = alignment.back(torch.ones(20, 64, 64), torch.zeros(20), pose)
    middle = reached[:, 16:48, 16:48]
    torch.testing.assert_close(middle, torch.ones_like(middle))
    assert float(reached.min()) == 0  # a corner
    assert float(reached.max()) <= 1 + 1e-5


def test_a_corner_that_the_aligned_image_does_not_show_is_not_passed() -> None:
    images = bolts(40, size=128)
    alignment = fitted(images[:20])
    judged = torch.full((1, 128, 128), 0.6), torch.zeros(1)
    noticed = 0
    for image in images:
        assert float(alignment.back(*judged, alignment.pose(tensor(image[None]).float()))[1]) == 0
        marked = image.copy()
        marked[4:18, 4:18] = 200
        maps, scores = alignment.back(*judged, alignment.pose(tensor(marked[None]).float()))
        assert float(maps[0, 10:12, 10:12].min()) > 0.3  # judged by the networks, or noticed
        noticed += float(scores) > 0.5
    assert 10 < noticed < 40


def test_one_image_with_something_in_its_corner_does_not_hide_all_others() -> None:
    images = bolts(40, size=128)
    marked = images.copy()
    marked[:, 2:18, 2:18] = 200
    noticed = np.nonzero(fitted(images).noticed(marked))[0]
    assert len(noticed) > 5
    images[noticed[0]] = marked[noticed[0]]
    alignment = fitted(images)
    assert list(np.nonzero(alignment.noticed(images))[0]) == [noticed[0]]
    assert np.count_nonzero(alignment.noticed(marked)) == len(noticed)


@pytest.mark.parametrize("gain", [0.85, 1.15])
def test_other_light_does_not_move_the_part(gain: float) -> None:
    # Dark, on a bright background.
    images = (255 - bolts(20, size=128).astype(np.float32) * 0.8).astype(np.uint8)
    alignment = fitted(images)
    lit = nuisances.changed(images, nuisances.light, gain * 0.85, 0)
    plain = nuisances.changed(images, nuisances.light, 0.85, 0)
    before, after = (alignment.pose(tensor(some).float()) for some in (plain, lit))
    assert float(torch.hypot(before.x - after.x, before.y - after.y).max()) < 0.3


def test_a_part_as_long_as_the_diagonal_is_made_smaller() -> None:
    rng = np.random.default_rng(0)
    angles = 45 + 90 * rng.integers(4, size=12)
    long = np.stack([bolt(angle, size=128, length=1.02, seed=index) for index, angle in enumerate(angles)])
    alignment = fitted(long)
    assert float(alignment.scale) > 1.03
    typical = np.median(alignment.changed(long), axis=0).mean(2)
    columns = np.nonzero((typical > 100).any(0))[0]
    assert columns.min() >= 1
    assert columns.max() <= 126


def round_parts() -> Image:
    images = np.full((12, 64, 64, 3), 40, np.uint8)
    for index, image in enumerate(images):
        cv2.circle(image, (32, 32), 18, (180, 180, 180), -1)
        angle = np.deg2rad(33 * index)
        cv2.circle(image, (int(32 + 10 * np.cos(angle)), int(32 + 10 * np.sin(angle))), 4, (90, 90, 90), -1)
    return images


def pairs() -> Image:
    rng = np.random.default_rng(1)
    images = []
    for index in range(12):
        first = bolt(rng.uniform(0, 360), at=(-0.22, 0), length=0.4, seed=index)
        images.append(np.maximum(first, bolt(rng.uniform(0, 360), at=(0.22, 0), length=0.4)))
    return np.stack(images)


def textures() -> Image:
    return np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (bolts(7), "fewer than 8 images"),
        (round_parts(), "not long enough"),
        (pairs(), "more than one thing"),
        (textures(), "no single part"),
        (np.stack([bolt(20 + index % 5, seed=index) for index in range(12)]), "the same orientation"),
        (
            np.stack([bolt(20 + index % 5, ends_alike=True, seed=index) for index in range(12)]),
            "the same orientation",
        ),
        (np.full((12, 64, 64, 3), 90, np.uint8), "no single part"),
    ],
    ids=["few", "round", "pairs", "texture", "one way", "one way, ends alike", "one gray"],
)
def test_what_cannot_or_need_not_be_turned_is_left(images: Image, reason: str) -> None:
    found = Alignment(64).fit(images)
    assert found is not None
    assert reason in found


def test_a_part_that_lies_either_way_round_is_turned() -> None:
    images = np.stack([bolt(180 * (index % 2), seed=index) for index in range(12)])
    aligned = fitted(images).changed(images).astype(np.float32)
    assert np.abs(aligned - np.median(aligned, axis=0)).mean((1, 2, 3)).max() < 5


def test_an_image_without_a_part_gives_finite_values() -> None:
    alignment = fitted(bolts(12))
    for value in (0, 90, 255):
        aligned, pose = alignment(tensor(np.full((1, 64, 64, 3), value, np.uint8)))
        assert torch.isfinite(alignment.back(aligned[:, 0], torch.zeros(1), pose)[0]).all()
        torch.testing.assert_close(aligned, torch.full_like(aligned, value), atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def aligned_run(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of bolts; not to be changed."""
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.session import train

    folder = tmp_path_factory.mktemp("bolts")
    config = bolt_config(tiny_config, write_bolts(folder / "data"))
    return train(config, folder / "run", Listener(), resume=False, tensorboard=False).run


def bolt_config(tiny_config: Callable[..., Any], data: Path, **values: Any) -> Any:
    return tiny_config({"head": "sum"}, data=data, category="bolt", **values)


def test_a_run_says_that_it_turns_images(aligned_run: Any) -> None:
    facts = json.loads((aligned_run.folder / "run.json").read_text())
    assert facts["alignment"] == {"aligned": True, "reason": None}
    assert facts["brightness"] == {"changed": True, "reason": None}
    said = (aligned_run.folder / "train.log").read_text()
    assert "the parts have different orientations: each image is rotated first (--align auto)" in said


@torch.no_grad()
def test_a_loaded_run_turns_images_likewise(aligned_run: Any) -> None:
    from dmdd_edge.train.checkpoint import load_run

    loaded, images = load_run(aligned_run.folder).model, tensor(bolts(4, 50))
    ours, theirs = loaded(images), aligned_run.model.eval()(images)
    torch.testing.assert_close(ours.maps, theirs.maps)
    for name, value in aligned_run.model.alignment.named_buffers():
        assert torch.equal(value, loaded.alignment.get_buffer(name))
    for name, value in aligned_run.model.brightness.named_buffers():
        assert torch.equal(value, loaded.brightness.get_buffer(name))


@torch.no_grad()
def test_the_map_turns_with_the_part(aligned_run: Any) -> None:
    model = aligned_run.model.eval()
    first = model(tensor(bolt(0)[None])).maps[0].numpy()
    for angle in (30, 90, 200):
        found = model(tensor(bolt(angle)[None])).maps[0].numpy()
        matrix = cv2.getRotationMatrix2D((31.5, 31.5), angle, 1)
        upright = cv2.warpAffine(found, matrix, (64, 64))
        middle = slice(12, 52)
        both = np.corrcoef(upright[middle, middle].ravel(), first[middle, middle].ravel())
        assert both[0, 1] > 0.9


@torch.no_grad()
def test_other_light_hardly_changes_a_map(aligned_run: Any) -> None:
    model, images = aligned_run.model.eval(), bolts(6, 50)
    darker = nuisances.changed(images, nuisances.light, 0.88, 0)

    def change() -> float:
        before, after = (model(tensor(some)).maps for some in (images, darker))
        return float((after - before).abs().mean())

    with_it, brightness = change(), model.brightness
    model.brightness = None
    without = change()
    model.brightness = brightness
    assert with_it < 0.5 * without


def test_switched_off_nothing_is_turned(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.trainer import Trainer

    config = tiny_config(
        {"head": "sum", "align": "off"}, data=write_bolts(tmp_path / "data"), category="bolt"
    )
    run = Trainer(config, load_category(config.data, "bolt"), tmp_path / "run", Listener()).run()
    assert run.model.alignment is None
    assert run.info["alignment"] == {"aligned": False, "reason": "switched off"}


def test_a_continued_run_aligns_as_the_one_before(aligned_run: Any, tmp_path: Path) -> None:
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.options import TrainOptions
    from dmdd_edge.train.plan import plan_training
    from dmdd_edge.train.session import train

    lot = write_bolts(tmp_path / "more", good=8, test=1, seed=900) / "bolt" / "train" / "good"
    options = TrainOptions(continue_run=str(aligned_run.folder), add=(lot,), steps=2, runs_dir=tmp_path)
    plan = plan_training(options)
    for resume in (False, True):  # resumed, nothing is left but what follows the training
        run = train(plan.config, plan.folder, Listener(), resume=resume, tensorboard=False).run
        assert run.info["alignment"] == {"aligned": True, "reason": None}
        assert run.info["brightness"] == {"changed": True, "reason": None}
        for name, value in aligned_run.model.alignment.named_buffers():
            assert torch.equal(value, run.model.alignment.get_buffer(name))
        for name, value in aligned_run.model.brightness.named_buffers():
            assert torch.equal(value, run.model.brightness.get_buffer(name))


def test_ignored_pixels_are_not_rotated_with_the_part(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.data.preprocess import Preprocess
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.trainer import Trainer

    mask = np.zeros((64, 64), np.uint8)
    mask[:4, :4] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    preprocess = Preprocess.from_options(ignore_mask=tmp_path / "mask.png", source_shape=(64, 64, 3), size=64)
    config = bolt_config(tiny_config, write_bolts(tmp_path / "data"), preprocess=preprocess, steps=1)
    run = Trainer(config, load_category(config.data, "bolt"), tmp_path / "run", Listener()).run()
    assert not run.info["alignment"]["aligned"]
    assert run.model.alignment is None


class Turning(nn.Module):
    """Turns an image and makes it as bright as others, and turns its mean over the colors back, as the graph
    does with its maps."""

    def __init__(self, alignment: Alignment, images: Image) -> None:
        super().__init__()
        self.alignment, self.brightness = alignment, Brightness(64)
        assert self.brightness.fit(alignment.changed(images)) is None

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        aligned, pose = self.alignment(image.permute(0, 3, 1, 2))
        aligned = self.brightness(aligned)
        return self.alignment.back(aligned.mean(1) / 255.0, aligned.mean((1, 2, 3)) / 255.0, pose)


@torch.no_grad()
def test_onnx_runtime_turns_images_as_torch_does(tmp_path: Path) -> None:
    import onnxruntime

    from dmdd_edge.export.onnx_file import write_onnx

    images = bolts(12, 70)
    module = Turning(fitted(images), images)
    images[3, :12, :12] = 220
    images[6:] = nuisances.changed(images[6:], nuisances.light, 0.85, 0)
    write_onnx(module, tmp_path / "turning.onnx", 64)
    session = onnxruntime.InferenceSession(tmp_path / "turning.onnx", providers=["CPUExecutionProvider"])
    for found, expected in zip(
        session.run(None, {"image": images}), module(torch.from_numpy(images)), strict=True
    ):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


@torch.no_grad()
def test_the_graph_turns_images_as_the_model_does(aligned_run: Any) -> None:
    from dmdd_edge.export.graph import DeploymentGraph

    model, images = aligned_run.model.eval(), bolts(5, 70)
    expected = model(tensor(images))
    for half, limit in ((False, 1e-4), (True, 2e-2)):
        maps, scores = DeploymentGraph(model, half=half)(torch.from_numpy(images))
        torch.testing.assert_close(maps, expected.maps, atol=limit, rtol=0)
        torch.testing.assert_close(scores, expected.scores, atol=limit, rtol=0)
