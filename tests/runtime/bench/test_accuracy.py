from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.session import measure_accuracy
from dmdd_edge.runtime.bench.timed_detector import TimedDetector

from .conftest import FakeClock, TimedBackend

Make = Callable[..., Bundle]


@pytest.fixture
def data(tmp_path: Path, make_picture: Callable[..., NDArray[np.uint8]]) -> Path:
    """A category whose defects are patches of blue, which the graph sees; a good part has one, too."""
    root = tmp_path / "data" / "screw"
    image_set = {
        "train/good/0": make_picture(),
        "test/good/0": make_picture(),
        "test/good/1": make_picture(patch=120),
        "test/blue/0": make_picture(patch=204),
        "test/blue/1": make_picture(patch=100),
    }
    for name, image in image_set.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / f"{name}.png"), image)
    mask = np.zeros((128, 256), np.uint8)
    mask[20:40, 100:140] = 255
    (root / "ground_truth" / "blue").mkdir(parents=True)
    for name in ("0", "1"):
        cv2.imwrite(str(root / "ground_truth" / "blue" / f"{name}_mask.png"), mask)
    return root.parent


def test_the_figures_are_those_of_what_runs(make_bundle: Make, data: Path) -> None:
    told: list[tuple[int, int]] = []
    with TimedDetector.open(make_bundle().path, "cpu") as timed:
        found = measure_accuracy(timed, data, lambda done, total: told.append((done, total)))
    assert found.metrics is not None
    # Of the four pairs of a defective and a good image, one is the wrong way round: 100 against 120.
    assert found.metrics.image_auroc == 0.75
    # A patch of 40 x 20 pixels of 256 x 128 is 10 x 10 of 64 x 64. Blue of 204 outranks all normal pixels,
    # that of 100 all but the patch of 120 in the good image.
    patch, normal = 10 * 10, 4 * 64 * 64 - 2 * 10 * 10
    assert found.metrics.pixel_auroc == pytest.approx(1 - 0.5 * patch / normal, abs=1e-6)
    assert found.images == 4
    assert told[-1] == (4, 4)
    assert found.as_dict()["images"] == 4
    assert found.as_dict()["image_auroc"] == 0.75


def test_the_reason_without_figures(
    make_timed: Callable[..., TimedDetector], data: Path, clock: FakeClock
) -> None:
    timed = make_timed(TimedBackend(clock))
    found = measure_accuracy(timed, None)
    assert found.as_dict() == {"reason": "no data set: add --data DIR"}
    only_good = data / "screw" / "train" / "good"
    assert measure_accuracy(timed, only_good).as_dict() == {
        "reason": f"{only_good} has no test images of screw"
    }


def test_a_stop_gives_no_figures_of_a_part(
    make_timed: Callable[..., TimedDetector], data: Path, clock: FakeClock
) -> None:
    told: list[int] = []
    found = measure_accuracy(
        make_timed(TimedBackend(clock)), data, lambda done, total: told.append(done), lambda: True
    )
    assert found.as_dict() == {"reason": "stopped"}
    assert told == []


@dataclass
class Wrong(TimedBackend):
    """Answers with not-a-number."""

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        maps, scores = super().infer(images)
        return maps * np.float32("nan"), scores


def test_a_broken_graph_is_an_error(
    make_timed: Callable[..., TimedDetector], data: Path, clock: FakeClock
) -> None:
    with pytest.raises(DmddError, match="NaN or infinity"):
        measure_accuracy(make_timed(Wrong(clock)), data)
