"""A threshold is not set from images that do not look like good parts, unless the user says so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.cli import calibrate
from dmdd_edge.data.look import look_at, look_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.calibration_doubts import at_zero, doubts, few
from dmdd_edge.runtime.normal_scores import NormalScores

Make = Callable[..., Bundle]
EXPORTED = [0.40, 0.43, 0.45, 0.48, 0.50]


def scored(*scores: float, **fields: object) -> NormalScores:
    sources = tuple(f"{number}.png" for number in range(len(scores)))
    return NormalScores(scores, scores, 0, 0, sources=sources, **fields)  # type: ignore[arg-type]


@pytest.fixture
def bundle(make_bundle: Make) -> Bundle:
    return make_bundle(threshold=threshold_from_normals(EXPORTED))


@pytest.mark.parametrize(
    "scores",
    [
        EXPORTED,
        [0.41, 0.55, 0.48, 0.44, 0.52, 0.47],  # a little wider
        [0.05, 0.06, 0.05, 0.45, 0.44, 0.30],  # far lower harms nobody
        [0.49],
        [0.3, 0.49],
    ],
)
def test_good_parts_raise_no_doubt(scores: list[float], bundle: Bundle) -> None:
    assert doubts(bundle, scored(*scores)) == []


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.63, 0.70, 0.75, 0.98], ["4 of 4 images are above the exported threshold 0.5000"]),
        (
            [0.44, 0.46, 0.45, 0.47, 0.43, 0.93],
            ["1 of 6 images stands out", "reach 0.4700", "5.png has 0.9300"],
        ),
        ([0.30, 0.36, 0.42, 0.48, 0.54, 0.60], ["differ from each other: scores from 0.3000 to 0.6000"]),
    ],
)
def test_what_is_doubtful_is_named_with_its_numbers(
    scores: list[float], words: list[str], bundle: Bundle
) -> None:
    (line,) = doubts(bundle, scored(*scores))
    assert [word for word in words if word not in line] == []


def test_frames_that_cannot_be_judged_and_mixed_sizes_are_doubtful(bundle: Bundle) -> None:
    found = NormalScores((0.4,), (0.4,), 2, 1, "0.png: too dark")
    assert doubts(bundle, found) == [
        "3 of 4 images cannot be judged and are omitted; the first: 0.png: too dark"
    ]
    looks = tuple(look_at(np.zeros((side, side, 3), np.uint8), Preprocess()) for side in (32, 48))
    assert "different sizes (32 x 32, 48 x 48)" in doubts(bundle, scored(0.4, 0.4, looks=looks))[0]


def test_the_cause_is_named_where_the_look_tells_it(make_bundle: Make) -> None:
    def seen(level: int) -> NDArray[np.uint8]:
        return np.random.default_rng(level).integers(level - 9, level + 9, (64, 64, 3)).astype(np.uint8)

    look = look_of([look_at(seen(100), Preprocess())])
    bundle = make_bundle(threshold=threshold_from_normals(EXPORTED), look=look)
    line = doubts(bundle, scored(0.6, 0.6, looks=(look_at(seen(40), Preprocess()),)))[0]
    assert "and they are darker (mean level" in line


@pytest.mark.slow
def test_doubtful_images_need_yes(
    make_bundle: Make, tmp_path: Path, dmdd_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    bundle = make_bundle()
    (tmp_path / "stained").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "stained" / f"{number}.png"), np.full((64, 64, 3), 200 + number, np.uint8))
    refused = dmdd_edge("calibrate", "--source", "stained")
    assert refused.returncode == 1
    assert "doubtful: 3 of 3 images are above the exported threshold 0.5000" in refused.stderr
    assert "--yes" in refused.stderr.partition("fix:")[2]
    beside = list(bundle.path.parent.glob("calibration-*"))
    assert beside == []
    done = dmdd_edge("calibrate", "--source", "stained", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["doubts"]) == 2  # few, and above the threshold
    assert document["threshold"]["image"] == pytest.approx(202 / 255)
    assert "--undo" in done.stderr


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (19, 1), (20, 0), (99, 0)])
def test_few_images_support_only_a_high_rate(count: int, lines: int) -> None:
    assert len(few(threshold_from_normals([0.4] * count))) == lines


@pytest.mark.parametrize("answer", [True, False])
def test_a_terminal_is_asked(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("dmdd_edge.cli.console.console._force_terminal", True)
    monkeypatch.setattr(typer, "confirm", lambda question, err: answer)
    if answer:
        calibrate._confirm(["3 of 3"], yes=False)
    else:
        with pytest.raises(DmddError, match="not changed"):
            calibrate._confirm(["3 of 3"], yes=False)


def test_a_threshold_of_0_needs_a_confirmation() -> None:
    assert at_zero(0.0) == [
        "the threshold would be 0, so every score above 0 is an alarm; scores of 0 are not usual"
    ]
    assert at_zero(1e-9) == []
