"""A band and a smallest area on their way through detector, run and its outputs."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import read_calibration, write_calibration
from dmdd_edge.bundle.gate import Gate
from dmdd_edge.bundle.threshold import Threshold, threshold_from_normals
from dmdd_edge.cli.main import app
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay
from dmdd_edge.runtime.sinks.resume import Done
from dmdd_edge.runtime.summary import RunStatistics
from dmdd_edge.runtime.verdict import failures

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


def banded(suspect: float = 0.4, image: float = 0.6) -> Threshold:
    """Suspect above one of these scores, anomalous above the other."""
    return threshold_from_normals([0.1, suspect, image], 0.2, suspect_rate=0.5)


@pytest.fixture
def parts(tmp_path: Path, make_picture: Picture) -> Path:
    """A good part (score 30 / 255), a suspect one (0.5) and two anomalous ones, of which one is a speck."""
    folder = tmp_path / "parts"
    folder.mkdir()
    pictures = {
        "a_good": make_picture(),
        "b_suspect": make_picture(patch=128),
        "c_anomalous": make_picture(patch=204),
        "d_speck": make_picture(patch=204, box=(100, 20, 4, 2)),  # one pixel of the map, 8 of the source
    }
    for name, image in pictures.items():
        assert cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def test_two_rates_by_hand() -> None:
    assert (banded().suspect, banded().image) == (0.4, 0.6)


def test_a_suspect_frame_has_its_status_and_the_regions_of_the_lower_threshold(
    make_bundle: Make, make_picture: Picture
) -> None:
    bundle = make_bundle(threshold=banded())
    with Detector.load(bundle.path, backend="cpu") as detector:
        good, suspect, bad = detector([make_picture(), make_picture(patch=128), make_picture(patch=204)])
    assert [r.status for r in (good, suspect, bad)] == ["good", "suspect", "anomalous"]
    assert [r.is_anomalous for r in (good, suspect, bad)] == [False, False, True]
    assert suspect.normalized_score == pytest.approx(0.5 * (128 / 255) / 0.6)
    assert (suspect.threshold, suspect.suspect_threshold, suspect.pixel_threshold) == (0.6, 0.4, 0.6)
    (region,) = suspect.regions
    assert (region.x, region.y, region.area) == (100, 20, 800)
    line = suspect.to_json()
    assert (line["status"], line["suspect_threshold"]) == ("suspect", 0.4)
    assert "suspect" in repr(suspect)


def test_the_edges_belong_to_the_better_status(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        score = detector(make_picture(patch=128)).score
    for suspect, image, expected in ((score, 0.9, "good"), (0.1, score, "suspect"), (0.05, 0.1, "anomalous")):
        with Detector.load(
            make_bundle().path, backend="cpu", threshold=image, suspect_threshold=suspect
        ) as detector:
            assert detector(make_picture(patch=128)).status == expected


def test_a_frame_that_cannot_be_judged_is_unreliable_not_suspect(
    make_bundle: Make, make_picture: Picture
) -> None:
    bundle = make_bundle(threshold=banded(), ratio=True)  # a black image gives 0 / 0
    with Detector.load(bundle.path, backend="cpu") as detector:
        assert detector(np.zeros((64, 64, 3), np.uint8)).status == "unreliable"


def test_a_speck_does_not_make_a_part_anomalous_where_an_area_is_set(
    make_bundle: Make, make_picture: Picture
) -> None:
    bundle = make_bundle()
    speck, large = make_picture(patch=204, box=(100, 20, 4, 2)), make_picture(patch=204)
    with Detector.load(bundle.path, backend="cpu") as detector:
        assert [r.status for r in detector([speck, large])] == ["anomalous", "anomalous"]
    with Detector.load(bundle.path, backend="cpu", min_area="9px", mm_per_px=0.5) as detector:
        first, second = detector([speck, large])
    assert (first.status, first.is_anomalous, first.gated, first.regions) == ("good", False, True, ())
    assert first.score == second.score > first.threshold
    assert (second.status, second.gated, second.regions[0].area_mm2) == ("anomalous", False, 200.0)
    assert first.to_json()["gated"] is True
    assert "gated" not in second.to_json()
    with Detector.load(bundle.path, backend="cpu", min_area=8) as detector:
        assert detector(speck).status == "anomalous"  # exactly as large


def test_the_live_page_moves_the_upper_threshold_only(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle(threshold=banded()).path, backend="cpu") as detector:
        detector.set_threshold(0.9)
        assert detector(make_picture(patch=204)).status == "suspect"
        detector.set_threshold(0.3)
        assert detector(make_picture(patch=90)).status == "anomalous"


def calibration_of(bundle: Bundle, folder: Path) -> list[str]:
    chosen = ["--model", str(bundle.path), "--source", str(folder)]
    return ["calibrate", *chosen, "--backend", "cpu", "--yes"]


def run(*arguments: object) -> tuple[int, list[dict]]:
    found = CliRunner().invoke(app, ["run", *map(str, arguments), "--json"])
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()]


def test_a_run_counts_suspect_parts_and_none_of_them_passes(
    make_bundle: Make, parts: Path, tmp_path: Path
) -> None:
    bundle = make_bundle(threshold=banded())
    table, saved = tmp_path / "results.csv", tmp_path / "saved"
    code, lines = run(
        *("--model", bundle.path, "--source", parts, "--backend", "cpu", "--csv", table),
        *("--save", saved, "--save-only-anomalous", "--fail-on-anomaly"),
    )
    assert code == 3
    assert [line["status"] for line in lines[:-1]] == ["good", "suspect", "anomalous", "anomalous"]
    summary = lines[-1]
    assert (summary["good"], summary["suspect"], summary["anomalous"], summary["frames"]) == (1, 1, 2, 4)
    rows = list(csv.DictReader(table.open()))
    assert [row["status"] for row in rows] == ["good", "suspect", "anomalous", "anomalous"]
    assert sorted(path.name[0] for path in saved.iterdir()) == ["b", "c", "d"]
    code, _ = run(
        *("--model", bundle.path, parts / "b_suspect.png", "--backend", "cpu", "--fail-on-anomaly"),
    )
    assert code == 3  # a suspect part alone is enough


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        (("--suspect-as", "good"), ["good", "good", "anomalous", "anomalous"]),
        (("--suspect-as", "anomalous"), ["good", "anomalous", "anomalous", "anomalous"]),
        (("--threshold", "0.9"), ["good", "suspect", "suspect", "suspect"]),
        (("--threshold", "0.9", "--suspect-threshold", "0.7"), ["good", "good", "suspect", "suspect"]),
        (("--min-area", "9"), ["good", "suspect", "anomalous", "good"]),
    ],
)
def test_options_of_a_run(
    make_bundle: Make, parts: Path, given: tuple[str, ...], statuses: list[str]
) -> None:
    bundle = make_bundle(threshold=banded())
    _, lines = run("--model", bundle.path, "--source", parts, "--backend", "cpu", *given)
    assert [line["status"] for line in lines[:-1]] == statuses
    assert ("suspect" in lines[-1]) == ("--suspect-as" not in given)


def test_without_a_band_no_output_says_anything_about_it(make_bundle: Make, parts: Path) -> None:
    bundle = make_bundle()
    _, lines = run("--model", bundle.path, "--source", parts, "--backend", "cpu")
    assert not any({"suspect_threshold", "gated"} & set(line) for line in lines[:-1])
    regions = [region for line in lines[:-1] for region in line["regions"]]
    assert regions
    assert all(set(region) == {"x", "y", "width", "height", "area", "peak"} for region in regions)
    assert "suspect" not in json.dumps([line | {"source": ""} for line in lines])


def test_calibrate_sets_band_and_area_and_says_what_it_does_not_keep(
    make_bundle: Make, make_picture: Picture, tmp_path: Path
) -> None:
    bundle, folder = make_bundle(), tmp_path / "good"
    folder.mkdir()
    for number in range(40):  # scores 51/255 to 90/255, in specks of 8 pixels of the source
        image = make_picture(patch=51 + number, box=(100, 20, 4, 2))
        assert cv2.imwrite(str(folder / f"{number:02}.png"), image)
    arguments = calibration_of(bundle, folder)
    found = CliRunner().invoke(
        app, [*arguments, "--suspect-rate", "0.05", "--min-area", "2mm2", "--mm-per-px", "0.5", "--json"]
    )
    assert found.exit_code == 0, found.output
    kept = read_calibration(bundle)
    assert kept is not None
    # Of 40 scores the highest, and that of rank ceil(41 * 0.95) = 39.
    assert kept.threshold.image == pytest.approx(90 / 255)
    assert kept.threshold.suspect == pytest.approx(89 / 255)
    assert kept.gate == Gate(min_area="2mm2", mm_per_px=0.5)
    assert kept.gated is not None
    # 2 mm2 are 8 pixels: as large as the speck, so the best of them stays suspect.
    assert (kept.gated.above, kept.gated.suspect_above, kept.gated.suspect) == (0, 1, 1)
    document = json.loads(found.stdout)
    assert document["threshold"]["suspect_rate"] == 0.05
    assert "suspect above 0.3490" in found.stderr
    assert "smallest region 2mm2 = 8px" in found.stderr
    with Detector.load(bundle.path, backend="cpu") as detector:
        assert detector(make_picture(patch=90, box=(100, 20, 4, 2))).status == "suspect"
        assert (
            detector(make_picture(patch=90, box=(100, 20, 2, 1))).status == "good"
        )  # too small, and fainter
    again = CliRunner().invoke(app, arguments)
    assert "--suspect-rate 0.05, --min-area 2mm2, --mm-per-px 0.5" in " ".join(again.stderr.split())
    after = read_calibration(bundle)
    assert after is not None
    assert (after.threshold.suspect, after.gate, after.gated) == (None, None, None)


def test_calibrate_refuses_rates_that_the_images_cannot_tell_apart(
    make_bundle: Make, make_picture: Picture, tmp_path: Path
) -> None:
    bundle, folder = make_bundle(), tmp_path / "good"
    folder.mkdir()
    for number in range(25):
        assert cv2.imwrite(str(folder / f"{number:02}.png"), make_picture(patch=51 + number))
    arguments = calibration_of(bundle, folder)
    found = CliRunner().invoke(app, [*arguments, "--suspect-rate", "0.05"])
    assert found.exit_code == 1
    assert isinstance(found.exception, DmddError)
    assert "39 images" in found.exception.fix
    assert read_calibration(bundle) is None


def test_what_an_earlier_run_found_suspect_does_not_pass(make_bundle: Make, make_picture: Picture) -> None:
    done = Done()
    done.add("a.png", "suspect")
    assert done.take("a.png") == "suspect"
    statistics = RunStatistics("cpu")
    summary = statistics.summary()
    assert summary.suspect is None
    assert failures(summary, Counter(suspect=2), lossless=True) == {"suspect": 2}
    with Detector.load(make_bundle(threshold=banded()).path, backend="cpu") as detector:
        statistics.add(detector(make_picture()))
        assert statistics.summary().suspect == 0
        statistics.add(detector(make_picture(patch=128)))
    assert (statistics.summary().suspect, statistics.frames) == (1, 2)


def test_the_overlay_names_both_thresholds_and_a_gated_part(make_bundle: Make, make_picture: Picture) -> None:
    bundle = make_bundle()
    write_calibration(bundle, banded(), "good/", gate=Gate(min_area="9"))
    image = make_picture(patch=204, box=(100, 20, 4, 2))
    with Detector.load(bundle.path, backend="cpu") as detector:
        gated, suspect = detector([image, make_picture(patch=128)])
    plain = draw_overlay(image, gated, caption=False)
    height = plain.shape[0]
    strips = [draw_overlay(image, each)[height:] for each in (gated, suspect)]
    # Each strip has the color of its status: green is the strongest channel of good, blue of suspect.
    channels = [strip.reshape(-1, 3).astype(int).sum(0) for strip in strips]
    assert [int(channel.argmax()) for channel in channels] == [1, 0]
