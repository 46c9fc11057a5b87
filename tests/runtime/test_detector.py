from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.quality import FrameLimits
from dmdd_edge.runtime.backends.selection import BACKENDS
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Region

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


def test_score_and_region_worked_out_by_hand(make_bundle: Make, make_picture: Picture) -> None:
    # The image of 256 x 128 shrinks by 4 and by 2 to 64 x 64; the patch covers whole pixels of the map.
    with Detector.load(make_bundle().path.parent, backend="cpu") as detector:
        result = detector(make_picture(patch=204))
    assert result.score == pytest.approx(204 / 255, abs=1e-7)
    assert result.normalized_score == pytest.approx(0.5 + 0.5 * (0.8 - 0.5) / 0.5, abs=1e-6)
    assert result.threshold == 0.5
    assert result.is_anomalous
    assert result.status == "anomalous"
    (region,) = result.regions
    assert region == Region(100, 20, 40, 20, area=800, peak=pytest.approx(0.8))  # type: ignore[arg-type]
    expected = np.full((64, 64), 30 / 255, np.float32)
    expected[10:20, 25:35] = 204 / 255
    np.testing.assert_allclose(result.anomaly_map, expected, atol=1e-7)
    assert result.anomaly_map.dtype == np.float32


def test_a_good_part(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        result = detector(make_picture())
    assert (result.status, result.is_anomalous, result.regions, result.reason) == ("good", False, (), "")
    assert result.normalized_score == pytest.approx(0.5 * (30 / 255) / 0.5)
    assert result.timings.total > 0


def test_a_score_equal_to_the_threshold_is_good(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        score = detector(make_picture(patch=204)).score
    with Detector.load(make_bundle().path, backend="cpu", threshold=score) as detector:
        result = detector(make_picture(patch=204))
    assert (result.status, result.normalized_score) == ("good", 0.5)


def test_a_batch_gives_what_single_frames_give(make_bundle: Make, make_picture: Picture) -> None:
    frames = [
        make_picture(patch=patch, shape=shape)
        for patch in (None, 140, 200)
        for shape in ((128, 256), (90, 70))
    ]
    frames = frames * 4  # more than fit into one batch
    frames[6] = make_picture(patch=250)
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        singles = [detector(frame) for frame in frames]
        batch = detector(frames)
        stacked: Any = detector(np.stack([make_picture(patch=200), make_picture()]))
    assert [result.index for result in batch] == list(range(24))
    for one, other in zip(singles, batch, strict=True):
        assert (one.score, one.status, one.regions) == (other.score, other.status, other.regions)
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)
    assert [result.status for result in stacked] == ["anomalous", "good"]


def test_results_own_their_memory(make_bundle: Make, make_picture: Picture) -> None:
    frame = make_picture(patch=204)
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        first, second = detector([frame, frame])
        kept = first.anomaly_map.copy()
        frame[:] = 0
        second.anomaly_map[:] = 9
        detector(make_picture())
    np.testing.assert_array_equal(first.anomaly_map, kept)
    assert first.anomaly_map.flags.owndata
    assert first.anomaly_map.base is None


def test_no_frames_no_results(make_bundle: Make) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert detector([]) == []


@pytest.mark.parametrize(
    "convert",
    [
        lambda bgr: bgr[:, :, 0],
        lambda bgr: bgr[:, :, :1],
        lambda bgr: np.dstack([bgr, np.zeros_like(bgr[:, :, 0])]),
        lambda bgr: np.flip(np.flip(bgr.copy(), 1).copy(), 1),  # a view with negative strides
    ],
    ids=["grey", "one channel", "alpha", "view"],
)
def test_other_forms_of_a_frame(make_bundle: Make, make_picture: Picture, convert: Any) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert detector(convert(make_picture(patch=204))).score == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (np.zeros((64, 64, 3), np.float32), r"uint8 \(0..255\), got float32"),
        (np.zeros((64, 64, 3), np.uint16), "got uint16"),
        (np.zeros((3, 64, 64), np.uint8), "got 3 x 64 x 64"),
        (np.zeros((64, 64, 2), np.uint8), "got 64 x 64 x 2"),
        (np.zeros(64, np.uint8), "got 64"),
        (np.zeros((8, 64, 3), np.uint8), "64 x 8 pixels is too small"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0 pixels is too small"),
        (np.zeros((64, 64, 0), np.uint8), "got 64 x 64 x 0"),
        (np.uint8(7) + np.zeros((), np.uint8), "a NumPy array, not uint8"),
        (np.zeros((), np.uint8), "got a single number"),
        (np.zeros((1, 1, 64, 64, 3), np.uint8), "got 1 x 1 x 64 x 64 x 3"),
        (np.zeros((2, 64, 64), np.uint8), "got 2 x 64 x 64"),
        (np.zeros((64, 64, 3), bool), "got bool"),
        (np.full((64, 64, 3), None), "got object"),
        (np.broadcast_to(np.uint8(0), (70_000, 70_000, 3)), "70000 x 70000 pixels is too large"),
        ([[1, 2], [3, 4]], "a NumPy array, not list"),
        ("part.png", "part.png: no such file"),
        (b"part.png", "a NumPy array, not bytes"),
        (None, "a NumPy array, not NoneType"),
        ([None], "a NumPy array, not NoneType"),
    ],
)
def test_what_is_no_frame_is_named(make_bundle: Make, frame: Any, part: str) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector, pytest.raises(DmddError, match=part):
        detector(frame)


