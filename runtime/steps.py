"""The steps of a frame through a detector: prepared, started, inferred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.geometry import Geometry
from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import FrameLook

if TYPE_CHECKING:
    from dmdd_edge.runtime.detector import Detector

#: What a backend made of several frames: maps, scores, and shares of tiles; see ``Inferred``.
Outputs: TypeAlias = "tuple[Maps, NDArray[np.float32], Sequence[float]]"
#: Maps of several frames, float32 rows x columns of each view; one array where all are S x S.
Maps: TypeAlias = "Sequence[NDArray[np.float32]] | NDArray[np.float32]"


@dataclass(frozen=True)
class Prepared:
    """A frame that is ready for the graph.

    Attributes:
        frame: the frame itself.
        view: contiguous uint8 rows x columns x 3 BGR; S x S unless the category is tiled.
        geometry: between the frame and its view.
        reason: why the frame cannot be judged, or None.
        prepare_ms: how long the preparation took.
        look: how the frame looks.
        detector: the detector that prepared it; it may have been replaced meanwhile.
    """

    frame: Frame
    view: NDArray[np.uint8] = field(repr=False)
    geometry: Geometry = field(repr=False)
    reason: str | None
    prepare_ms: float
    look: FrameLook
    detector: Detector = field(repr=False)


@dataclass(frozen=True)
class Started:
    """Prepared frames that were passed to the backend.

    Attributes:
        prepared: the frames.
        answer: returns what the backend made of them, once; waits while the backend is working.
        since: when they were passed to it, by ``time.perf_counter``.
    """

    prepared: Sequence[Prepared]
    answer: Callable[[], Outputs] = field(repr=False)
    since: float


@dataclass(frozen=True)
class Inferred:
    """The backend's output for prepared frames.

    Attributes:
        prepared: the N frames.
        maps: N maps, float32 rows x columns of the view, 0..1.
        scores: float32 N, 0..1.
        infer_ms: time per frame: an equal share of its batch's time.
        inspected: share of each frame's tiles that were inspected, 0..1; below 1 where the frame was ended
            early. Empty where frames are not tiled.
    """

    prepared: Sequence[Prepared]
    maps: Maps = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    infer_ms: float
    inspected: Sequence[float] = ()

    def __post_init__(self) -> None:
        count = len(self.prepared)
        if len(self.maps) != count or self.scores.shape != (count,):
            raise BackendError(
                f"The model returned {len(self.maps)} maps and scores of shape {self.scores.shape} for "
                f"{count} frames.",
                "Export the bundle again.",
            )
