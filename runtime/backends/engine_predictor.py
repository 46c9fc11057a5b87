"""An engine as a predictor of prepared images, to be compared with the graph it was built from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.runtime.backends.tensorrt_engine import engine_machine
from dmdd_edge.runtime.engines.engine import EngineNeeds, load_engine, read_sidecar
from dmdd_edge.runtime.engines.find import FoundEngine
from dmdd_edge.runtime.options.backend import BackendOptions


@contextmanager
def engine_predictor(
    engine: Path,
    onnx_sha256: str,
    *,
    listed_sha256: str | None = None,
    cache: Path | None = None,
    options: BackendOptions | None = None,
) -> Iterator[Predictor]:
    """Open an engine that was just built, of either library, on this machine's GPU.

    Args:
        engine: the ``.engine`` file, with its sidecar beside it.
        onnx_sha256: of the graph, which it must have been built from.
        listed_sha256: the required SHA-256 of the engine, for one of a bundle.
        cache: the engine cache that holds it, unless it is in a bundle.
        options: how it runs.

    Raises:
        DmddError: it is not trusted, does not match this machine, or does not run.
    """
    options = replace(options or BackendOptions(), engine_cache=cache)
    machine = engine_machine(read_sidecar(engine).flavour, options)
    version = str(machine.library.__version__)
    needs = EngineNeeds(onnx_sha256, version, machine.cuda.gpu, listed_sha256, cache)
    sidecar, data = load_engine(engine, needs)
    runner = machine.start(FoundEngine(engine, sidecar, data), options)
    try:
        yield lambda images: runner.infer(np.ascontiguousarray(images))
    finally:
        runner.close()
