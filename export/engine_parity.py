"""Parity of an engine, measured on the device it was built for, and stored in its sidecar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data_address import DataPlace
from dmdd_edge.errors import DmddError
from dmdd_edge.export.engines.artifact import BuiltEngine
from dmdd_edge.export.parity import INT8_ROW, LIMITS, ParityRow, require
from dmdd_edge.export.pipeline import Progress, compare_all, silent
from dmdd_edge.runtime.backends.engine_predictor import engine_predictor
from dmdd_edge.runtime.engines.cache import engine_cache
from dmdd_edge.runtime.engines.engine import sidecar_path
from dmdd_edge.storage import write_atomically
from dmdd_edge.train.checkpoint import Run


def measure_engine(
    run: Run,
    bundle: Bundle,
    built: BuiltEngine,
    *,
    data: DataPlace | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> ParityRow:
    """Compare an engine of this machine's cache with torch, and write the figures into its sidecar.

    An engine that exceeds its limits is deleted, so that it is never used.

    Args:
        run: the run that the bundle was exported from.
        bundle: the bundle that the engine was built from.
        built: the engine.
        data: data set, when it is not where training found it.
        cache: as ``--engine-cache``.
        progress: as for ``pipeline.export_run``.

    Raises:
        DmddError: the engine cannot run here, or does not match the trained model.
    """
    side = built.sidecar
    name = f"{side.flavour} {side.precision}"
    with engine_predictor(built.path, side.onnx_sha256, cache=engine_cache(cache)) as predict:
        limits = LIMITS[side.precision]
        if side.precision == "int8":
            limits = replace(limits, figure=limits.figure + allowed_loss(bundle) / 100)
        artifacts = {name: (predict, limits)}
        (row,) = compare_all(run, data, artifacts, bundle.manifest.threshold.image, progress)
    try:
        require([row])
    except DmddError:
        built.path.unlink(missing_ok=True)
        sidecar_path(built.path).unlink(missing_ok=True)
        raise
    updated = side.model_copy(update={"parity": figures(row)})
    write_atomically(sidecar_path(built.path), updated.model_dump_json(indent=2) + "\n")
    return row


def allowed_loss(bundle: Bundle) -> float:
    """The points that the export of an INT8 graph was allowed to lose beyond its limits."""
    row = bundle.manifest.parity.get(INT8_ROW, {})
    return float(row.get("gate", {}).get("allowed_loss", 0.0))


def figures(row: ParityRow) -> dict[str, float]:
    """The numbers of a row, as a sidecar stores them; figures that were not measured are omitted."""
    names = ("images", "map_max", "map_p99", "score_max", "flipped", "image_auroc", "pixel_auroc", "pro")
    values = {name: getattr(row, name) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None}
