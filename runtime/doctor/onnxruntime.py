"""ONNX Runtime, and which of its providers really run a graph on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of

#: A 3 x 3 convolution of ones with a border of zeros: it counts the pixels of a neighborhood.
CONVOLUTION = Path(__file__).parent / "convolution.onnx"
#: Its result on 3 x 3 ones.
_COUNTS = [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]

_ME = "dmdd_edge.runtime.doctor.onnxruntime"
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: Largest accepted difference between the scores of CUDA and the CPU.
_AGREE = 0.01
#: Seconds: optimizing a large graph on a slow processor.
_LIMIT = 180.0
#: Builds of ONNX Runtime; all install the module ``onnxruntime``, each over the others.
BUILDS = ("onnxruntime", "onnxruntime-gpu")


def load() -> dict[str, Any]:
    """In a subprocess: the version and the compiled-in providers."""
    import onnxruntime

    return {"version": onnxruntime.__version__, "compiled_in": onnxruntime.get_available_providers()}


def try_provider(provider: str) -> dict[str, Any]:
    """In a subprocess: run ``convolution.onnx`` with a provider.

    A convolution, since on CUDA that needs cuDNN, which a sum does not. "Available" only means compiled in: a
    session that cannot use the requested provider silently falls back to the CPU, so the session's own list
    counts.

    Returns:
        ``active``: the session's providers; ``right``: whether the result is correct.
    """
    import numpy as np
    import onnxruntime

    if provider == _CUDA and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # where pip put CUDA and cuDNN
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(CONVOLUTION.read_bytes(), options, providers=[provider])
    (counts,) = session.run(["y"], {"x": np.ones((1, 1, 3, 3), np.float32)})
    return {"active": session.get_providers(), "right": counts.reshape(3, 3).tolist() == _COUNTS}


def try_bundle(models_dir: str) -> dict[str, Any]:
    """In a subprocess: run an image of noise through a bundle of this machine, on CUDA and on the CPU.

    The bundle's own graph may need what a small graph does not: other operators, and memory.

    Returns:
        ``category``: of the bundle, None without an intact one; ``right``: whether both agree.

    Raises:
        DmddError: CUDA does not run it.
    """
    import numpy as np

    from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.backends.selection import select
    from dmdd_edge.workspace import list_bundles

    for category in list_bundles(models_dir):
        try:
            bundle = Bundle.load(Path(models_dir) / category)
        except DmddError:
            continue  # the examination of the bundles reports it
        if not bundle.has(FP32_GRAPH):
            continue
        size = bundle.manifest.image_size
        image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
        scores = [float(select(bundle, name).backend.infer(image)[1][0]) for name in ("cuda", "cpu")]
        return {"category": category, "right": abs(scores[0] - scores[1]) <= _AGREE}
    return {"category": None, "right": True}


def examine_onnxruntime(context: Context) -> list[Finding]:
    """The package, the CPU and CUDA as backends use them; other providers are facts of the package."""
    builds = {name: version for name in BUILDS if (version := version_of(name))}
    loaded = context.call(f"{_ME}:load")
    if not loaded.ok:
        return [_unloadable(loaded.failure, loaded.kind, builds, context)]
    version, compiled_in = loaded.value["version"], loaded.value["compiled_in"]
    usable = {provider: _why_not(provider, context) for provider in compiled_in}
    facts = {
        "version": version,
        "packages": builds,
        "providers": [
            {"name": name, "usable": not reason, "reason": reason} for name, reason in usable.items()
        ],
    }
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in compiled_in)
    package = Finding("onnxruntime.package", "ONNX Runtime", "ok", f"{version}, with {names}", facts=facts)
    if _CPU not in usable:
        usable[_CPU] = "built without the CPU"
    name, title, purpose = "onnxruntime.cpu", "ONNX Runtime on the CPU", "--backend cpu"
    if usable[_CPU]:
        cpu = Finding(name, title, "broken", usable[_CPU], purpose, context.platform.extra("cpu"))
    else:
        cpu = Finding(name, title, "ok", "runs a convolution", purpose)
    ran = "a convolution"
    if usable.get(_CUDA) == "":
        ran, usable[_CUDA] = _own_graph(context)
    return [package, cpu, _cuda(usable.get(_CUDA), ran, builds, context)]


def _own_graph(context: Context) -> tuple[str, str]:
    """What CUDA was tried with, and why it does not run that; the reason is empty when it does."""
    reply = context.call(f"{_ME}:try_bundle", str(context.models_dir), limit=_LIMIT)
    if not reply.ok:
        return "a convolution", f"runs a convolution, but no bundle: {reply.failure}"
    category = reply.value["category"]
    if category is None:
        return "a convolution", ""
    wrong = f"its scores of the bundle {category} differ from those of the CPU"
    return f"the bundle {category}", "" if reply.value["right"] else wrong


def _unloadable(failure: str, kind: str, builds: dict[str, str], context: Context) -> Finding:
    name, title, purpose = "onnxruntime.package", "ONNX Runtime", "--backend cpu and cuda"
    if not builds and kind == "ModuleNotFoundError":
        return Finding(name, title, "missing", "not installed", purpose, context.platform.extra("cpu"))
    again = context.platform.pip("uninstall", "--yes", *(builds or BUILDS))
    fix = f"{again} && {context.platform.extra('gpu' if 'onnxruntime-gpu' in builds else 'cpu')}"
    return Finding(name, title, "broken", failure, purpose, fix, {"packages": builds})


def _why_not(provider: str, context: Context) -> str:
    """Why a provider does not run a graph; empty when it does."""
    reply = context.call(f"{_ME}:try_provider", provider)
    if not reply.ok:
        return reply.failure
    if provider not in reply.value["active"]:
        return f"failed to start: the session fell back to {', '.join(reply.value['active'])}"
    return "" if reply.value["right"] else "wrong results"


def _cuda(reason: str | None, ran: str, builds: dict[str, str], context: Context) -> Finding:
    name, title, purpose = "onnxruntime.cuda", "ONNX Runtime on CUDA", f"--backend cuda{context.with_gpu}"
    platform = context.platform
    swap = f"{platform.pip('uninstall', '--yes', *(builds or BUILDS))} && {platform.extra('gpu')}"
    if reason is None:
        detail = "this ONNX Runtime was built without CUDA"
        if "onnxruntime-gpu" in builds:
            detail = f"hidden: {' and '.join(builds)} are installed over each other"
            return Finding(name, title, "broken", detail, purpose, swap)
        return Finding(name, title, "missing", detail, purpose, swap)
    if not reason:
        return Finding(name, title, "ok", f"runs {ran}", purpose)
    if not context.gpu:
        return Finding(name, title, "missing", "built in, but there is no NVIDIA GPU", purpose)
    fix = "Check that nvidia-smi works, and that CUDA and cuDNN match this version of onnxruntime-gpu."
    return Finding(name, title, "broken", reason, purpose, fix)
