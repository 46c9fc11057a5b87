"""What the page of a station shows, and whether the station is healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dmdd_edge._version import __version__
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.latencies import Histogram, Latency
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.images import caption
from dmdd_edge.runtime.page.snapshot import KEPT_SECONDS, drift_messages
from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.station.counts import InspectionCounts, PartCounts
from dmdd_edge.runtime.station.model import LoadedRecipe, StationState
from dmdd_edge.runtime.station.page.board import Board
from dmdd_edge.runtime.station.page.view import StationView
from dmdd_edge.runtime.station.plc.transport import Image

_STATE = ("online", "ready", "busy", "recipe", "recipe_name", "changing_to", "fault", "message", "queued")
_COUNTS = ("parts", "passed", "anomalous", "unreliable", "late", "missed")
_SOURCE = (
    *("name", "connected", "width", "height", "frames", "dropped", "reconnects", "frame_age", "message"),
)


@dataclass(frozen=True)
class StationSnapshot:
    """A station at one moment.

    Attributes:
        taken: when, by ``time.time``.
        state: of the station.
        cameras: state of each.
        recipes: parts by recipe, of all recipes in the station file.
        inspections: results by inspection, of all inspections in the station file.
        problem: why counts cannot be kept; empty when all is well.
        recipe: the recipe in force.
        signals: the PLC's; None without a PLC.
        rate: parts per second.
        latency: percentiles from trigger to verdict.
        latencies: all since the start.
        drift: what the drift watches found, by inspection.
        archive: figures of the archive; empty without one.
    """

    taken: float
    state: StationState
    cameras: dict[str, SourceState]
    recipes: dict[int, PartCounts]
    inspections: dict[str, InspectionCounts]
    problem: str
    recipe: LoadedRecipe | None
    signals: Image | None
    rate: float
    latency: Latency
    latencies: Histogram
    drift: dict[str, Any]
    archive: dict[str, Any]

    @property
    def has_band(self) -> bool:
        """Whether an inspection in force has a band, so that parts can be suspect."""
        loaded = () if self.recipe is None else self.recipe.inspections
        return any(detector.threshold.suspect is not None for _, detector in loaded)

    def trouble(self) -> str:
        """Why the station is not healthy; empty if it is."""
        state = self.state
        if not state.online:
            return state.message or "the station is not online"
        if state.fault:
            return state.message or f"fault {int(state.code)}"
        return next((f"{name}: {problem}" for name, problem in state.cameras.items() if problem), "")


class StationSnapshots:
    """Takes snapshots, not more often than needed.

    Args:
        view: the station.
        board: what the page remembers of it.
        clock: monotonic, in seconds.
    """

    def __init__(self, view: StationView, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self._view, self._board, self._clock = view, board, clock
        self._cached: tuple[float, StationSnapshot] | None = None

    def now(self) -> StationSnapshot:
        """The station as it is, or as it was up to a quarter of a second ago."""
        if self._cached is not None and self._clock() - self._cached[0] < KEPT_SECONDS:
            return self._cached[1]
        view, settings = self._view, self._view.settings
        recipes, inspections = view.counts.recipes, view.counts.inspections
        latency, latencies = self._board.latency()
        snapshot = StationSnapshot(
            taken=time.time(),
            state=view.desk.state(),
            cameras={name: camera.state() for name, camera in view.cameras.items()},
            recipes={each.number: recipes.get(each.number, PartCounts()) for each in settings.recipes},
            inspections={name: inspections.get(name, InspectionCounts()) for name in settings.inspections},
            problem=view.counts.problem,
            recipe=view.recipe(),
            signals=None if view.signals is None else view.signals(),
            rate=self._board.rate(),
            latency=latency,
            latencies=latencies,
            drift=view.drift(),
            archive=view.archive(),
        )
        self._cached = (self._clock(), snapshot)
        return snapshot

    def forget(self) -> None:
        """Look again next time, because something was changed."""
        self._cached = None


def health_json(snapshot: StationSnapshot) -> dict[str, Any]:
    """The answer of ``/healthz``, as fields for JSON."""
    reason, state = snapshot.trouble(), snapshot.state
    return {
        "status": "unhealthy" if reason else "ok",
        "reason": reason,
        **{name: getattr(state, name) for name in ("online", "ready", "fault", "recipe")},
        "error_code": int(state.code),
        "cameras": {name: camera.connected for name, camera in snapshot.cameras.items()},
        "parts": state.parts,
    }


def state_json(
    snapshot: StationSnapshot, view: StationView, board: Board, gallery: Gallery
) -> dict[str, Any]:
    """What the page shows, as fields for JSON."""
    state, settings = snapshot.state, view.settings
    return {
        "program": __version__,
        "time": snapshot.taken,
        "started": board.started,
        "ended": board.ended,
        "name": settings.name,
        "state": {**{name: getattr(state, name) for name in _STATE}, "error_code": int(state.code)},
        "trouble": snapshot.trouble(),
        "kept": snapshot.problem,
        "drift": drift_messages(snapshot.drift, named=True),
        "archive": snapshot.archive or None,
        "counts": {
            **{name: getattr(state, name) for name in _COUNTS},
            **({"suspect": state.suspect} if state.suspect or snapshot.has_band else {}),
        },
        "rate": round(snapshot.rate, 2),
        "latency_ms": asdict(snapshot.latency),
        "recipes": [
            {"number": each.number, "name": each.name, **snapshot.recipes[each.number].model_dump()}
            for each in settings.recipes
        ],
        "cameras": [
            {**{field: getattr(camera, field) for field in _SOURCE}, "name": name, "source": camera.name}
            for name, camera in snapshot.cameras.items()
        ],
        "inspections": list(_inspections(snapshot, view, board)),
        "signals": None if snapshot.signals is None else _signals(snapshot.signals),
        "parts": board.parts(),
        "anomalies": gallery.listed(),
    }


def _inspections(snapshot: StationSnapshot, view: StationView, board: Board) -> Iterator[dict[str, Any]]:
    loaded = () if snapshot.recipe is None else snapshot.recipe.inspections
    detectors = {inspection.name: detector for inspection, detector in loaded}
    for name, inspection in view.settings.inspections.items():
        detector, newest = detectors.get(name), board.latest[name].newest
        yield {
            "name": name,
            "camera": inspection.camera,
            "in_force": detector is not None,
            "category": None if detector is None else detector.bundle.category,
            "version": None if detector is None else detector.bundle.version,
            "threshold": None if detector is None else detector.threshold.image,
            **_band(detector),
            "backend": None if detector is None else detector.backend.name,
            "counts": snapshot.inspections[name].model_dump(),
            "drift": snapshot.drift.get(name),
            "newest": None if newest is None else caption(newest),
        }


def _band(detector: Detector | None) -> dict[str, float]:
    suspect = None if detector is None else detector.threshold.suspect
    return {} if suspect is None else {"suspect_threshold": suspect}


def _signals(image: Image) -> dict[str, dict[str, int]]:
    return {"commands": dict(image.commands), "status": dict(image.status)}
