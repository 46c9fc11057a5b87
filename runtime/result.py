"""The result of a frame: verdict, score, map, regions and timings; as JSON and as an overlay image."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.arguments import check_count, checked_path
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.quality import FrameStatistics
from dmdd_edge.errors import DataError

if TYPE_CHECKING:
    from dmdd_edge.runtime.strips import Strip

Status = Literal["good", "suspect", "anomalous", "unreliable"]


@dataclass(frozen=True)
class Region:
    """A connected part of the map above the pixel threshold, in pixels of the source image.

    Attributes:
        x, y, width, height: its bounding box.
        area: the number of source pixels it covers; scaled from the map, so rounded.
        peak: the largest value of the map in it, 0..1.
        area_mm2: its area in square millimeters; None when the size of a pixel is not known.
        web_y, web_mm: of a strip: its first row along the web, and that in millimeters if it is known.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float
    area_mm2: float | None = None
    web_y: int | None = None
    web_mm: float | None = None

    def __repr__(self) -> str:
        box = f"x={self.x}, y={self.y}, width={self.width}, height={self.height}"
        size = "" if self.area_mm2 is None else f", area_mm2={self.area_mm2:.4g}"
        return f"Region({box}, area={self.area}, peak={self.peak:.4g}{size})"

    def to_json(self) -> dict[str, Any]:
        """The fields of one region in a JSON line."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        for name, digits in (("area_mm2", 6), ("web_mm", 9)):
            if name in fields:
                fields[name] = float(f"{fields[name]:.{digits}g}")
        return fields


@dataclass(frozen=True)
class Timings:
    """Where a frame's time went, in milliseconds.

    Attributes:
        capture: reading and decoding the frame.
        prepare: checks, region of interest, resize, frame statistics.
        infer: the graph; an equal share of its batch's time per frame.
        finish: threshold, regions, the result itself.
    """

    capture: float = 0.0
    prepare: float = 0.0
    infer: float = 0.0
    finish: float = 0.0

    @property
    def total(self) -> float:
        """All four together, in milliseconds."""
        return self.capture + self.prepare + self.infer + self.finish


@dataclass(frozen=True)
class FrameLook:
    """How a frame looks, whatever it shows, after the resize; what the drift watch compares.

    Attributes:
        light: mean gray level, 0..255.
        sharpness: of the strongest edges; see ``FrameStatistics.edges``.
        x, y: center of the edges, in shares of the image's sides, 0..1.
    """

    light: float
    sharpness: float
    x: float
    y: float

    @classmethod
    def of(cls, statistics: FrameStatistics) -> FrameLook:
        """From the statistics of the resized frame."""
        return cls(statistics.mean, statistics.edges, statistics.x, statistics.y)


@dataclass(frozen=True)
class Result:
    """The result of one frame. It owns its map and regions: later frames do not change them.

    Attributes:
        source: the file, video or camera that the frame came from; empty for a frame from memory.
        index: its number within the run, from 0.
        status: ``good``, ``anomalous``, or ``unreliable`` when the frame cannot be judged; with a band also
            ``suspect``.
        time: when it was grabbed, in seconds since 1970 (UTC).
        score: how anomalous the whole frame is, 0..1; NaN when the graph returned no finite number.
        normalized_score: the score with the threshold moved to 0.5, 0..1.
        threshold: of the score, 0..1.
        is_anomalous: whether ``score > threshold`` and, with a smallest area, a region is as large; of an
            ``unreliable`` frame it means nothing.
        anomaly_map: float32 0..1 of the cropped, rotated and resized frame, 0 where ignored: S x S, or with
            tiles the joined map of the whole region, at the scale of the tiles.
        regions: parts of the map above the pixel threshold, the highest peak first; of a ``suspect`` frame
            those above the map's lower threshold. With a smallest area, only those that are as large.
        timings: where the time went.
        dropped: frames that a live source dropped just before this one.
        frame_id: the number that the camera gave the frame; None for sources without one.
        device_time_ns: the camera's own clock at the exposure, in nanoseconds; None for sources without one.
        category, version: of the bundle that judged the frame; empty when the caller made the result.
        precision: that the backend ran, ``fp32``, ``fp16`` or ``int8``; empty as ``category`` is.
        suspect_threshold: lower threshold of the score, 0..1; None without a band.
        gated: whether the score is above the threshold, and the frame is not anomalous because no region is
            as large as the smallest area.
        stopped_early: whether the inspection ended at a tile that made the frame anomalous; the score is then
            a lower bound, and the map and the regions lack the other tiles.
        inspected: share of the tiles that were inspected, 0..1.
        strip: the part of a web that it shows; None of other frames.
        mm_per_px: millimeters per pixel of the source image; None when that is not known.
        look: how the frame looks; None where nothing measured it.
        reason: why the frame is unreliable; empty if it is not.
        pixel_threshold: of the map, 0..1.
        preprocess: the region of interest, rotation, tiles and mask between frame and map.
        geometry: of this frame and its map; None when the caller made the result.
        image: the frame, uint8 H x W x 3 BGR, for ``plot``; not a copy of an array that was passed in. None
            for an image file, which ``plot`` reads again, and in the sinks of a run, which get the frame.
    """

    source: str
    index: int
    status: Status
    time: float
    score: float
    normalized_score: float
    threshold: float
    is_anomalous: bool
    anomaly_map: NDArray[np.float32] = field(repr=False, compare=False)
    regions: tuple[Region, ...] = ()
    timings: Timings = Timings()
    dropped: int = 0
    reason: str = ""
    pixel_threshold: float = 0.5
    preprocess: Preprocess = field(default=Preprocess(), repr=False, compare=False)
    geometry: Geometry | None = field(default=None, repr=False, compare=False)
    image: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    frame_id: int | None = None
    device_time_ns: int | None = None
    category: str = ""
    version: str = ""
    suspect_threshold: float | None = None
    gated: bool = False
    stopped_early: bool = False
    inspected: float = 1.0
    look: FrameLook | None = field(default=None, repr=False, compare=False)
    strip: Strip | None = field(default=None, repr=False)
    mm_per_px: float | None = field(default=None, repr=False, compare=False)
    precision: str = field(default="", repr=False, compare=False)

    def __repr__(self) -> str:
        relation = ">" if self.is_anomalous or self.gated else "<="
        parts = [self.status, f"score {self.score:.4f} {relation} threshold {self.threshold:.4f}"]
        if self.regions:
            parts.append(f"{len(self.regions)} region{'s' * (len(self.regions) > 1)}")
        parts += [self.reason] * bool(self.reason) + [repr(self.source)] * bool(self.source)
        return f"<Result {self.index}: {', '.join(parts)}>"

    def plot(
        self, image: NDArray[np.uint8] | None = None, *, longest: int | None = None, caption: bool = True
    ) -> NDArray[np.uint8]:
        """Draw the overlay: the frame under its map in colors fixed to the threshold, the regions framed.

        Args:
            image: the frame, uint8 H x W x 3 BGR; None takes ``image``, or reads the file ``source`` again.
            longest: shrink the overlay so that its longer side has at most this many pixels.
            caption: add a strip with the verdict below the overlay.

        Returns:
            uint8 H x W x 3 BGR, as ``run --save`` writes it: a frame narrower than 320 pixels is enlarged.

        Raises:
            DataError: the frame is not available any more.
            OptionError: ``longest`` is not a number of pixels.
        """
        from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay

        check_count("longest", longest, 1)
        return draw_overlay(self._frame() if image is None else image, self, longest, caption)

    def save(
        self,
        path: str | os.PathLike[str],
        image: NDArray[np.uint8] | None = None,
        *,
        longest: int | None = None,
        caption: bool = True,
    ) -> None:
        """Write the overlay of ``plot`` to an image file.

        Args:
            path: the file; its suffix (.png, .jpg, .webp) chooses the format. An existing file is replaced.
            image: see ``plot``.
            longest: see ``plot``.
            caption: see ``plot``.

        Raises:
            DataError: the frame is not available any more, or the suffix is not that of an image format.
            StorageError: the file cannot be written.
            OptionError: ``path`` or ``longest`` has a wrong type or value.
        """
        import cv2

        from dmdd_edge.storage import write_atomically

        path = checked_path("path", path)
        try:
            done, data = cv2.imencode(path.suffix, self.plot(image, longest=longest, caption=caption))
        except cv2.error:  # an unknown suffix
            done = False
        if not done:
            raise DataError(f"OpenCV cannot write {path} as an image.", "Name a .png, .jpg or .webp file.")
        write_atomically(path, data.tobytes())

    def _frame(self) -> NDArray[np.uint8]:
        if self.image is not None:
            return self.image
        from dmdd_edge.data.images import read_image

        if not Path(self.source).is_file():
            raise DataError(
                f"The frame of this result is not available ({self.source or 'no source'}).",
                "Pass it: result.plot(image).",
            )
        return read_image(self.source, self.preprocess.bits)

    def to_json(self) -> dict[str, Any]:
        """The fields of one JSON line of ``run --json``; the map is left out, and NaN becomes null."""
        line: dict[str, Any] = {
            "type": "result",
            "source": self.source,
            "index": self.index,
            "status": self.status,
            "time": utc_time(self.time),
            "score": _number(self.score),
            "normalized_score": _number(self.normalized_score),
            "threshold": self.threshold,
            "is_anomalous": self.is_anomalous,
            "regions": [region.to_json() for region in self.regions],
            "timings_ms": {name: round(value, 3) for name, value in asdict(self.timings).items()},
            "dropped": self.dropped,
        }
        for name in ("frame_id", "device_time_ns"):  # of cameras that number their frames
            if (value := getattr(self, name)) is not None:
                line[name] = value
        if self.suspect_threshold is not None:
            line["suspect_threshold"] = self.suspect_threshold
        if self.gated:
            line["gated"] = True
        if self.stopped_early:
            line["stopped_early"] = True
            line["inspected"] = round(self.inspected, 4)
        if self.reason:
            line["reason"] = self.reason
        if self.strip is not None:
            line["strip"] = self.strip.to_json(self.mm_per_px)
        if self.look is not None:
            line["look"] = {name: round(value, 5) for name, value in vars(self.look).items()}
        return line


def utc_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond: ``2026-11-24T08:15:00.250Z``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
