"""Writes a bundle as a model repository for NVIDIA Triton Inference Server.

    REPOSITORY/<name>/config.pbtxt
    REPOSITORY/<name>/1/model.onnx        or model.plan

The configuration is written as text, so that Triton is not needed here; a test parses it with Triton's
message type. Serve it with ``tritonserver --model-repository=REPOSITORY``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_error
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineSidecar, read_sidecar

Platform = Literal["onnxruntime_onnx", "tensorrt_plan"]

#: The file name that Triton looks for, by platform.
_MODEL_FILE: dict[str, str] = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}

_KINDS = {"auto": "KIND_AUTO", "gpu": "KIND_GPU", "cpu": "KIND_CPU"}


@dataclass(frozen=True)
class TritonModel:
    """The configuration of a model in the repository.

    Attributes:
        name: the model's name for clients: letters, digits, ``-``, ``_`` and ``.``.
        image_size: S of the input N x S x S x 3.
        platform: ``onnxruntime_onnx`` for a graph, ``tensorrt_plan`` for an engine.
        batch: the accepted batch sizes; requests are combined up to the largest.
        queue_delay_us: how long a request may wait for others, in microseconds.
        instances: number of copies that run in parallel.
        device: ``auto`` (a GPU where there is one), ``gpu`` or ``cpu``.
        facts: what a client needs besides the outputs, such as the threshold; returned by Triton's
            configuration call.
    """

    name: str
    image_size: int
    platform: Platform = "onnxruntime_onnx"
    batch: BatchProfile = field(default_factory=lambda: BatchProfile(minimum=1, optimum=8, maximum=8))
    queue_delay_us: int = 2000
    instances: int = 1
    device: Literal["auto", "gpu", "cpu"] = "auto"
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.name):
            raise OptionError(
                f"{self.name!r} is not a valid name of a Triton model.",
                "Use letters, digits, -, _ and . in the name.",
            )
        if self.platform == "tensorrt_plan" and self.device == "cpu":
            raise OptionError(
                "A TensorRT engine does not run on the CPU.", "Serve the bundle's ONNX graph instead."
            )
        if self.batch.minimum > 1:
            raise OptionError(
                f"Triton also sends single images; batches of {self.batch} exclude them.",
                "Build an engine with --batch 1:8.",
            )
        if self.instances < 1 or self.queue_delay_us < 0:
            raise OptionError("Triton needs at least one instance and a queue delay of 0 or more.")

    def preferred_batches(self) -> list[int]:
        """The batch sizes worth waiting for: the powers of two above 1, and the largest."""
        largest = self.batch.maximum
        powers = [2**n for n in range(1, largest.bit_length())]
        return sorted({*powers, *([largest] if largest > 1 else [])})


def config_text(model: TritonModel) -> str:
    """The contents of ``config.pbtxt``.

    ``score`` has only the batch dimension. Triton requires another, so it is declared as 1 and reshaped: a
    client receives N x 1.
    """
    size, batch = model.image_size, model.batch.maximum
    parts = [
        f"name: {_text(model.name)}",
        f"platform: {_text(model.platform)}",
        f"max_batch_size: {batch}",
        f'input [\n  {{ name: "image" data_type: TYPE_UINT8 dims: [ {size}, {size}, 3 ] }}\n]',
        "output [\n"
        f'  {{ name: "anomaly_map" data_type: TYPE_FP32 dims: [ {size}, {size} ] }},\n'
        '  { name: "score" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }\n'
        "]",
        f"instance_group [\n  {{ count: {model.instances} kind: {_KINDS[model.device]} }}\n]",
        "version_policy { latest { num_versions: 1 } }",
    ]
    preferred = model.preferred_batches()
    if preferred:
        sizes = ", ".join(map(str, preferred))
        parts.append(
            "dynamic_batching {\n"
            f"  preferred_batch_size: [ {sizes} ]\n"
            f"  max_queue_delay_microseconds: {model.queue_delay_us}\n"
            "}"
        )
    # Without a warm-up the first request waits for kernels to load, seconds on an edge GPU.
    for count in sorted({1, batch}):
        parts.append(
            "model_warmup [\n"
            f'  {{ name: "batch_{count}" batch_size: {count}\n'
            f'    inputs {{ key: "image" value {{ data_type: TYPE_UINT8 dims: [ {size}, {size}, 3 ] '
            "zero_data: true } } }\n"
            "]"
        )
    for key, value in model.facts.items():
        parts.append(f"parameters {{ key: {_text(key)} value {{ string_value: {_text(value)} }} }}")
    return "\n".join(parts) + "\n"


def write_model_repository(source: Path, model: TritonModel, out_dir: Path) -> Path:
    """Write a model repository, or add a model to one.

    Args:
        source: the graph (``.onnx``) or engine to serve; copied.
        model: the configuration.
        out_dir: the repository's folder; created if missing.

    Returns:
        The model's folder in the repository.

    Raises:
        DmddError: the folder exists and is not a Triton model's, or it cannot be written.
    """
    folder = out_dir / model.name
    if folder.exists() and any(folder.iterdir()) and not (folder / "config.pbtxt").is_file():
        raise OptionError(f"{folder} exists and is not a Triton model.", "Choose another folder or model.")
    target = folder / "1" / _MODEL_FILE[model.platform]
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in set(_MODEL_FILE.values()) - {target.name}:
            (target.parent / other).unlink(missing_ok=True)  # a model that changed its platform
        shutil.copyfile(source, part)
        part.replace(target)
        (folder / "config.pbtxt").write_text(config_text(model), encoding="utf-8")
    except OSError as error:
        raise storage_error(error, out_dir, "written", "Name another folder: --triton-dir DIR.") from error
    return folder


def repository_from_bundle(
    bundle: Bundle,
    out_dir: Path,
    *,
    engine: Path | None = None,
    batch: BatchProfile | None = None,
    queue_delay_us: int = 2000,
    instances: int = 1,
    device: Literal["auto", "gpu", "cpu"] = "auto",
) -> Path:
    """Write the model repository of a bundle.

    Args:
        bundle: to serve; its fp32 graph, unless ``engine`` is given. The threshold is that of the precision
            that is served.
        out_dir: the repository's folder.
        engine: a TensorRT engine of this bundle, built with exactly the version in the Triton image.
        batch: the batch sizes of the graph, 1:8 by default; an engine brings its batch sizes.

    Returns:
        The model's folder in the repository.

    Raises:
        DmddError: the engine is not a TensorRT engine, or not of this bundle; else as the functions above.
    """
    sidecar = None if engine is None else read_sidecar(engine)
    if sidecar is not None:
        bundle = bundle.at(sidecar.precision)
    manifest = bundle.manifest
    tiling = manifest.preprocess.tiling
    facts = {
        "category": manifest.category,
        "bundle_version": manifest.version,
        "threshold": repr(manifest.threshold.image),
        **({} if (lower := manifest.threshold.suspect) is None else {"suspect_threshold": repr(lower)}),
        "color_order": manifest.input.color_order,
        **({} if tiling is None else {"tiles": f"{tiling.describe()}; the client cuts and joins"}),
        "preprocess": json.dumps(manifest.preprocess.model_dump(mode="json")),
    }
    batches = batch or BatchProfile(minimum=1, optimum=8, maximum=8)
    if engine is not None and sidecar is not None:
        batches = _batch_of_engine(sidecar, bundle, engine)
        facts["precision"] = sidecar.precision
        facts["engine"] = f"{sidecar.library} on {sidecar.gpu} ({', '.join(sidecar.sms)})"
    model = TritonModel(
        name=manifest.category,
        image_size=manifest.image_size,
        platform="onnxruntime_onnx" if engine is None else "tensorrt_plan",
        batch=batches,
        queue_delay_us=queue_delay_us,
        instances=instances,
        device="gpu" if engine is not None and device == "auto" else device,
        facts=facts,
    )
    return write_model_repository(engine or bundle.file(FP32_GRAPH), model, out_dir)


def _batch_of_engine(sidecar: EngineSidecar, bundle: Bundle, engine: Path) -> BatchProfile:
    if sidecar.flavour != "tensorrt":
        raise OptionError(
            f"{engine.name} is a TensorRT-RTX engine, which Triton does not run.",
            "Build one on the server's GPU: dmdd-edge export --target tensorrt",
        )
    if sidecar.onnx_sha256 not in bundle.manifest.files.values():
        raise OptionError(f"{engine.name} was not built from a graph of {bundle.category} {bundle.version}.")
    return sidecar.batch


def _text(value: str) -> str:
    """Quote a string as in protobuf's text format."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
