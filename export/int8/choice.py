"""Chooses the places that are INT8, by what they cost on made damage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.errors import BundleError
from dmdd_edge.evaluation.test_set import evaluate_predictor
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.floors import Floors, mean_distances
from dmdd_edge.export.int8.images import Int8Images
from dmdd_edge.export.int8.measure import Limits, Loss, loss
from dmdd_edge.export.int8.places import Place
from dmdd_edge.export.int8.ranges import Input, Inputs, hooked
from dmdd_edge.export.int8.search import MARGIN, MOST_STEPS, Search, Step, best
from dmdd_edge.export.int8.sensitivity import errors, worst_first
from dmdd_edge.export.int8.simulate import Simulation

#: Called with the phase, how much of it is done, and of how much.
Progress = Callable[[str, int, int | None], None]
CHOOSING = "choosing what is INT8"
#: Leveling an input costs an operation. It is tried where a place has this share of the error of all, and
#: kept where it takes this share off that.
_CONSIDERED, _WORTH = 5e-4, 0.3


@dataclass(frozen=True)
class Choice:
    """Which places are INT8, and what led to it.

    Attributes:
        steps: the choices that were measured; the last that holds counts.
        order: all places, worst first; in the order of execution where none was measured alone.
        inputs: how the input of each place becomes INT8.
        error: that each place adds alone; empty where none was measured.
        work: multiply-adds of each place; empty where none was measured.
        floors: of each choice, by its places in half precision; see ``floors``.
    """

    steps: tuple[Step, ...]
    order: tuple[str, ...]
    inputs: Mapping[str, Input] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    floors: dict[frozenset[str], list[Tensor]] = field(default_factory=dict)

    @property
    def half(self) -> tuple[str, ...]:
        """The places that go back to half precision, worst first.

        Raises:
            BundleError: none of the choices holds.
        """
        found = best(self.steps)
        if found is None:
            last = self.steps[-1]
            raise BundleError(
                f"INT8 costs too much here at every place: with {len(last.half)} of {len(self.order)} places "
                f"in half precision, {'; '.join(last.problems)}. Nothing was published; the version in use "
                "is unchanged.",
                "Export with --precision fp16, train longer, or accept a loss of some points: "
                "--allow-accuracy-loss POINTS, which the manifest records.",
            )
        return found.half


class Measurement:
    """Measures a choice of places; see ``search.Measure``.

    Args:
        simulation: of the float32 graph.
        places: that may be INT8.
        images: of the run.
        limits: of the gate; a choice has to keep to a part of them.
        tell: called after each measurement.

    Attributes:
        floors: of each choice that was measured, by its places in half precision.
    """

    def __init__(
        self,
        simulation: Simulation,
        places: Sequence[Place],
        images: Int8Images,
        limits: Limits,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._simulation, self._images, self._tell = simulation, images, tell
        self._names = [place.name for place in places]
        self._limits = limits.scaled(MARGIN)
        self.floors: dict[frozenset[str], list[Tensor]] = {}
        simulation.use(())
        self._means = mean_distances(simulation.graph, images.good)
        self._exact = evaluate_predictor(simulation.predictor(), images.choice)

    def __call__(self, half: Collection[str]) -> tuple[Loss, tuple[str, ...]]:
        """The loss with these places in half precision, and each figure beyond its limit."""
        simulation, test = self._simulation, self._images.choice
        simulation.use([name for name in self._names if name not in half])
        means = mean_distances(simulation.graph, self._images.good)
        floors = [mean - exact for mean, exact in zip(means, self._means, strict=True)]
        self.floors[frozenset(half)] = floors
        simulation.graph.island_floors = Floors(floors)
        coarse = evaluate_predictor(simulation.predictor(), test)
        simulation.graph.island_floors = None
        found = loss("made damage", test, self._exact, coarse)
        self._tell()
        return found, tuple(found.problems(self._limits))


def choices(
    graph: DeploymentGraph,
    places: Sequence[Place],
    inputs: Mapping[str, Inputs],
    images: Int8Images,
    limits: Limits,
    progress: Progress,
) -> Iterator[Choice]:
    """Choose the places that are INT8, and those with leveled inputs; see ``search``.

    The first is the result of the search. Each further one has fewer multiply-adds in INT8: it is measured
    when it is requested.

    Args:
        graph: in float32.
        places: that may be INT8.
        inputs: how the input of each place may become INT8.
        images: of the run.
        limits: of the gate.
        progress: called with the images done, and their number at most.
    """
    names = tuple(place.name for place in places)
    each, alone = len(images.choice.items) + len(images.good), len(images.sensitivity)
    most = each * (2 + MOST_STEPS) + alone * 2 * len(places)
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress(CHOOSING, min(done, most), most)

    tell(0)
    plain = {name: both.plain for name, both in inputs.items()}
    simulation = Simulation(graph, places, plain)
    measure = Measurement(simulation, places, images, limits, lambda: tell(each))
    first = Step((), 1.0, *measure(()))
    if first.holds:
        yield Choice((first,), names, plain, floors=measure.floors)
    error = errors(simulation, places, images.sensitivity, lambda: tell(alone))
    error |= level(simulation, places, inputs, error, images.sensitivity, lambda: tell(alone))
    work = work_of(graph, places, images.sensitivity[:1])
    order = worst_first(error, work)
    search = Search(order, error, work, measure)
    steps = [first]
    if not first.holds:
        steps += search.run()
        yield Choice(tuple(steps), tuple(order), simulation.inputs, error, work, measure.floors)
    while (last := best(steps)) is not None:
        more = search.below(last.share, [step.half for step in steps])
        steps += more
        if not more or not more[-1].holds:
            return
        yield Choice(tuple(steps), tuple(order), simulation.inputs, error, work, measure.floors)


def level(
    simulation: Simulation,
    places: Sequence[Place],
    inputs: Mapping[str, Inputs],
    error: Mapping[str, float],
    images: NDArray[np.uint8],
    tell: Callable[[], None],
) -> dict[str, float]:
    """Level the inputs of the places with most of the error, where that helps.

    Returns:
        the error that each of them adds now.
    """
    least = _CONSIDERED * sum(error.values())
    worst = {
        place.name: way
        for place in places
        if error[place.name] >= least and (way := inputs[place.name].leveled) is not None
    }
    simulation.use(())
    for name, way in worst.items():
        simulation.change(name, way())
    found = errors(simulation, [place for place in places if place.name in worst], images, tell)
    helped = {name: after for name, after in found.items() if after <= (1 - _WORTH) * error[name]}
    for name in worst.keys() - helped.keys():
        simulation.change(name, inputs[name].plain)
    return helped


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
