"""A bundle whose graph costs next to nothing, so that what surrounds a graph shows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals


def write_blue_bundle(
    models: Path, category: str, side: int, normals: Sequence[float] = (0.25, 0.5), **more: Any
) -> Bundle:
    """The bundle of the tests: the map is the blue channel / 255, the score its largest value.

    Args:
        models: folder of the bundles.
        category: of the bundle.
        side: S, side of the input.
        normals: scores of good parts, whose largest is the threshold.
        more: further arguments of ``BundleWriter.commit``.
    """
    sys.path.append(str(common.ROOT))
    from tests.runtime.conftest import blue_graph

    graph_input, outputs = graph_specs(side)
    with BundleWriter(models, category) as writer:
        (writer.path / FP32_GRAPH).write_bytes(blue_graph(side).SerializeToString())
        return writer.commit(
            backbone="none",
            image_size=side,
            input=graph_input,
            outputs=outputs,
            threshold=threshold_from_normals(list(normals)),
            licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
            **more,
        )
