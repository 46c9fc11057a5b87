"""ONNX Runtime, and which of its providers really run a graph here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of
from dmdd_edge.runtime.doctor.surroundings import Surroundings

_ME = "dmdd_edge.runtime.doctor.onnxruntime"
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: Scores of CUDA and the CPU may differ by this much.
_AGREE = 0.01
#: Seconds: a large graph is optimised on a slow processor.
_LIMIT = 180.0
#: Builds of ONNX Runtime that all install the module ``onnxruntime``, each over the others.
BUILDS = ("onnxruntime", "onnxruntime-gpu")


def load() -> dict[str, Any]:
    """In a process of its own: the version, and the providers that were compiled in."""
    import onnxruntime

    return {"version": onnxruntime.__version__, "compiled_in": onnxruntime.get_available_providers()}


def try_provider(provider: str) -> dict[str, Any]:
    """In a process of its own: run a tiny graph with a provider.

    "Available" only means compiled in: a session that cannot have what was asked for silently becomes one of
    the CPU's, so the session itself is asked.

    Returns:
        ``active``: the providers that the session has; ``right``: whether the result is.
    """
    import numpy as np
    import onnxruntime

    from dmdd_edge.runtime.doctor.tiny_graph import DOUBLING_GRAPH

    if provider == _CUDA and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # where pip put CUDA and cuDNN
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(DOUBLING_GRAPH, options, providers=[provider])
    (doubled,) = session.run(["y"], {"x": np.full((1, 1, 1, 1), 21, np.float32)})
    return {"active": session.get_providers(), "right": doubled.ravel().tolist() == [42.0]}


def try_bundle(models_dir: str) -> dict[str, Any]:
    """In a process of its own: judge an image of noise with CUDA and with the CPU, by a bundle that is here.

    What a small graph does without, the bundle's own graph may need: other operators, and memory.

    Returns:
        ``category``: whose bundle it was, None without a whole one; ``right``: whether both agree.

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
            continue  # told where the bundles are examined
        if not bundle.has(FP32_GRAPH):
            continue
        size = bundle.manifest.image_size
        image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
        scores = [float(select(bundle, name).backend.infer(image)[1][0]) for name in ("cuda", "cpu")]
        return {"category": category, "right": abs(scores[0] - scores[1]) <= _AGREE}
    return {"category": None, "right": True}


def examine_onnxruntime(around: Surroundings) -> list[Finding]:
    """The package, the CPU and CUDA as back ends use them; other providers are facts of the package."""
    builds = {name: version for name in BUILDS if (version := version_of(name))}
    loaded = around.ask(f"{_ME}:load")
    get = around.here.extra("cpu")
    if not loaded.ok:
        return [_unloadable(loaded.failure, loaded.kind, builds, around)]
    version, compiled_in = loaded.value["version"], loaded.value["compiled_in"]
    usable = {provider: _why_not(provider, around) for provider in compiled_in}
    facts = {
        "version": version,
        "packages": builds,
        "providers": [
            {"name": name, "usable": not reason, "reason": reason} for name, reason in usable.items()
        ],
    }
    named = ", ".join(name.removesuffix("ExecutionProvider") for name in compiled_in)
    package = Finding("onnxruntime.package", "ONNX Runtime", "ok", f"{version}, with {named}", facts=facts)
    if _CPU not in usable:
        usable[_CPU] = "it was built without the CPU"
    if usable[_CPU]:
        cpu = Finding(
            "onnxruntime.cpu", "ONNX Runtime on the CPU", "broken", usable[_CPU], "--backend cpu", get
        )
    else:
        cpu = Finding(
            "onnxruntime.cpu", "ONNX Runtime on the CPU", "ok", "runs a convolution", "--backend cpu"
        )
    ran = "a convolution"
    if usable.get(_CUDA) == "":
        ran, usable[_CUDA] = _own_graph(around)
    return [package, cpu, _cuda(usable.get(_CUDA), ran, builds, around)]


def _own_graph(around: Surroundings) -> tuple[str, str]:
    """What CUDA was tried with, and why it does not run that; empty when it does."""
    answer = around.ask(f"{_ME}:try_bundle", str(around.models_dir), limit=_LIMIT)
    if not answer.ok:
        return "a convolution", f"it runs a convolution, but no bundle: {answer.failure}"
    category = answer.value["category"]
    if category is None:
        return "a convolution", ""
    wrong = f"its scores of the bundle {category} are not those of the CPU"
    return f"the bundle {category}", "" if answer.value["right"] else wrong


def _unloadable(failure: str, kind: str, builds: dict[str, str], around: Surroundings) -> Finding:
    name, title, purpose = "onnxruntime.package", "ONNX Runtime", "--backend cpu and cuda"
    if not builds and kind == "ModuleNotFoundError":
        return Finding(name, title, "missing", "not installed", purpose, around.here.extra("cpu"))
    again = around.here.pip("uninstall", "--yes", *(builds or BUILDS))
    fix = f"{again} && {around.here.extra('gpu' if 'onnxruntime-gpu' in builds else 'cpu')}"
    return Finding(name, title, "broken", failure, purpose, fix, {"packages": builds})


def _why_not(provider: str, around: Surroundings) -> str:
    """Why a provider does not run a graph; empty when it does."""
    answer = around.ask(f"{_ME}:try_provider", provider)
    if not answer.ok:
        return answer.failure
    if provider not in answer.value["active"]:
        return f"it could not start: the session fell back to {', '.join(answer.value['active'])}"
    return "" if answer.value["right"] else "it gives wrong results"


def _cuda(reason: str | None, ran: str, builds: dict[str, str], around: Surroundings) -> Finding:
    name, title, purpose = "onnxruntime.cuda", "ONNX Runtime on CUDA", f"--backend cuda{around.with_gpu}"
    here = around.here
    swap = f"{here.pip('uninstall', '--yes', *(builds or BUILDS))} && {here.extra('gpu')}"
    if reason is None:
        said = "this ONNX Runtime was built without CUDA"
        if "onnxruntime-gpu" in builds:
            said = f"hidden: {' and '.join(builds)} are installed over each other"
            return Finding(name, title, "broken", said, purpose, swap)
        return Finding(name, title, "missing", said, purpose, swap)
    if not reason:
        return Finding(name, title, "ok", f"runs {ran}", purpose)
    if not around.gpu:
        return Finding(name, title, "missing", "built in; there is no NVIDIA GPU", purpose)
    fix = "see that nvidia-smi works, and that CUDA and cuDNN fit this version of onnxruntime-gpu"
    return Finding(name, title, "broken", reason, purpose, fix)
