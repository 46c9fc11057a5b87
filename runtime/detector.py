"""The detector: images in, results out."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold
from dmdd_edge.bundle.rule import EffectiveThreshold, SuspectAs
from dmdd_edge.bundle.threshold import checked_threshold
from dmdd_edge.bundle.threshold_remarks import threshold_remarks
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.quality import hint_of_bits, reason_against, view_statistics
from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.backends import Backend, OverlappingBackend
from dmdd_edge.runtime.backends.selection import AUTO, PassedOver, select
from dmdd_edge.runtime.decided import decided
from dmdd_edge.runtime.detector_input import Color, ImageLike, check_color, frame_of
from dmdd_edge.runtime.frame import BrokenFrame, Frame, as_bgr
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.result import FrameLook, Result
from dmdd_edge.runtime.steps import Inferred, Prepared, Started
from dmdd_edge.runtime.stop_early import Settled, check_stop_early, stop_rule
from dmdd_edge.runtime.strips import check_strips
from dmdd_edge.runtime.tile_queue import TileQueue, queue_for

if TYPE_CHECKING:
    from dmdd_edge.runtime.sources import Source
    from dmdd_edge.runtime.sources.options import SourceOptions

#: A longer list of images is processed in parts of this size, which bounds the memory it takes.
LARGEST_BATCH = 16


class Detector:
    """Detects anomalies in images with a bundle; opened by ``Detector.load``.

        from dmdd_edge import Detector

        with Detector.load("models/screw") as detector:
            result = detector("part.png")
            print(result.status, result.score, result.regions)
            result.save("overlay.png")

    A detector is for one thread at a time; use one detector per thread. Its methods ``prepare``, ``infer``,
    ``start``, ``collect`` and ``decide`` are the steps of a run, and internal.

    Attributes:
        bundle: the bundle in use.
        backend: runs the graph; ``backend.name`` is one of ``tensorrt``, ``rtx``, ``cuda`` and ``cpu``.
        passed_over: the backends that were tried before and cannot run on this machine.
        threshold: the thresholds of scores and maps, and where they come from.
        tiles: passes tiles to the backend; None where images are not tiled.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        threshold: EffectiveThreshold,
        passed_over: tuple[PassedOver, ...] = (),
        *,
        shared: bool = False,
        tiles: TileQueue | None = None,
        stop_early: float | None = None,
    ) -> None:
        self._shared = shared  # the caller gives the backend to several detectors, and closes it
        self.bundle = bundle
        self.backend = backend
        self.threshold = threshold
        self.passed_over = passed_over
        self._closed = False
        self._overlapping = backend if isinstance(backend, OverlappingBackend) else None
        self.tiles: TileQueue | None = None
        if bundle.manifest.preprocess.tiling is not None:
            self.tiles = tiles or TileQueue(backend)
        self._stop_early = stop_early

    @classmethod
    def load(
        cls,
        path: Path | str,
        backend: str = AUTO,
        threshold: float | None = None,
        pixel_threshold: float | None = None,
        verify: bool = True,
        options: BackendOptions | None = None,
        *,
        suspect_threshold: float | None = None,
        suspect_as: SuspectAs | None = None,
        min_area: str | float | None = None,
        mm_per_px: float | None = None,
        stop_early: float | None = None,
        strip: int | None = None,
        say: Callable[[str], None] = logging.getLogger("dmdd_edge").warning,
    ) -> Detector:
        """Open a bundle and start a backend on it.

        Args:
            path: a category's folder, of which the version in use is taken, or a version's folder.
            backend: ``auto``, ``tensorrt``, ``rtx``, ``cuda`` or ``cpu``.
            threshold: of the score, 0..1; None takes the calibration's, or else the manifest's.
            pixel_threshold: of the map, 0..1; None takes the image threshold unless the export set one.
            verify: hash every file of the bundle first.
            options: settings of the backend.
            suspect_threshold: likewise the lower end of the band of suspect scores; there may be none.
            suspect_as: count suspect parts as ``good`` or as ``anomalous``; None gives them their own status.
            min_area: smallest area of a region, such as ``"120px"`` or ``"2.5mm2"``; a part without such a
                region is not anomalous. None takes the calibration's; 0 is any.
            mm_per_px: millimeters per pixel of the source image; None takes the calibration's.
            stop_early: end a tiled image once its score must exceed this multiple of the threshold, 1 on.
            strip: rows in front of each frame, of strips of a web; a threshold from other frames is named.
            say: receives warnings about the thresholds; default: Python's log.

        Raises:
            BundleError: the bundle is missing or does not verify.
            DataError: no part could be anomalous, because a threshold that was not given here is 1.
            BackendError: the backend cannot run here; with ``auto``, no backend can.
            OptionError: a threshold is out of range, or a backend is unknown.
        """
        bundle = Bundle.load(path, verify=verify)
        selection = select(bundle, backend, options)
        try:
            bundle = bundle.at(selection.backend.precision)
            limits = effective_threshold(
                bundle,
                threshold,
                pixel_threshold,
                suspect=suspect_threshold,
                suspect_as=suspect_as,
                min_area=min_area,
                mm_per_px=mm_per_px,
            ).judging()
            for line in threshold_remarks(bundle, limits, strip):
                say(line)
            check_stop_early(stop_early, bundle, limits, say)
            check_strips(strip, bundle)
            tiles = queue_for(bundle, selection.backend, options)
        except BaseException:
            selection.backend.close()
            raise
        return cls(
            bundle, selection.backend, limits, selection.passed_over, tiles=tiles, stop_early=stop_early
        )

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"on {self.backend.name}"
        return (
            f"<Detector {self.bundle.category} {self.bundle.version} {state}, "
            f"threshold {self.threshold.image:.4f}>"
        )

    def close(self) -> None:
        """Release the backend; the detector cannot be used afterwards. Closing it twice is harmless."""
        if not self._closed:
            self._closed = True
            if not self._shared:
                self.backend.close()

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError("This Detector is closed.", "Load it again: Detector.load(PATH).")

    @overload
    def __call__(self, images: ImageLike, *, color: Color = "bgr") -> Result: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, images: Sequence[ImageLike], *, color: Color = "bgr") -> list[Result]: ...

    def __call__(self, images: Any, *, color: Color = "bgr") -> Result | list[Result]:
        """Detect anomalies in one image, or in several in one go.

        Args:
            images: the path of an image file, a Pillow image, or an array: uint8 H x W x 3 of any size; gray
                H x W and, with the alpha dropped, H x W x 4 are accepted too. Or a list or tuple of these,
                which may differ in size, or an array N x H x W x 3.
            color: the order of an array's channels, ``"bgr"`` as OpenCV delivers them or ``"rgb"``. Files
                and Pillow images know their own.

        Returns:
            One result for one image, a list for several.

        Raises:
            DataError: a file cannot be read, or an image has an unsupported type or shape.
            OptionError: the color order is unknown.
            BackendError: the backend failed, or the detector is closed.
        """
        self._require_open()
        check_color(color)
        several = isinstance(images, (list, tuple)) or (isinstance(images, np.ndarray) and images.ndim == 4)
        results = self._infer(images if several else [images], color)
        return results if several else results[0]

    def _infer(self, images: Sequence[ImageLike], color: Color) -> list[Result]:
        results: list[Result] = []
        bits = self.bundle.manifest.preprocess.bits
        step = LARGEST_BATCH if self.tiles is None else 1  # a tiled image alone fills many batches
        for first in range(0, len(images), step):
            batch = images[first : first + step]
            prepared = [
                self.prepare(frame_of(image, color, bits, index)) for index, image in enumerate(batch, first)
            ]
            for result, item in zip(self.infer(prepared), prepared, strict=True):
                # A file can be read again; that keeps a long list of files from filling the memory.
                results.append(replace(result, image=None if result.source else item.frame.image))
        return results

    def stream(
        self,
        source: str | os.PathLike[str] | Source,
        options: SourceOptions | None = None,
        *,
        limit: int | None = None,
        on_error: Callable[[BrokenFrame], None] | None = None,
    ) -> Iterator[Result]:
        """The results of a source, in order, as they are computed.

            for result in detector.stream("/dev/video0"):
                print(result.status, result.score)

        The source is opened by the first step of the loop and released when the loop ends. Files are read
        ahead in another thread, and each has its result. A camera or a stream delivers its newest frame: what
        came during the loop's body is dropped and counted in ``Result.dropped``.

        Args:
            source: an image, a video, a folder, a glob, a camera or a stream; see ``open_source``. Or an open
                source.
            options: settings of the source, when it is given as text.
            limit: end after this many frames; None continues to the end of the source.
            on_error: called with each frame that cannot be read. By default it is logged as a warning under
                ``dmdd_edge``; in both cases the stream continues.

        Raises:
            SourceError: the source cannot be opened or was lost.
            BackendError: the backend failed, or the detector is closed.
            OptionError: an argument has a wrong type or value.
        """
        from dmdd_edge.runtime.detector_stream import check_stream, stream_results

        self._require_open()
        check_stream(source, options, limit, on_error)
        return stream_results(self, source, options, limit, on_error)

    def prepare(self, frame: Frame) -> Prepared:
        """Turn a frame into the graph's input, and check whether it can be judged.

        Raises:
            DataError: the frame has an unsupported type or shape, or the region of interest does not fit it.
        """
        start = time.perf_counter()
        manifest = self.bundle.manifest
        image = as_bgr(frame.image)
        view = manifest.preprocess.prepare(image, manifest.image_size)
        geometry = manifest.preprocess.geometry(image.shape, manifest.image_size)
        seen = view_statistics(view, geometry.layout)
        reason = reason_against(seen, manifest.frame_limits)
        if reason is not None and manifest.preprocess.bits == 16:
            reason += hint_of_bits(reason, frame.peak)
        return Prepared(frame, view, geometry, reason, _milliseconds(start), FrameLook.of(seen), self)

    def infer(self, prepared: Sequence[Prepared]) -> list[Result]:
        """Run the graph on prepared frames and decide on each.

        Raises:
            BackendError: the backend failed, or the detector is closed.
        """
        self._require_open()
        results: list[Result] = []
        for first in range(0, len(prepared), LARGEST_BATCH):
            batch = prepared[first : first + LARGEST_BATCH]
            if self.tiles is None:  # the backend splits what is more than its largest batch
                since = time.perf_counter()
                maps, scores = self.backend.infer(_views(batch))
                inferred = Inferred(batch, maps, scores, _milliseconds(since) / len(batch))
            else:
                inferred = self.collect(self.start(batch))
            results.extend(self.decide(inferred))
        return results

    @property
    def is_tiled(self) -> bool:
        """Whether images are cut into tiles."""
        return self.tiles is not None

    @property
    def tile_batch(self) -> int | None:
        """Most tiles of one batch; None where images are not tiled."""
        return None if self.tiles is None else self.tiles.batch

    @property
    def read_ahead(self) -> int:
        """How many prepared frames of files may wait: one where each is large."""
        return 1 if self.is_tiled else self.slots + 1

    @property
    def slots(self) -> int:
        """How many batches, or tiled frames, may be started before the first is finished."""
        if self.tiles is not None:
            return self.tiles.frames
        return 1 if self._overlapping is None else self._overlapping.slots

    def start(self, prepared: Sequence[Prepared]) -> Started:
        """Pass frames to the backend; an overlapping backend works on them while the next are prepared.

        Args:
            prepared: one frame, or as many as the backend accepts at once.

        Raises:
            BackendError: the backend failed, ``slots`` batches are unfinished, or the detector is closed.
        """
        self._require_open()
        since = time.perf_counter()
        tiles, backend = self.tiles, self._overlapping
        if tiles is not None:
            rules = [item.detector.stop_rule(item.geometry) for item in prepared]
            frames = [
                tiles.start(item.view, item.geometry.layout, rule)
                for item, rule in zip(prepared, rules, strict=True)
            ]
            return Started(prepared, lambda: tiles.finish(frames), since)
        if backend is None:
            maps, scores = self.backend.infer(_views(prepared))
            return Started(prepared, lambda: (maps, scores, ()), since)
        ticket = backend.submit(_views(prepared))
        return Started(prepared, lambda: (*backend.collect(ticket), ()), since)

    def collect(self, started: Started) -> Inferred:
        """Wait for the frames that were started first; once per ``start``.

        Raises:
            BackendError: the backend failed.
        """
        maps, scores, inspected = started.answer()
        each = _milliseconds(started.since) / len(started.prepared)
        return Inferred(started.prepared, maps, scores, each, inspected)

    def stop_rule(self, geometry: Geometry) -> Settled | None:
        """The rule that ends a tiled frame early, at the thresholds in use now; None inspects all tiles."""
        return stop_rule(self._stop_early, self.threshold, geometry)

    def decide(self, inferred: Inferred) -> list[Result]:
        """The result of each frame; may run in another thread than the backend."""
        inspected = inferred.inspected or [1.0] * len(inferred.prepared)
        outputs = zip(inferred.prepared, inferred.maps, inferred.scores, inspected, strict=True)
        return [
            decided(
                item,
                raw,
                float(score),
                inferred.infer_ms,
                self.threshold,
                self.bundle,
                share,
                self.backend.precision,
            )
            for item, raw, score, share in outputs
        ]

    def set_threshold(self, value: float) -> None:
        """Use another threshold from the next frame on; from any thread.

        The pixel threshold changes too if it was equal to the score's. The lower end of a band stays; no part
        is suspect while the value is below it.

        Args:
            value: 0..1.

        Raises:
            OptionError: the value is out of range.
        """
        value = checked_threshold(value)
        before = self.threshold
        pixel = value if before.pixel == before.image else before.pixel
        self.threshold = replace(before, image=value, pixel=pixel, origin="option")


def _views(batch: Sequence[Prepared]) -> NDArray[np.uint8]:
    return batch[0].view[None] if len(batch) == 1 else np.stack([item.view for item in batch])


def _milliseconds(since: float) -> float:
    return 1000 * (time.perf_counter() - since)
