"""ONNX Runtime must not round the biases: in half precision the steps underflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.export.parity import onnx_predictor
from dmdd_edge.runtime.backends.onnxruntime_session import open_session


def test_biases_are_not_rounded(make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle()
    off: list[Any] = []
    real = onnxruntime.InferenceSession

    def opened(*args: Any, **options: Any) -> Any:
        off.append(options.get("disabled_optimizers"))
        return real(*args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    onnx_predictor(bundle.file(FP32_GRAPH))
    open_session(onnxruntime, bundle, FP32_GRAPH, None, ["CPUExecutionProvider"])
    assert [tuple(each) for each in off] == [("WeightBiasQuantization",)] * 2
