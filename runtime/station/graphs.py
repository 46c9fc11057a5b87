"""The graphs of a station: inspections of one bundle share one, also across the recipes that are loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold
from dmdd_edge.bundle.threshold_remarks import threshold_remarks
from dmdd_edge.bundle.versions import find_version
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.backends.selection import Selection, select
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.part import batch_sizes
from dmdd_edge.runtime.station.settings import InspectionSettings, StationSettings
from dmdd_edge.runtime.stop_early import check_stop_early
from dmdd_edge.runtime.strips import check_no_strips
from dmdd_edge.runtime.tile_queue import TileQueue, queue_for
from dmdd_edge.workspace import find_bundle

_log = logging.getLogger("dmdd_edge")


@dataclass(frozen=True)
class GraphName:
    """What tells one graph from another.

    Attributes:
        version: folder of a bundle's version, which never changes.
        backend: what runs it.
        options: how.
    """

    version: Path
    backend: str
    options: BackendOptions


@dataclass
class Graph:
    """A bundle that is loaded, verified and warm on a backend.

    Attributes:
        bundle: the bundle.
        selection: its backend, and those that cannot run here.
        tiles: passes the tiles of all detectors to it; None where images are not tiled.
        users: number of recipes that use it.
    """

    bundle: Bundle
    selection: Selection
    tiles: TileQueue | None = None
    users: int = field(default=1)

    def detector(self, inspection: InspectionSettings) -> Detector:
        """A detector with the thresholds of an inspection; closing it leaves the graph open.

        Raises:
            DmddError: the calibration of the bundle cannot be read or is of strips, a threshold is out of
                range, or no part could be anomalous.
        """
        limits = effective_threshold(
            self.bundle,
            inspection.threshold,
            inspection.pixel_threshold,
            suspect=inspection.suspect_threshold,
            suspect_as=inspection.suspect_as,
            min_area=inspection.min_area,
            mm_per_px=inspection.mm_per_px,
        ).judging()
        check_no_strips(limits, self.bundle)
        for line in threshold_remarks(self.bundle, limits):
            _log.warning("%s", line)
        check_stop_early(inspection.stop_early, self.bundle, limits, _log.warning)
        chosen = self.selection
        return Detector(
            self.bundle,
            chosen.backend,
            limits,
            chosen.passed_over,
            shared=True,
            tiles=self.tiles,
            stop_early=inspection.stop_early,
        )


class Graphs:
    """The open graphs by name; each is closed with its last user. For one thread at a time.

    Args:
        settings: of the station: which recipes there are says with which batch sizes a graph must be warm. It
            is warmed for all of them at once, since later it may be at work.
    """

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._open: dict[GraphName, Graph] = {}

    def __len__(self) -> int:
        return len(self._open)

    def folder(self, inspection: InspectionSettings) -> Path:
        """The folder that an inspection names: of a category, or of a version.

        Raises:
            DmddError: there is no such bundle.
        """
        return find_bundle(inspection.category, inspection.model, self._settings.models_dir)

    def name(self, inspection: InspectionSettings) -> GraphName:
        """The graph that an inspection needs, of the version that is in use now.

        Raises:
            DmddError: there is no such bundle.
        """
        version = find_version(self.folder(inspection)).resolve()
        return GraphName(version, inspection.backend, inspection.options)

    def share(self, name: GraphName) -> Graph | None:
        """Use a graph that is open; None if it is not."""
        graph = self._open.get(name)
        if graph is not None:
            graph.users += 1
        return graph

    def load(self, name: GraphName) -> Graph:
        """Verify a bundle, start its backend, and run each batch size that the recipes need.

        Raises:
            DmddError: the bundle does not verify, or cannot run here.
        """
        bundle = Bundle.load(name.version)
        selection = select(bundle, name.backend, name.options)
        backend, size = selection.backend, bundle.manifest.image_size
        try:
            bundle = bundle.at(backend.precision)
            tiles = queue_for(bundle, backend, name.options)
            for count in self._batch_sizes(name, backend) if tiles is None else ():
                backend.infer(np.zeros((count, size, size, 3), np.uint8))
        except BaseException:
            backend.close()
            raise
        graph = self._open[name] = Graph(bundle, selection, tiles)
        return graph

    def release(self, name: GraphName) -> None:
        """One user less; the last one closes it."""
        graph = self._open[name]
        graph.users -= 1
        if not graph.users:
            del self._open[name]
            graph.selection.backend.close()

    def close(self) -> None:
        """Close every graph, whoever uses it."""
        while self._open:
            self._open.popitem()[1].selection.backend.close()

    def _batch_sizes(self, name: GraphName, backend: Backend) -> list[int]:
        """The batch sizes above 1, with which a backend is warm as soon as it is selected."""
        sizes: set[int] = set()
        for recipe in self._settings.recipes:
            count = sum(self._needs(each, name) for each in recipe.inspections)
            sizes.update(batch_sizes(count, backend))
        return sorted(sizes - {1})

    def _needs(self, inspection: str, name: GraphName) -> bool:
        try:
            return self.name(self._settings.inspections[inspection]) == name
        except DmddError:  # of a recipe that cannot be loaded now
            return False
