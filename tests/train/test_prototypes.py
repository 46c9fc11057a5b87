"""The nearest usual feature: against scipy, its share of the score, and what a run keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from dmdd_edge.train import scales, score_choice
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.other_cameras import as_other_cameras_see, images_changed
from dmdd_edge.train.prototypes import COUNT, STAGE, FeaturePrototypes
from dmdd_edge.train.scales import choose_weights
from dmdd_edge.train.score_choice import choose_score
from dmdd_edge.train.session import train

CHANNELS = (3, 5, 4, 6)


def features(seed: int, count: int) -> list[Tensor]:
    """Four stages, with a mean far from zero."""
    rng = np.random.default_rng(seed)
    shapes = zip(CHANNELS, (16, 8, 4, 2), strict=True)
    return [torch.from_numpy(rng.normal(30.0, 2.0, (count, c, side, side))).float() for c, side in shapes]


def rows(feature: Tensor) -> np.ndarray:
    return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1]).double().numpy()


def test_with_room_for_all_the_distance_is_to_the_nearest_feature_seen() -> None:
    seen, other = features(1, 9), features(2, 3)  # 144 features at the stage
    module = FeaturePrototypes(CHANNELS)
    module.fit([[part[:4] for part in seen], [part[4:] for part in seen]])
    expected = cdist(rows(other[STAGE]), rows(seen[STAGE])).min(1)
    np.testing.assert_allclose(module(other).flatten().numpy(), expected, rtol=1e-3, atol=1e-3)
    assert float(module(seen).max()) < 0.02  # each is its own nearest


def test_prototypes_cover_what_was_seen() -> None:
    seen = features(3, 60)  # 960 features
    module = FeaturePrototypes(CHANNELS)
    module.fit([seen])
    farthest = float(module(seen).max())
    rng = np.random.default_rng(0)
    drawn = rows(seen[STAGE])[rng.choice(960, COUNT, replace=False)]
    assert farthest < 0.8 * cdist(rows(seen[STAGE]), drawn).min(1).max()


def scaled_head() -> ScaledHead:
    return ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64, prototypes="auto"))


def test_shares_of_map_and_score() -> None:
    head = scaled_head()
    of_branches = torch.tensor([1.0, 1.0, 2.0, 0.5, 0.3, 0.3, 0.6, 0.15]) / 5.85
    head.weigh_score(0.25)
    torch.testing.assert_close(head.share, torch.cat([0.75 * of_branches, torch.tensor([0.25])]))
    assert float(head.map_share[-1]) == 0
    head.drop_prototypes()
    assert head.channels == 8


@pytest.mark.parametrize(
    ("branches", "memory", "share"),
    [
        (1.0, 5.0, 0.5),  # the prototypes see the damage better
        (5.0, 5.0, 0.5),  # both see it: the prototypes are preferred
        (3.0, -3.0, 0.0),  # to the prototypes damage looks more usual than good parts
    ],
)
def test_the_share_follows_what_finds_made_damage(branches: float, memory: float, share: float) -> None:
    """Peaks of good images are normal numbers; those of damage are moved by so many spreads."""
    rng = np.random.default_rng(4)
    kinds = ["good"] * 40 + ["spot"] * 40 + ["warp"] * 40
    moved = np.array([kind != "good" for kind in kinds])[:, None]
    z = rng.normal(size=(120, 9)) + moved * np.array([branches] * 8 + [memory])
    head = scaled_head()
    head.level.fill_(10.0)
    head.spread.fill_(1.0)
    stacked = torch.from_numpy(10.0 + z).float()[:, :, None, None].expand(-1, -1, 16, 16)
    assert choose_score(head, [stacked[:50], stacked[50:]], kinds) == (share, False)
    assert float(head.share[-1]) == pytest.approx(share)


@pytest.mark.parametrize(("sees_changes", "share"), [(False, 0.5), (True, 0.0)])
def test_good_images_of_other_cameras_count_as_good(
    monkeypatch: pytest.MonkeyPatch, sees_changes: bool, share: float
) -> None:
    """The prototypes find damage best, but take what a camera changes for a defect; the branches do not."""
    normals = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    known = {image.tobytes() for image in normals}
    others = {image.tobytes() for image in as_other_cameras_see(normals)}
    assert len(others) == images_changed(40, 64) == 192
    assert not known & others
    rng = np.random.default_rng(4)

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        of_image = [image.tobytes() for image in images]
        damaged = np.array([name not in known and name not in others for name in of_image], np.float32)
        changed = np.array([sees_changes and name in others for name in of_image], np.float32)
        peaks = [10 + rng.normal(size=len(images)) + damaged] * 8
        peaks.append(10 + rng.normal(size=len(images)) + 4 * damaged + 20 * changed)
        return [torch.from_numpy(each).float()[:, None, None].expand(-1, 16, 16) for each in peaks]

    monkeypatch.setattr(scales, "_COUNT", 16)
    monkeypatch.setattr(scales, "_LEAST", 16)
    head = scaled_head()
    head.level.fill_(10.0)
    head.spread.fill_(1.0)
    assert choose_weights(head, distances, normals, [None] * 40).prototypes == share


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_run_of_few_images_keeps_the_prototypes_that_it_chose(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(score_choice, "SHARES", (share,))
    shape = {"head": "scaled", "density": "off"}
    outcome = train(
        tiny_config(shape, steps=1), tmp_path / "run", Listener(), resume=False, tensorboard=False
    )
    kept = share > 0
    loaded = load_run(tmp_path / "run")
    assert loaded.info["map_weights"]["prototypes"] == (share if kept else 0)
    assert (loaded.model.prototypes is not None) == kept
    assert loaded.model.head.channels == (9 if kept else 8)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(image).scores, outcome.run.model(image).scores)
