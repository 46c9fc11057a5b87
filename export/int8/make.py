"""Makes the INT8 graph of a trained model: ranges, biases, the choice of places, the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dmdd_edge.evaluation.test_set import evaluate_predictor
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.graph_view import read_graph
from dmdd_edge.export.int8.images import Int8Images
from dmdd_edge.export.int8.measure import Limits, Loss, loss
from dmdd_edge.export.int8.places import Place, interior
from dmdd_edge.export.int8.quantize import write_int8
from dmdd_edge.export.int8.ranges import hooked, inputs_of
from dmdd_edge.export.int8.search import MARGIN, Step, fewest_in_half
from dmdd_edge.export.int8.sensitivity import errors, worst_first
from dmdd_edge.export.int8.share import int8_share
from dmdd_edge.export.int8.simulate import Simulation
from dmdd_edge.train.model import DMDD

#: Called with the phase, how much of it is done, and of how much.
Progress = Callable[[str, int, int | None], None]
RANGES, CHOOSING, WRITING = "ranges for INT8", "choosing what is INT8", "writing the INT8 graph"


@dataclass(frozen=True)
class Made:
    """A written INT8 graph.

    Attributes:
        share: of the multiply-adds that is INT8, 0..1.
        half: the places that went back to half precision, worst first.
        places: number of places inside the backbones.
        steps: the choices that were measured.
        order: all places, worst first; in the order of execution where none was measured alone.
        error: that each place adds alone; empty where none was measured.
        work: multiply-adds of each place; empty where none was measured.
        seconds: that it took.
    """

    share: float
    half: tuple[str, ...]
    places: int
    steps: tuple[Step, ...]
    seconds: float
    order: tuple[str, ...] = ()
    error: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return {
            "share": round(self.share, 4),
            "places": self.places,
            "half": list(self.half),
            "measured": len(self.steps),
            "seconds": round(self.seconds, 1),
        }


def make_int8(
    model: DMDD,
    path: Path,
    image_size: int,
    images: Int8Images,
    limits: Limits,
    progress: Progress = lambda phase, done, total: None,
) -> Made:
    """Write the INT8 graph of a model with as many places in INT8 as the limits allow on made damage.

    Where all of them are within the limits, nothing is measured place by place.

    Args:
        model: as trained, on the CPU.
        path: file to write.
        image_size: S.
        images: of its run.
        limits: of the gate; the choice keeps to a half of them.
        progress: called with each phase.
    """
    began = time.monotonic()
    graph = DeploymentGraph(model)
    places = interior(graph)
    progress(RANGES, 0, None)
    inputs = inputs_of(graph, places, images.ranges)
    simulation = Simulation(graph, places, inputs)
    chosen = _choose(simulation, places, images, limits, progress)
    progress(WRITING, 0, None)
    inside = [place for place in places if place.name not in chosen.half]
    write_int8(DeploymentGraph(model), path, image_size, inside, inputs)
    share = int8_share(read_graph(path))
    return Made(
        share,
        chosen.half,
        len(places),
        tuple(chosen.steps),
        time.monotonic() - began,
        tuple(chosen.order),
        chosen.error,
        chosen.work,
    )


@dataclass(frozen=True)
class _Choice:
    order: list[str]
    count: int
    steps: list[Step]
    error: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)

    @property
    def half(self) -> tuple[str, ...]:
        return tuple(self.order[: self.count])


def _choose(
    simulation: Simulation, places: list[Place], images: Int8Images, limits: Limits, progress: Progress
) -> _Choice:
    progress(CHOOSING, 0, None)
    predict = simulation.predictor()
    simulation.use(())
    exact = evaluate_predictor(predict, images.choice)
    stricter = limits.scaled(MARGIN)

    def measure(inside: Sequence[str]) -> tuple[Loss, bool]:
        simulation.use(inside)
        found = loss("made damage", images.choice, exact, evaluate_predictor(predict, images.choice))
        return found, not found.problems(stricter)

    names = [place.name for place in places]
    first = measure(names)
    if first[1]:
        return _Choice(names, 0, [Step(0, *first)])
    error = errors(
        simulation, places, images.sensitivity, lambda done, total: progress(CHOOSING, done, total)
    )
    work = work_of(simulation.graph, places, images.sensitivity[:1])
    order = worst_first(error, work)
    half, steps = fewest_in_half(
        order, lambda inside: first if len(inside) == len(names) else measure(inside)
    )
    return _Choice(order, half, steps, error, work)


def work_of(graph: DeploymentGraph, places: Sequence[Place], image: Any) -> dict[str, int]:
    """Multiply-adds of each place, both networks together, for one image uint8 1 x S x S x 3."""
    work = dict.fromkeys((place.name for place in places), 0)

    def count(name: str) -> Callable[..., None]:
        def after(module: nn.Conv2d, inputs: Any, output: Any) -> None:
            work[name] += output[0].numel() * module.weight[0].numel()

        return after

    hooks = {name: count(place.name) for place in places for name in place.convolutions}
    with hooked(graph, hooks), torch.inference_mode():
        graph(torch.from_numpy(image))
    return work
