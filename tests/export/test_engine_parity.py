"""An engine is held against torch on its device; what fails is removed, what passes says by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.export import engine_parity
from dmdd_edge.export.engines.artifact import BuiltEngine
from dmdd_edge.export.parity import onnx_predictor
from dmdd_edge.runtime.engines.engine import EngineSidecar, read_sidecar, sidecar_path, write_engine

Found = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture
def built(tiny_export: Any, tmp_path: Path) -> BuiltEngine:
    """An engine file of the tiny bundle's fp32 graph; what it holds does not matter here."""
    engine = tmp_path / "this.engine"
    sidecar = EngineSidecar.model_validate(
        {
            "flavour": "tensorrt",
            "engine_sha256": "0" * 64,
            "engine_bytes": 4,
            "onnx_sha256": tiny_export.bundle.manifest.files["model.fp32.onnx"],
            "library_version": "10.3.0",
            "precision": "fp32",
            "image_size": 64,
            "batch": {"minimum": 1, "optimum": 1, "maximum": 1},
            "sms": ["sm87"],
            "convolutions": 1,
            "half_convolutions": 0,
            "opt_level": 3,
            "build_seconds": 1.0,
            "created": "2026-01-01T00:00:00+00:00",
            "created_with": "a test",
        }
    )
    write_engine(engine, b"none", sidecar)
    return BuiltEngine(engine, sidecar)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tiny_export: Any) -> Callable[[float], None]:
    """Stand in for the GPU: the engine gives what the fp32 file gives, with its maps off by so much."""
    truth = onnx_predictor(tiny_export.bundle.file("model.fp32.onnx"))

    def use(off: float) -> None:
        @contextmanager
        def predict(*args: Any, **values: Any) -> Iterator[Callable[[NDArray[np.uint8]], Found]]:
            def run(images: NDArray[np.uint8]) -> Found:
                maps, scores = truth(images)
                return maps + np.float32(off), scores

            yield run

        monkeypatch.setattr(engine_parity, "engine_predictor", predict)

    return use


def test_an_engine_that_fits_has_its_figures_in_the_sidecar(
    built: BuiltEngine, device: Callable[[float], None], tiny_export: Any, tiny_outcome: Any
) -> None:
    device(5e-5)
    row = engine_parity.measure_engine(tiny_outcome.run, tiny_export.bundle, built)
    assert row.artifact == "tensorrt fp32"
    kept = read_sidecar(built.path).parity
    assert kept["map_max"] == pytest.approx(5e-5, abs=1e-5)
    assert kept["images"] == 8
    assert kept["image_auroc"] == 0.0  # a difference: none


def test_an_engine_that_does_not_fit_is_removed(
    built: BuiltEngine, device: Callable[[float], None], tiny_export: Any, tiny_outcome: Any
) -> None:
    device(2e-3)
    with pytest.raises(DmddError, match=r"tensorrt fp32: map_max 2\.00e-03 exceeds 1e-04"):
        engine_parity.measure_engine(tiny_outcome.run, tiny_export.bundle, built)
    assert not built.path.exists()
    assert not sidecar_path(built.path).exists()
