"""The detector: frames in, results out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import EffectiveThreshold, effective_threshold
from dmdd_edge.bundle.threshold import checked_threshold, normalized_score
from dmdd_edge.data.quality import hint_of_bits, judge
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.backends import Backend, OverlappingBackend
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.backends.selection import AUTO, PassedOver, select
from dmdd_edge.runtime.frame import Frame, as_bgr
from dmdd_edge.runtime.regions import find_regions
from dmdd_edge.runtime.result import Result, Status, Timings

#: A longer list of frames is judged in parts of this size, which bounds the memory it takes.
LARGEST_BATCH = 16


@dataclass(frozen=True)
class Prepared:
    """A frame that is ready for the graph.

    Attributes:
        frame: what it was made of.
        tensor: contiguous uint8 S x S x 3 BGR.
        reason: why the frame cannot be judged, or None.
        prepare_ms: how long making it took.
    """

    frame: Frame
    tensor: NDArray[np.uint8] = field(repr=False)
    reason: str | None
    prepare_ms: float


@dataclass(frozen=True)
class Started:
    """Prepared frames that the back end has been given.

    Attributes:
        prepared: the frames.
        answer: gives maps and scores, once; waits where the back end is still at work.
        since: when it was given them, by ``time.perf_counter``.
    """

    prepared: Sequence[Prepared]
    answer: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]] = field(repr=False)
    since: float


@dataclass(frozen=True)
class Inferred:
    """What the back end said of prepared frames.

    Attributes:
        prepared: the N frames.
        maps: float32 N x S x S, 0..1.
        scores: float32 N, 0..1.
        infer_ms: how long each took: an equal share of its batch's time.
    """

    prepared: Sequence[Prepared]
    maps: NDArray[np.float32] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    infer_ms: float

    def __post_init__(self) -> None:
        count = len(self.prepared)
        if len(self.maps) != count or self.scores.shape != (count,):
            raise DmddError(
                f"The model returned {len(self.maps)} maps and scores of shape {self.scores.shape} for "
                f"{count} frames.",
                "Export the bundle again.",
            )


class Detector:
    """Judges frames with a bundle; made by ``Detector.load``.

        from dmdd_edge import Detector
        from dmdd_edge.data.images import read_image

        with Detector.load("models/screw") as detector:
            result = detector(read_image("part.png"))
            print(result.status, result.score, result.regions)

    Attributes:
        bundle: what it runs.
        backend: what runs it.
        passed_over: the back ends that were tried before and cannot run here.
        threshold: what scores and maps are compared with, and where that comes from.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        threshold: EffectiveThreshold,
        passed_over: tuple[PassedOver, ...] = (),
    ) -> None:
        self.bundle = bundle
        self.backend = backend
        self.threshold = threshold
        self.passed_over = passed_over
        self._closed = False
        self._overlapping = backend if isinstance(backend, OverlappingBackend) else None
        self._ignored = bundle.manifest.preprocess.ignore_map(bundle.manifest.image_size)

    @classmethod
    def load(
        cls,
        path: Path | str,
        backend: str = AUTO,
        threshold: float | None = None,
        pixel_threshold: float | None = None,
        verify: bool = True,
        options: BackendOptions | None = None,
    ) -> Detector:
        """Open a bundle and start a back end on it.

        Args:
            path: a category's folder (its version in use is taken) or a version's folder.
            backend: ``auto``, or one by name.
            threshold: of the score, 0..1; None takes the calibration's, or else the manifest's.
            pixel_threshold: of the map, 0..1; None takes the image threshold unless the export set one.
            verify: hash every file of the bundle first.
            options: how the back end is to run.

        Raises:
            DmddError: the bundle does not verify, a threshold is out of range, or the back end cannot run.
        """
        bundle = Bundle.load(path, verify=verify)
        limits = effective_threshold(bundle, threshold, pixel_threshold)
        selection = select(bundle, backend, options)
        return cls(bundle, selection.backend, limits, selection.passed_over)

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what the backend holds; the detector cannot be used any more. Twice does no harm."""
        if not self._closed:
            self._closed = True
            self.backend.close()

    def _require_open(self) -> None:
        if self._closed:
            raise DmddError("this Detector is closed.", "Load it again: Detector.load(PATH).")

    @overload
    def __call__(self, frames: NDArray[np.uint8]) -> Result: ...

    @overload
    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Result]: ...

    def __call__(self, frames: Any) -> Result | list[Result]:
        """Judge one frame, or several in one go.

        Args:
            frames: uint8 H x W x 3 in BGR order, of any size (grey H x W is taken too); or a list of such
                frames, which may differ in size; or an array N x H x W x 3.

        Returns:
            One result for one frame, a list for several.

        Raises:
            DmddError: a frame of another type or shape, the backend failed, or the detector is closed.
        """
        now = time.time()
        if isinstance(frames, np.ndarray) and frames.ndim != 4:
            return self.judge([self.prepare(Frame(frames, time=now))])[0]
        if not isinstance(frames, (list, tuple, np.ndarray)):
            as_bgr(frames)  # raises, naming what a frame is
        prepared = [self.prepare(Frame(frame, index=i, time=now)) for i, frame in enumerate(frames)]
        return self.judge(prepared)

    def prepare(self, frame: Frame) -> Prepared:
        """Make the graph's input of a frame, and see whether it can be judged.

        Raises:
            DmddError: the frame is not one, or the region of interest does not fit it.
        """
        start = time.perf_counter()
        manifest = self.bundle.manifest
        tensor = manifest.preprocess.prepare(as_bgr(frame.image), manifest.image_size)
        limits = manifest.frame_limits
        reason = None if limits is None else judge(tensor, limits, self._ignored)
        if reason is not None and manifest.preprocess.bits == 16:
            reason += hint_of_bits(reason, frame.peak)
        return Prepared(frame, tensor, reason, _milliseconds(start))

    def judge(self, prepared: Sequence[Prepared]) -> list[Result]:
        """Run the graph on prepared frames and decide on each.

        Raises:
            DmddError: the backend failed, or the detector is closed.
        """
        self._require_open()
        results: list[Result] = []
        for first in range(0, len(prepared), LARGEST_BATCH):
            batch = prepared[first : first + LARGEST_BATCH]
            start = time.perf_counter()
            maps, scores = self.backend.infer(_tensors(batch))
            results.extend(self.decide(Inferred(batch, maps, scores, _milliseconds(start) / len(batch))))
        return results

    @property
    def slots(self) -> int:
        """How many batches may be started before the first is finished."""
        return 1 if self._overlapping is None else self._overlapping.slots

    def start(self, prepared: Sequence[Prepared]) -> Started:
        """Give frames to the back end; one that can works on them while the next are made ready.

        Args:
            prepared: one frame, or as many as the back end takes at once.

        Raises:
            DmddError: the backend failed, ``slots`` batches are started and not finished, or the detector is
                closed.
        """
        self._require_open()
        since = time.perf_counter()
        backend = self._overlapping
        if backend is None:
            found = self.backend.infer(_tensors(prepared))
            return Started(prepared, lambda: found, since)
        ticket = backend.submit(_tensors(prepared))
        return Started(prepared, lambda: backend.collect(ticket), since)

    def collect(self, started: Started) -> Inferred:
        """Wait for what was started first; once for each ``start``.

        Raises:
            DmddError: the back end failed.
        """
        maps, scores = started.answer()
        return Inferred(started.prepared, maps, scores, _milliseconds(started.since) / len(started.prepared))

    def decide(self, inferred: Inferred) -> list[Result]:
        """The result of each frame; may run in another thread than the back end."""
        return [
            self._decide(item, anomaly_map, float(score), inferred.infer_ms)
            for item, anomaly_map, score in zip(
                inferred.prepared, inferred.maps, inferred.scores, strict=True
            )
        ]

    def set_threshold(self, value: float) -> None:
        """Compare scores with another threshold from the next frame on; from any thread.

        The pixel threshold goes along when it was the same as the score's.

        Args:
            value: 0..1.

        Raises:
            DmddError: it is out of range.
        """
        value = checked_threshold(value)
        before = self.threshold
        pixel = value if before.pixel == before.image else before.pixel
        self.threshold = EffectiveThreshold(value, pixel, "option")

    def _decide(self, item: Prepared, raw_map: NDArray[np.float32], score: float, infer_ms: float) -> Result:
        start = time.perf_counter()
        anomaly_map = np.array(raw_map)  # a copy: a result must not hold its whole batch in memory
        reason = item.reason
        if not (math.isfinite(score) and math.isfinite(float(anomaly_map.max()))):
            # A comparison with not-a-number is false, and false would read as good.
            reason, score = "the model returned NaN or infinity", math.nan
            anomaly_map = np.nan_to_num(anomaly_map, nan=0.0, posinf=1.0, neginf=0.0)
        if self._ignored is not None:
            anomaly_map[self._ignored] = 0
        frame, threshold = item.frame, self.threshold  # read once: it may be changed meanwhile
        limit = threshold.image
        anomalous = score > limit
        status: Status = "unreliable" if reason else "anomalous" if anomalous else "good"
        regions = find_regions(
            anomaly_map, threshold.pixel, self.bundle.manifest.preprocess, frame.image.shape
        )
        return Result(
            source=frame.source,
            index=frame.index,
            status=status,
            time=frame.time,
            score=score,
            normalized_score=math.nan if math.isnan(score) else normalized_score(score, limit),
            threshold=limit,
            is_anomalous=anomalous,
            anomaly_map=anomaly_map,
            regions=regions,
            timings=Timings(frame.capture_ms, item.prepare_ms, infer_ms, _milliseconds(start)),
            dropped=frame.dropped,
            reason=reason or "",
            pixel_threshold=threshold.pixel,
            preprocess=self.bundle.manifest.preprocess,
        )


def _tensors(batch: Sequence[Prepared]) -> NDArray[np.uint8]:
    return batch[0].tensor[None] if len(batch) == 1 else np.stack([item.tensor for item in batch])


def _milliseconds(since: float) -> float:
    return 1000 * (time.perf_counter() - since)
