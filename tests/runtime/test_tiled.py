"""Images that are cut into tiles, through a detector: maps, verdicts, and what is passed to the backend."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.gate import Gate
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.data.place_levels import PlaceLevels, cell_peaks
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.tile_queue import TileQueue

SIZE = 64
Make = Callable[..., Bundle]
Image = NDArray[np.uint8]
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def tiled(**more: Any) -> Preprocess:
    """Tiles of 64 px, the size of the network, which overlap by 16."""
    return Preprocess(tiling=Tiling(tile=SIZE, overlap=16), **more)


def dark(rows: int, columns: int, *spots: tuple[int, int]) -> Image:
    """An image whose map is 0.2, and 1 in squares of 12 px with these upper left pixels (row, column)."""
    image = np.full((rows, columns, 3), 51, np.uint8)
    for row, column in spots:
        image[row : row + 12, column : column + 12, 0] = 255
    return image


class Recorder:
    """A backend whose map is blue / 255 and whose score its maximum; it notes what it is given.

    Args:
        slots: batches that may be in flight.
        largest: batch of an engine.
        broken: number of the batch that fails.
    """

    name, description, precision = "cpu", "a recorder", "fp32"

    def __init__(self, slots: int = 2, largest: int = 5, broken: int = -1) -> None:
        self.slots, self.largest_batch, self.broken = slots, largest, broken
        self.batches: list[int] = []
        self.in_flight: list[int] = []
        self.most_in_flight = 0

    def infer(self, images: Image) -> Outputs:
        return self.collect(self.submit(images))

    def submit(self, images: Image) -> tuple[int, Outputs]:
        assert images.flags.c_contiguous
        assert images.shape[1:] == (SIZE, SIZE, 3)
        number = len(self.batches)
        self.batches.append(len(images))
        self.in_flight.append(number)
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        assert len(self.in_flight) <= self.slots
        maps = np.asarray(images[..., 0] / np.float32(255), np.float32)
        return number, (maps, maps.max(axis=(1, 2)))

    def collect(self, ticket: tuple[int, Outputs]) -> Outputs:
        assert self.in_flight.pop(0) == ticket[0]  # in the order of submission
        if ticket[0] == self.broken:
            raise DmddError("The device is gone.", "Plug it in.")
        return ticket[1]

    def close(self) -> None:
        """Nothing is open."""


class Alone:
    """The same without ``submit``: a backend that does not overlap."""

    name, description, precision = "cuda", "one at a time", "fp32"

    def __init__(self) -> None:
        self.inner = Recorder(slots=1)

    def infer(self, images: Image) -> Outputs:
        return self.inner.infer(images)

    def close(self) -> None:
        """Nothing is open."""


def detector_of(
    bundle: Bundle, backend: Recorder | Alone, factor: float | None = None, threshold: float = 0.5
) -> Detector:
    limits = EffectiveThreshold(threshold, threshold, "manifest")
    return Detector(bundle, backend, limits, stop_early=factor)


def judge(detector: Detector, images: Sequence[Image]) -> list[Result]:
    """All frames, with as many in flight as the detector accepts."""
    results: list[Result] = []
    started = []
    for index, image in enumerate(images):
        if len(started) == detector.slots:
            results += detector.decide(detector.collect(started.pop(0)))
        started.append(detector.start([detector.prepare(Frame(image, index=index))]))
    for each in started:
        results += detector.decide(detector.collect(each))
    return results


def test_the_map_and_the_regions_are_those_of_the_whole_image(make_bundle: Make) -> None:
    image = dark(200, 300, (58, 40), (150, 250))  # the first is on the border of two tiles
    with Detector.load(make_bundle(preprocess=tiled()).path, backend="cpu") as detector:
        result = detector(image)
    np.testing.assert_allclose(result.anomaly_map, image[..., 0] / np.float32(255), atol=1e-6)
    assert (result.status, result.inspected, result.stopped_early) == ("anomalous", 1.0, False)
    boxes = {(each.x, each.y, each.width, each.height, each.area) for each in result.regions}
    assert boxes == {(40, 58, 12, 12, 144), (250, 150, 12, 12, 144)}
    assert "stopped_early" not in result.to_json()


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_backend_has_as_many_batches_as_it_accepts_also_between_frames(
    make_bundle: Make, slots: int
) -> None:
    backend = Recorder(slots)
    detector = detector_of(make_bundle(preprocess=tiled()), backend)
    images = [dark(200, 300), dark(200, 300, (20, 20)), dark(64, 64)]
    results = judge(detector, images)
    assert [result.status for result in results] == ["good", "anomalous", "good"]
    # 24 tiles (4 rows of 6) in batches of at most 5, all of nearly one size; then one tile.
    assert backend.batches == [5, 5, 5, 5, 4, 5, 5, 5, 5, 4, 1]
    assert backend.most_in_flight == slots


def test_a_backend_that_does_not_overlap_gets_a_batch_when_a_result_is_wanted(make_bundle: Make) -> None:
    backend = Alone()
    detector = detector_of(make_bundle(preprocess=tiled()), backend)
    started = detector.start([detector.prepare(Frame(dark(200, 300)))])
    assert backend.inner.batches == []
    assert [result.status for result in detector.decide(detector.collect(started))] == ["good"]
    assert sum(backend.inner.batches) == 24


def test_a_failure_frees_the_slots_and_loses_the_frames_that_wait(make_bundle: Make) -> None:
    backend = Recorder(broken=1)
    detector = detector_of(make_bundle(preprocess=tiled()), backend)
    first, second = (detector.start([detector.prepare(Frame(dark(200, 300)))]) for _ in range(2))
    with pytest.raises(DmddError, match="device is gone"):
        detector.collect(first)
    assert backend.in_flight == []
    with pytest.raises(DmddError, match="was lost"):
        detector.collect(second)
    assert judge(detector, [dark(200, 300)])[0].status == "good"


def test_the_region_of_interest_and_the_mask_leave_tiles_out(make_bundle: Make, tmp_path: Path) -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[:, 200:] = 255  # the right half
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    tiling = Tiling(tile=SIZE, overlap=0)
    for roi, ignore, tiles in (
        (None, None, 49),  # 7 x 7
        ("0,0,128,64", None, 2),
        (None, tmp_path / "mask.png", 28),  # the fourth column, from 168 on, is half ignored
    ):
        preprocess = Preprocess.from_options(
            roi, ignore_mask=ignore, tiling=tiling, source_shape=(400, 400), size=SIZE
        )
        backend = Recorder()
        detector = detector_of(make_bundle(preprocess=preprocess), backend)
        (result,) = judge(detector, [dark(400, 400, (10, 300))])
        assert sum(backend.batches) == tiles
        assert result.status == ("anomalous" if roi is None and ignore is None else "good")


@pytest.mark.parametrize(("rows", "columns"), [(30, 40), (64, 64), (65, 64), (113, 64), (500, 20)])
def test_small_frames_and_one_row_more_than_tiles(make_bundle: Make, rows: int, columns: int) -> None:
    spot = rows // 2, columns // 2 - 6
    with Detector.load(make_bundle(preprocess=tiled()).path, backend="cpu") as detector:
        good, bad = detector([dark(rows, columns), dark(rows, columns, spot)])
    assert (good.status, bad.status) == ("good", "anomalous")
    (region,) = bad.regions
    assert (region.x, region.y, region.width, region.height) == (spot[1], spot[0], 12, 12)


@pytest.mark.parametrize(("tile", "side"), [(512, 16), (512, 40), (8192, 40)])
def test_a_frame_of_few_pixels_of_the_view_can_be_anomalous(make_bundle: Make, tile: int, side: int) -> None:
    """At this scale fewer than 100 pixels of the view show it: the rest is padding, and no part of a mean."""
    preprocess = Preprocess(tiling=Tiling(tile=tile, overlap=16))
    with Detector.load(make_bundle(preprocess=preprocess).path, backend="cpu") as detector:
        white, good = detector([np.full((side, side, 3), 255, np.uint8), dark(side, side)])
    assert (white.status, white.score) == ("anomalous", pytest.approx(1.0))
    assert (good.status, good.score) == ("good", pytest.approx(0.2, abs=1e-4))


def test_a_folder_of_mixed_sizes_with_a_frame_that_the_region_does_not_fit(
    make_bundle: Make, tmp_path: Path
) -> None:
    sizes = [(90, 120), (300, 260), (50, 50), (140, 200)]
    for index, (rows, columns) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{index}.png"), dark(rows, columns, (20, 30)))
    found: list[Any] = []

    class Sink:
        def result(self, frame: Frame, result: Result) -> None:
            found.append((result.status, result.geometry.shape if result.geometry else None))

        def broken(self, frame: Any) -> None:
            found.append(frame.error.message)

        def summary(self, summary: Any) -> None:
            """Not needed."""

        def close(self) -> None:
            """Not needed."""

    preprocess = tiled(roi=(10, 10, 80, 70))
    with Detector.load(
        make_bundle(preprocess=preprocess).path, "cpu", options=BackendOptions(tile_batch=1, slots=2)
    ) as detector:
        assert (detector.tile_batch, detector.read_ahead) == (1, 1)
        run_frames(detector, open_source(str(tmp_path)), [Sink()])
    anomalous = ("anomalous", (70, 80))
    assert [found[0], found[1], found[3]] == [anomalous] * 3
    assert "exceeds the image of 50 x 50 pixels" in found[2]


def test_an_image_that_is_ignored_as_a_whole_is_never_good(make_bundle: Make) -> None:
    _, png = cv2.imencode(".png", np.full((4, 4), 255, np.uint8))
    preprocess = tiled(ignore=base64.b64encode(png.tobytes()).decode())
    (result,) = judge(detector_of(make_bundle(preprocess=preprocess), Recorder()), [dark(200, 200)])
    assert result.status == "unreliable"
    assert "ignore mask covers" in result.reason


def test_not_a_number_from_one_tile_makes_the_frame_unreliable(make_bundle: Make) -> None:
    image = dark(192, 320)
    image[128:, 256:] = 0  # the last of 15 tiles, where the graph divides 0 by 0
    tiling = Tiling(tile=SIZE, overlap=0)
    bundle = make_bundle(preprocess=Preprocess(tiling=tiling), ratio=True)
    with Detector.load(bundle.path, backend="cpu", threshold=1.0, say=lambda line: None) as detector:
        result = detector(image)
    assert result.status == "unreliable"
    assert "NaN" in result.reason
    assert np.isfinite(result.anomaly_map).all()


def test_an_engine_is_never_given_more_than_its_largest_batch() -> None:
    assert TileQueue(Recorder(largest=5), 64).batch == 5
    assert TileQueue(Recorder(largest=5), 2).batch == 2
    assert TileQueue(Recorder(largest=5)).batch == 5


class TestStopEarly:
    """A frame that ends with the tile that makes it anomalous."""

    def test_the_tiles_in_the_center_come_first_then_those_near_the_last_stop(
        self, make_bundle: Make
    ) -> None:
        backend = Recorder(slots=1, largest=1)
        detector = detector_of(make_bundle(preprocess=tiled()), backend, 1.0)
        corner = dark(304, 304, (280, 280))
        results = judge(detector, [corner])
        assert results[0].status == "anomalous"
        first = len(backend.batches)
        assert first > 30  # of 36 tiles
        (again,) = judge(detector, [corner])
        assert len(backend.batches) - first <= 2  # the tile, and the one that was started meanwhile
        assert again.stopped_early
        assert again.inspected == (len(backend.batches) - first) / 36
        line = again.to_json()
        assert (line["stopped_early"], line["inspected"]) == (True, round(again.inspected, 4))

    def test_good_parts_are_inspected_as_a_whole(self, make_bundle: Make) -> None:
        backend = Recorder()
        detector = detector_of(make_bundle(preprocess=tiled()), backend, 1.0)
        (result,) = judge(detector, [dark(304, 304)])
        assert (result.status, result.inspected, result.stopped_early) == ("good", 1.0, False)
        assert sum(backend.batches) == 36

    def test_the_factor_says_how_far_above_the_threshold(self, make_bundle: Make) -> None:
        bundle = make_bundle(preprocess=tiled())
        image = dark(304, 304, (150, 150))  # 144 pixels of 1, so the peak is 1
        for factor, early in ((1.9, True), (2.0, False)):
            (result,) = judge(detector_of(bundle, Recorder(slots=1, largest=1), factor), [image])
            assert (result.status, result.stopped_early) == ("anomalous", early)

    @pytest.mark.parametrize("seed", range(4))
    def test_no_verdict_changes_and_no_score_is_above_that_of_all_tiles(
        self, make_bundle: Make, seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        noise = cv2.GaussianBlur(random.random((230, 290)).astype(np.float32), (0, 0), 3)
        image = np.zeros((230, 290, 3), np.uint8)
        image[..., 0] = 255 * (noise - noise.min()) / np.ptp(noise)
        bundle = make_bundle(preprocess=tiled())
        whole: Result | None = None
        for threshold in (0.6, 0.8, 0.9):
            (whole,) = judge(detector_of(bundle, Recorder(), None, threshold), [image])
            (ended,) = judge(detector_of(bundle, Recorder(), 1.0, threshold), [image])
            assert ended.status == whole.status
            assert ended.score <= whole.score * (1 + 1e-6)
            assert ended.stopped_early <= (whole.status == "anomalous")

    def test_a_threshold_that_is_raised_meanwhile_leaves_no_verdict(self, make_bundle: Make) -> None:
        detector = detector_of(make_bundle(preprocess=tiled()), Recorder(slots=1, largest=1), 1.0)
        image = dark(304, 304, (150, 150))
        inferred = detector.collect(detector.start([detector.prepare(Frame(image))]))
        detector.set_threshold(1.0)
        (result,) = detector.decide(inferred)
        assert result.status == "unreliable"
        assert "ended early" in result.reason

    def test_it_needs_tiles_and_warns_if_nothing_can_end_early(self, make_bundle: Make) -> None:
        with pytest.raises(DmddError, match="needs tiles"):
            Detector.load(make_bundle().path, "cpu", stop_early=1.0)
        with pytest.raises(DmddError, match=r"1\.\.1000"):
            Detector.load(make_bundle(preprocess=tiled()).path, "cpu", stop_early=0.5)
        said: list[str] = []
        with Detector.load(make_bundle(preprocess=tiled()).path, "cpu", stop_early=2.0, say=said.append):
            assert ["no image ends early" in line for line in said] == [True]

    def test_with_a_smallest_area_a_region_must_be_seen(self, make_bundle: Make) -> None:
        bundle = make_bundle(preprocess=tiled())
        image = dark(304, 304, (150, 150))
        for area, early in (("144px", True), ("145px", False)):
            detector = detector_of(bundle, Recorder(slots=1, largest=1), 1.0)
            detector.threshold = replace(detector.threshold, gate=Gate(min_area=area))
            (result,) = judge(detector, [image])
            assert (result.stopped_early, result.gated) == (early, not early)


@pytest.mark.parametrize("factor", [None, 1.0])
def test_a_place_is_compared_with_good_parts_there(make_bundle: Make, factor: float | None) -> None:
    """A spot where good parts have one is good, and a fainter one elsewhere is not, also ended early."""
    good = dark(200, 330, (120, 240))
    peaks = cell_peaks(np.asarray(good[..., 0] / np.float32(255), np.float32))[None]
    levels = PlaceLevels.of(peaks, (200, 330))
    bundle = make_bundle(
        image_size=SIZE, preprocess=Preprocess(tiling=Tiling(tile=SIZE, overlap=16, levels=levels))
    )
    faint = good.copy()
    faint[30:42, 50:62, 0] = 153
    results = judge(detector_of(bundle, Recorder(), factor, 0.6), [good, faint, dark(200, 330)])
    assert [result.status for result in results] == ["good", "anomalous", "good"]
    found = results[1].regions[0]
    assert (found.x, found.y, found.width, found.height) == (50, 30, 12, 12)
    # The odds of 0.6 are 1.5, those of good parts there a quarter, kept within an eighth of their logarithm.
    assert 6 * np.exp(-1 / 8) <= found.peak / (1 - found.peak) <= 6 * (1 + 1e-3)


def test_an_image_of_another_size_has_no_place(make_bundle: Make) -> None:
    levels = PlaceLevels.of(np.zeros((1, 25, 42), np.uint8), (200, 330))
    bundle = make_bundle(
        image_size=SIZE, preprocess=Preprocess(tiling=Tiling(tile=SIZE, overlap=16, levels=levels))
    )
    with pytest.raises(DmddError, match="an image of 330 x 201 pixels cannot be compared"):
        detector_of(bundle, Recorder())(dark(201, 330))