def test_a_read_only_frame_is_judged_and_left_as_it_is(make_bundle: Make, make_picture: Picture) -> None:
    frame = make_picture(patch=204)
    frame.flags.writeable = False
    before = frame.copy()
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert detector(frame).score == pytest.approx(0.8)
    np.testing.assert_array_equal(frame, before)


class _ShortOfMaps:
    """A backend that loses an image of each batch."""

    name, precision, description = "short", "fp32", ""

    def infer(self, images: Any) -> Any:
        count = max(len(images) - 1, 1)
        return np.zeros((count, 64, 64), np.float32), np.zeros(count, np.float32)

    def close(self) -> None:
        pass


def test_results_that_do_not_match_the_frames_are_an_error(
    make_bundle: Make, make_picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "cpu", lambda bundle, options: _ShortOfMaps())
    with (
        Detector.load(make_bundle().path, backend="cpu") as detector,
        pytest.raises(DmddError, match=r"2 maps and scores of shape \(2,\) for 3 frames"),
    ):
        detector([make_picture()] * 3)


def test_ignored_pixels_are_filled_before_the_graph_and_zero_after_it(
    make_bundle: Make, make_picture: Picture, tmp_path: Any
) -> None:
    mask = np.zeros((128, 256), np.uint8)
    mask[:, 96:] = 255  # covers the patch
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    preprocess = Preprocess.from_options(ignore_mask=tmp_path / "mask.png", source_shape=(128, 256), size=64)
    with Detector.load(make_bundle(preprocess=preprocess).path, backend="cpu", threshold=0.2) as detector:
        result = detector(make_picture(patch=204))
    assert result.score == pytest.approx(127 / 255)  # the fill's own value, from the graph
    assert result.anomaly_map[:, 24:].max() == 0
    np.testing.assert_allclose(result.anomaly_map[:, :24], 30 / 255, atol=1e-7)
    assert result.regions == ()


def test_region_of_interest_and_rotation_are_undone_for_regions(
    make_bundle: Make, make_picture: Picture
) -> None:
    preprocess = Preprocess(roi=(64, 0, 128, 128), rotate=90)
    with Detector.load(make_bundle(preprocess=preprocess).path, backend="cpu") as detector:
        (region,) = detector(make_picture(patch=204)).regions
        assert (region.x, region.y, region.width, region.height) == (100, 20, 40, 20)
        assert region.area == 800
        with pytest.raises(DmddError, match="region of interest"):
            detector(make_picture(shape=(64, 64)))


@pytest.fixture
def limits() -> FrameLimits:
    return FrameLimits(mean_min=20, mean_max=200, saturated_max=0.5, black_max=0.5, sharpness_min=0, images=1)


def test_a_frame_that_cannot_be_judged_is_never_good(
    make_bundle: Make, make_picture: Picture, limits: FrameLimits
) -> None:
    with Detector.load(make_bundle(frame_limits=limits).path, backend="cpu") as detector:
        results = detector([make_picture(0), make_picture(30), make_picture(0, patch=255)])
    assert [result.status for result in results] == ["unreliable", "good", "unreliable"]
    assert results[0].reason.startswith("too dark: mean level 0")
    assert results[2].score == 1.0  # the raw score is reported all the same


def test_not_a_number_is_never_good(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle(ratio=True).path, backend="cpu") as detector:
        result = detector(make_picture(0))
    assert result.status == "unreliable"
    assert "NaN or infinity" in result.reason
    assert math.isnan(result.score)
    assert np.isfinite(result.anomaly_map).all()
    line = result.to_json()
    assert line["score"] is None
    assert line["normalized_score"] is None
    assert line["reason"] == result.reason


def test_where_the_threshold_comes_from(make_bundle: Make, make_picture: Picture) -> None:
    bundle = make_bundle()
    write_calibration(bundle, threshold_from_normals([0.9]), "good/")
    with Detector.load(bundle.path, backend="cpu") as detector:
        assert detector.threshold.origin == "calibration"
        result = detector(make_picture(patch=204))
        assert (result.status, result.threshold, result.regions) == ("good", 0.9, ())
    with Detector.load(bundle.path, backend="cpu", threshold=0.7, pixel_threshold=0.85) as detector:
        result = detector(make_picture(patch=204))
        assert (result.status, result.threshold, result.regions) == ("anomalous", 0.7, ())
    with pytest.raises(DmddError, match="--threshold is 2"):
        Detector.load(bundle.path, backend="cpu", threshold=2)


def test_json_has_the_fixed_names(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        line = detector(make_picture(patch=204)).to_json()
    assert line.keys() == {
        *("type", "source", "index", "status", "time", "score", "normalized_score", "threshold"),
        *("is_anomalous", "regions", "timings_ms", "dropped", "look"),
    }
    assert line["type"] == "result"
    assert line["timings_ms"].keys() == {"capture", "prepare", "infer", "finish"}
    assert line["regions"][0].keys() == {"x", "y", "width", "height", "area", "peak"}


def test_a_closed_detector_says_so(make_bundle: Make, make_picture: Picture) -> None:
    detector = Detector.load(make_bundle().path, "cpu")
    detector.close()
    detector.close()
    with pytest.raises(DmddError, match="This Detector is closed") as caught:
        detector(make_picture())
    assert "Detector.load" in caught.value.fix
    with pytest.raises(DmddError, match="This Detector is closed"):
        detector.start([detector.prepare(Frame(make_picture()))])
