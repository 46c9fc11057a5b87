"""Makes the INT8 graph of a trained model: ranges, biases, the choice of places, the file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.graph_view import read_graph
from dmdd_edge.export.int8.choice import Choice, Progress, choices
from dmdd_edge.export.int8.floors import Floors
from dmdd_edge.export.int8.images import Int8Images
from dmdd_edge.export.int8.measure import Limits
from dmdd_edge.export.int8.places import interior
from dmdd_edge.export.int8.quantize import write_int8
from dmdd_edge.export.int8.ranges import inputs_of
from dmdd_edge.export.int8.share import int8_share
from dmdd_edge.train.model import DMDD

RANGES, WRITING = "ranges for INT8", "writing the INT8 graph"


@dataclass(frozen=True)
class Made:
    """A written INT8 graph.

    Attributes:
        share: of the multiply-adds that is INT8, 0..1.
        half: the places that went back to half precision, worst first.
        places: number of places inside the backbones.
        leveled: the places in INT8 whose inputs are leveled.
        choice: how they were chosen.
        seconds: that it took.
    """

    share: float
    half: tuple[str, ...]
    places: int
    choice: Choice
    seconds: float
    leveled: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return {
            "share": round(self.share, 4),
            "places": self.places,
            "half": list(self.half),
            "leveled": list(self.leveled),
            "measured": len(self.choice.steps),
            "seconds": round(self.seconds, 1),
        }


def int8_graphs(
    model: DMDD,
    path: Path,
    image_size: int,
    images: Int8Images,
    limits: Limits,
    progress: Progress = lambda phase, done, total: None,
) -> Iterator[Made]:
    """Write the INT8 graph of a model with as many multiply-adds in INT8 as the limits allow on made damage.

    Where all places are within the limits, nothing is measured place by place. Each further graph that is
    requested replaces the one before and has fewer multiply-adds in INT8.

    Args:
        model: as trained, on the CPU.
        path: file to write.
        image_size: S.
        images: of its run.
        limits: of the gate; the choice keeps to a half of them.
        progress: called with each phase.

    Raises:
        BundleError: no choice of places is within the limits.
    """
    began = time.monotonic()
    graph = DeploymentGraph(model)
    places = interior(graph)
    progress(RANGES, 0, None)
    inputs = inputs_of(graph, places, images.ranges)
    for choice in choices(graph, places, inputs, images, limits, progress):
        half = choice.half
        progress(WRITING, 0, None)
        inside = [place for place in places if place.name not in half]
        written = DeploymentGraph(model)
        written.island_floors = Floors(choice.floors[frozenset(half)])
        write_int8(written, path, image_size, inside, choice.inputs)
        leveled = [place.name for place in inside if choice.inputs[place.name].divisors is not None]
        yield Made(
            int8_share(read_graph(path)), half, len(places), choice, time.monotonic() - began, tuple(leveled)
        )
