"""What INT8 adds to the distances is subtracted before the head."""

from __future__ import annotations

import torch

from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.floors import Floors, mean_distances
from tests.export.detectors import detector, random_images


def test_floors_are_subtracted_map_by_map_and_nothing_falls_below_0() -> None:
    stages = [torch.tensor([[[[3.0, 0.5]], [[1.0, 2.0]]]]), torch.ones(1, 1, 2, 2)]
    found = Floors([torch.tensor([1.0, -1.0]), torch.tensor([0.25])])(stages)
    assert found[0].tolist() == [[[[2.0, 0.0]], [[2.0, 3.0]]]]
    assert found[1].tolist() == [[[[0.75, 0.75], [0.75, 0.75]]]]


def test_the_mean_of_each_map_is_measured_without_floors() -> None:
    graph, images = DeploymentGraph(detector()), random_images(5)
    before = mean_distances(graph, images)
    given: list[list[torch.Tensor]] = []
    graph.island_head.register_forward_pre_hook(lambda head, inputs: given.append(inputs[0]))
    graph(torch.from_numpy(images))
    for mean, maps in zip(before, given[0], strict=True):
        torch.testing.assert_close(mean, maps.mean((0, 2, 3)))
    graph.island_floors = Floors(before)
    graph.island_head.register_forward_pre_hook(lambda head, inputs: ([item + 2 for item in inputs[0]],))
    for mean, more in zip(before, mean_distances(graph, images), strict=True):
        torch.testing.assert_close(more, mean + 2)
