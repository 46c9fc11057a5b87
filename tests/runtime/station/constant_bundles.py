"""Bundles that give every picture one score, so that a result tells which of them judged; and stations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.station.recipes import StationRecipes
from dmdd_edge.runtime.station.settings import (
    CameraSettings,
    InspectionSettings,
    RecipeSettings,
    StationSettings,
)
from dmdd_edge.runtime.station.warm_recipe import RecipeChange, WarmRecipe

SIZE = 64


def constant_graph(score: float, size: int = SIZE) -> bytes:
    """A graph whose map is ``score`` everywhere, and so is its score."""
    constants = [
        helper.make_tensor("first", TensorProto.INT64, [], [0]),
        helper.make_tensor("plane", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("level", TensorProto.FLOAT, [], [score]),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["real", "first"], ["blue"], axis=3),
        helper.make_node("Mul", ["blue", "zero"], ["black"]),
        helper.make_node("Add", ["black", "level"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "plane"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", size, size]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_constant_bundle(models_dir: Path, category: str, score: float) -> Bundle:
    """A bundle around ``constant_graph``; the threshold is 0.5."""
    graph_input, outputs = graph_specs(SIZE)
    with BundleWriter(models_dir, category) as writer:
        (writer.path / FP32_GRAPH).write_bytes(constant_graph(score))
        return writer.commit(
            backbone="none",
            image_size=SIZE,
            input=graph_input,
            outputs=outputs,
            threshold=threshold_from_normals([0.25, 0.5]),
            licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
        )


def station_settings(
    folder: Path,
    inspections: Mapping[str, str | Mapping[str, Any]],
    recipes: Mapping[int, Sequence[str]],
    **fields: Any,
) -> StationSettings:
    """A station with one camera, whose bundles are in ``folder/models``.

    Args:
        inspections: by name: the category, or fields of ``InspectionSettings``.
        recipes: names of their inspections, by number.
        fields: of ``StationSettings``.
    """

    def fields_of(what: str | Mapping[str, Any]) -> Mapping[str, Any]:
        return {"category": what} if isinstance(what, str) else what

    made = {
        name: InspectionSettings(name=name, **{"camera": "top", "backend": "cpu", **fields_of(what)})
        for name, what in inspections.items()
    }
    known: dict[str, Any] = {
        "path": folder / "line1.toml",
        "name": "line1",
        "recipe": min(recipes),
        "state_dir": folder / "state",
        "models_dir": folder / "models",
        "cameras": {"top": CameraSettings(name="top", source="0")},
        "inspections": made,
        "recipes": tuple(
            RecipeSettings(number=number, name=f"product {number}", inspections=tuple(names))
            for number, names in recipes.items()
        ),
    }
    return StationSettings(**{**known, **fields})


class Reports:
    """Keeps what a recipe book reports, and waits for it."""

    def __init__(self) -> None:
        self.changes: list[RecipeChange] = []
        self._changed = threading.Condition()

    def __call__(self, change: RecipeChange) -> None:
        with self._changed:
            self.changes.append(change)
            self._changed.notify_all()

    @property
    def outcomes(self) -> list[tuple[int, str]]:
        """Number and outcome of each."""
        return [(change.number, change.outcome) for change in self.changes]

    def wait(self, count: int) -> RecipeChange:
        """Wait until so many were reported; returns the last of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.changes) >= count, 60), self.outcomes
            return self.changes[count - 1]


def put_in_force(book: StationRecipes, reports: Reports, number: int) -> RecipeChange:
    """Request a recipe and wait until it is in force."""
    before = len(reports.changes)
    book.request(number)
    change = reports.wait(before + 1)
    assert (change.number, change.outcome) == (number, "in force"), change
    return change


def scores(recipe: WarmRecipe | None) -> list[float]:
    """What each inspection of a recipe says about a picture."""
    assert recipe is not None
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    return [round(detector(picture).score, 4) for _, detector in recipe.inspections]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is true; it fails after a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
