"""The GPU, its driver, and whether CUDA can be used from Python."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.cuda.gpu import kernel_driver
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform, version_of
from dmdd_edge.runtime.doctor.isolate import Answer
from dmdd_edge.runtime.doctor.surroundings import Ask, Surroundings

_PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY_CLASS = "0x10de", "0x03"
#: The packages that drive CUDA, and what is imported of them.
_PACKAGES = {"cuda-bindings": "cuda.bindings.runtime", "pycuda": "pycuda.driver"}
_GIB = 1 << 30
_NOTHING = (
    "nothing to install: there is no NVIDIA GPU, and --backend cpu does without "
    "(into a container, one comes with --gpus all)"
)


def start_cuda(modules: list[str]) -> dict[str, Any]:
    """In a process of its own: import the packages that are installed, start CUDA and use it for a moment.

    Args:
        modules: what to import first.

    Returns:
        ``imports``: what went wrong, by module; then ``error`` and ``fix``, or what was started.
    """
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.cuda import open_cuda

    imports = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            imports[module] = f"{type(error).__name__}: {error}"
    try:
        cuda = open_cuda("auto")
        with cuda.active():
            cuda.device_memory(1 << 20).free()
    except DmddError as error:
        return {"imports": imports, "error": error.message, "fix": error.fix}
    return {
        "imports": imports,
        "error": "",
        "driver": cuda.name,
        "version": cuda.version,
        "graphs": cuda.graphs,
        "gpu": asdict(cuda.gpu),
    }


@dataclass(frozen=True)
class Evidence:
    """What speaks for a GPU.

    Attributes:
        installed: the packages that drive CUDA, with their versions.
        driver: the kernel driver's version; empty when there is none.
        cards: NVIDIA graphics cards on the PCI bus.
        jetson: whether this is a Jetson, whose GPU is on no bus.
        answer: of ``start_cuda``; None when no package is installed.
    """

    installed: dict[str, str]
    driver: str
    cards: int
    jetson: bool
    answer: Answer | None

    @property
    def gpu(self) -> dict[str, Any] | None:
        """The facts of a GPU that works."""
        value = self.answer.value if self.answer is not None else None
        return value.get("gpu") if value else None

    @property
    def present(self) -> bool:
        """Whether there is a GPU, working or not."""
        return self.gpu is not None or bool(self.driver) or self.cards > 0 or self.jetson

    @property
    def error(self) -> str:
        """Why CUDA could not be started; empty when it could, or when nothing is there that could do it."""
        if self.answer is None:
            return ""
        return self.answer.failure or str(self.answer.value["error"])

    @property
    def package_error(self) -> str:
        """What is wrong with a package that is installed, with or without a GPU."""
        if self.answer is None:
            return ""
        if not self.answer.ok:
            return self.answer.failure
        return "; ".join(f"{module}: {error}" for module, error in self.answer.value["imports"].items())


def gather(ask: Ask, here: Platform) -> Evidence:
    """Collect what speaks for a GPU."""
    installed = {name: version for name in _PACKAGES if (version := version_of(name))}
    answer = None
    if installed:
        answer = ask("dmdd_edge.runtime.doctor.gpu:start_cuda", [_PACKAGES[name] for name in installed])
    return Evidence(installed, kernel_driver("of an unknown version"), _cards(), bool(here.jetson), answer)


def examine_gpu(evidence: Evidence, around: Surroundings) -> list[Finding]:
    """The GPU, the kernel's driver, and CUDA from Python."""
    return [_device(evidence, around), _kernel_driver(evidence, around), _cuda(evidence, around)]


def _device(evidence: Evidence, around: Surroundings) -> Finding:
    name, title, purpose = "gpu.device", "GPU", "--backend tensorrt, rtx and cuda"
    gpu = evidence.gpu
    if gpu is not None:
        said = f"{gpu['name']} ({gpu['sm']}), {gpu['memory'] / _GIB:.1f} GiB"
        shared = ", shared with the processor" if gpu["integrated"] else ""
        return Finding(name, title, "ok", said + shared, facts=gpu)
    if not evidence.present:
        return Finding(name, title, "missing", "no NVIDIA GPU is found", purpose, _NOTHING)
    if not evidence.driver and not evidence.jetson:
        said = "an NVIDIA card is there, without its driver"
        return Finding(name, title, "missing", said, purpose, _get_driver(evidence, around.here))
    if evidence.error and not evidence.package_error:
        fix = "see what nvidia-smi says; after an update of the driver, restart the machine"
        return Finding(name, title, "broken", evidence.error, purpose, fix)
    return Finding(name, title, "ok", "an NVIDIA GPU; which one, only CUDA from Python can tell")


def _kernel_driver(evidence: Evidence, around: Surroundings) -> Finding:
    name, title = "gpu.driver", "NVIDIA driver"
    gpu = evidence.gpu
    if gpu is not None:
        said = f"{gpu['driver']}, serves CUDA up to {gpu['cuda']}"
        return Finding(name, title, "ok", said, facts={"version": gpu["driver"], "cuda": gpu["cuda"]})
    if evidence.driver or evidence.jetson:
        said = evidence.driver or "of JetPack"
        return Finding(name, title, "ok", said, facts={"version": evidence.driver or None, "cuda": None})
    purpose = f"--backend tensorrt, rtx and cuda{around.with_gpu}"
    return Finding(name, title, "missing", "not loaded", purpose, _get_driver(evidence, around.here))


def _cuda(evidence: Evidence, around: Surroundings) -> Finding:
    name, title = "gpu.cuda", "CUDA from Python"
    purpose = f"--backend tensorrt and rtx{around.with_gpu}"
    get = around.here.extra("cuda-bindings" if around.here.jetson else "tensorrt")
    versions = ", ".join(f"{package} {version}" for package, version in evidence.installed.items())
    facts: dict[str, Any] = {"packages": evidence.installed, "driver": None}
    answer = evidence.answer
    if answer is None:
        return Finding(name, title, "missing", "cuda-bindings is not installed", purpose, get, facts)
    if evidence.package_error:
        said = f"{versions}: {evidence.package_error}"
        again = around.here.pip("install", "--force-reinstall", "--no-deps", *evidence.installed)
        return Finding(name, title, "broken", said, purpose, again, facts)
    if evidence.gpu is not None:
        value = answer.value
        facts |= {"driver": value["driver"], "graphs": value["graphs"]}
        graphs = "" if value["graphs"] else ", without CUDA graphs"
        return Finding(name, title, "ok", f"{value['driver']} {value['version']}{graphs}", facts=facts)
    if evidence.driver or evidence.jetson:
        said = f"{versions}: {evidence.error}"
        return Finding(name, title, "broken", said, purpose, answer.value["fix"], facts)
    said = f"{versions} is installed and finds no GPU"
    return Finding(name, title, "missing", said, purpose, _get_driver(evidence, around.here), facts)


def _get_driver(evidence: Evidence, here: Platform) -> str:
    if not evidence.present:
        return _NOTHING
    if here.jetson:
        return here.system("nvidia-jetpack")
    if here.distribution == "ubuntu":
        return "sudo ubuntu-drivers install"
    if here.distribution == "debian":
        return f"{here.system('nvidia-driver')} (of Debian's section non-free), then restart"
    return "take the driver for your card from https://www.nvidia.com/drivers"


def _cards() -> int:
    """How many NVIDIA graphics cards the PCI bus has."""
    count = 0
    for device in _PCI.glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        count += vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASS)
    return count
