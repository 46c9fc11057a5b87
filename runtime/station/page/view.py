"""What the page of a station needs of the station."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.station.counts import InspectionCounts, PartCounts
from dmdd_edge.runtime.station.model import Desk, LoadedRecipe
from dmdd_edge.runtime.station.plc.transport import Image
from dmdd_edge.runtime.station.settings import StationSettings


class KeptCounts(Protocol):
    """Counts over all restarts; ``Counters``."""

    @property
    def recipes(self) -> Mapping[int, PartCounts]:
        """Parts by the recipe's number."""
        ...

    @property
    def inspections(self) -> Mapping[str, InspectionCounts]:
        """Results by the inspection's name."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing can be kept now; empty when all is well."""
        ...


class CameraView(Protocol):
    """A camera; ``StationCamera``."""

    def state(self) -> SourceState:
        """The current state."""
        ...


@dataclass(frozen=True)
class StationView:
    """A station as its page sees it; called from the page's threads.

    Attributes:
        settings: the station file.
        desk: its state, and what may be requested.
        counts: of recipes and inspections.
        cameras: by name.
        recipe: returns the recipe in force.
        signals: returns the PLC's signals now; None without a PLC.
        drift: returns what the drift watches found, by inspection.
        archive: returns figures of the archive; empty without one.
    """

    settings: StationSettings
    desk: Desk
    counts: KeptCounts
    cameras: Mapping[str, CameraView]
    recipe: Callable[[], LoadedRecipe | None]
    signals: Callable[[], Image] | None = None
    drift: Callable[[], dict[str, Any]] = dict
    archive: Callable[[], dict[str, Any]] = dict
