"""Where an INT8 engine cannot be built, the fp16 one is, and it is said."""

from __future__ import annotations

from typing import Any

import pytest

from dmdd_edge import BackendError
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.targets import with_half_for_int8


def test_fp16_takes_the_place_of_int8_loudly() -> None:
    built: list[str] = []

    def build(options: BuildOptions) -> Any:
        built.append(options.precision)
        if options.precision == "int8":
            raise BackendError("TensorRT 10.3 cannot read model.int8.onnx.", "Export again.")
        return options.precision

    said: list[str] = []
    assert with_half_for_int8(build, BuildOptions(precision="int8"), said.append) == "fp16"
    assert built == ["int8", "fp16"]
    assert said == [
        "WARNING: no INT8 engine, an fp16 engine instead: TensorRT 10.3 cannot read model.int8.onnx."
    ]
    assert with_half_for_int8(build, BuildOptions(precision="fp32"), said.append) == "fp32"
    assert len(said) == 1


def test_an_fp16_engine_that_cannot_be_built_is_an_error() -> None:
    def build(options: BuildOptions) -> Any:
        raise BackendError(f"no {options.precision}", "Export again.")

    with pytest.raises(BackendError, match="no fp16"):
        with_half_for_int8(build, BuildOptions(precision="int8"))
