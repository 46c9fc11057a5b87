"""Loads the bundle of each inspection, and has it look at the region of its camera's first frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.challenge.run import set_of
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.station.check.report import failed
from dmdd_edge.runtime.station.graphs import Graph, GraphName, Graphs
from dmdd_edge.runtime.station.settings import InspectionSettings, StationSettings


def examine_inspections(
    settings: StationSettings, frames: Mapping[str, Frame | None], update: Callable[[str], None]
) -> list[Finding]:
    """Examine every inspection; a bundle that several share is loaded once.

    Args:
        settings: of the station.
        frames: the first frame of each camera.
        update: called with what is being done.
    """
    graphs = Graphs(settings)
    loaded: dict[GraphName, Graph | DmddError] = {}
    findings = []
    try:
        for inspection in settings.inspections.values():
            update(f"inspection {inspection.name}")
            findings.append(_examine(settings, inspection, frames[inspection.camera], graphs, loaded))
    finally:
        graphs.close()
    return findings


def _examine(
    settings: StationSettings,
    inspection: InspectionSettings,
    frame: Frame | None,
    graphs: Graphs,
    loaded: dict[GraphName, Graph | DmddError],
) -> Finding:
    name, title = f"inspections.{inspection.name}", f"inspection {inspection.name}"
    facts: dict[str, Any] = {"camera": inspection.camera, "region": inspection.region}
    inside = ("inspections", inspection.name)
    route: tuple[str, ...] = (*inside, "region")
    try:
        if frame is not None:
            check_inside(inspection, frame)
        route = (*inside, "model" if inspection.model is not None else "category")
        graph = _graph(graphs, graphs.name(inspection), loaded)
        detector = graph.detector(inspection)
        facts |= _facts(detector)
        shown = (
            f"{facts['category']} {facts['version']}, {facts['backend']}, threshold {facts['threshold']:.4f}"
        )
        shown += _band(inspection, detector, facts)
        if settings.challenge:
            route = ("challenge",)
            facts["challenge"] = parts = len(set_of(detector.bundle).parts)
            shown += f", challenge set of {parts}" if parts else ", an empty challenge set"
        if frame is not None:
            route = (*inside, "camera")
            result = detector(_part(inspection, frame))
            facts |= {"status": result.status, "score": result.score}
            shown += f"; the image has score {result.score:.4f}, {result.status}"
        return Finding(name, title, "ok", shown, facts=facts)
    except DmddError as error:
        return failed(name, title, error, settings.place(*route), facts)


def _band(inspection: InspectionSettings, detector: Detector, facts: dict[str, Any]) -> str:
    """Notes what becomes of suspect parts; in words for a person."""
    if inspection.suspect_as is not None:
        facts["suspect_as"] = inspection.suspect_as
        return f", suspect parts count as {inspection.suspect_as}"
    suspect = detector.threshold.suspect
    if suspect is None:
        return ""
    facts["suspect_threshold"] = suspect
    return f", suspect above {suspect:.4f}"


def check_inside(inspection: InspectionSettings, frame: Frame) -> None:
    """See that the region of an inspection is inside its camera's image.

    Raises:
        OptionError: it is not.
    """
    if inspection.region is None:
        return
    x, y, width, height = inspection.region
    rows, columns = frame.image.shape[:2]
    if x + width <= columns and y + height <= rows:
        return
    left, top = min(x, columns - 1), min(y, rows - 1)
    fitting = [left, top, min(width, columns - left), min(height, rows - top)]
    raise OptionError(
        f"region {list(inspection.region)} is outside the image of camera {inspection.camera}, which is "
        f"{columns} x {rows}.",
        f"Write a region inside it, such as region = {fitting}.",
    )


def _part(inspection: InspectionSettings, frame: Frame) -> Any:
    if inspection.region is None:
        return frame.image
    x, y, width, height = inspection.region
    return frame.image[y : y + height, x : x + width]


def _graph(graphs: Graphs, name: GraphName, loaded: dict[GraphName, Graph | DmddError]) -> Graph:
    """A graph that is loaded once, also where it cannot be."""
    if name not in loaded:
        try:
            loaded[name] = graphs.load(name)
        except DmddError as error:
            loaded[name] = error
    graph = loaded[name]
    if isinstance(graph, DmddError):
        raise graph
    return graph


def _facts(detector: Detector) -> dict[str, Any]:
    bundle = detector.bundle
    return {
        "category": bundle.category,
        "version": bundle.version,
        "backend": detector.backend.name,
        "threshold": detector.threshold.image,
    }
