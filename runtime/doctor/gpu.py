"""The GPU, its driver, and whether CUDA can be used from Python."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.cuda.gpu import kernel_driver
from dmdd_edge.runtime.doctor.context import Call, Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform, version_of
from dmdd_edge.runtime.doctor.subprocess_call import Reply

_PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY_CLASS = "0x10de", "0x03"
#: The packages that drive CUDA, and their modules.
_PACKAGES = {"cuda-bindings": "cuda.bindings.runtime", "pycuda": "pycuda.driver"}
_GIB = 1 << 30
_NOTHING = (
    "Nothing to install: there is no NVIDIA GPU, and --backend cpu works without one "
    "(a container needs --gpus all)."
)


def start_cuda(modules: list[str]) -> dict[str, Any]:
    """In a subprocess: import the installed packages, start CUDA and allocate memory.

    Args:
        modules: to import first.

    Returns:
        ``imports``: errors by module; then ``error`` and ``fix``, or facts of the started driver.
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
    """What is known about a GPU.

    Attributes:
        installed: the installed packages that drive CUDA, with their versions.
        driver: the kernel driver's version; empty without one.
        cards: NVIDIA graphics cards on the PCI bus.
        jetson: whether this is a Jetson, whose GPU is not on the PCI bus.
        reply: of ``start_cuda``; None when none of the packages is installed.
    """

    installed: dict[str, str]
    driver: str
    cards: int
    jetson: bool
    reply: Reply | None

    @property
    def gpu(self) -> dict[str, Any] | None:
        """The facts of a working GPU."""
        value = self.reply.value if self.reply is not None else None
        return value.get("gpu") if value else None

    @property
    def present(self) -> bool:
        """Whether there is a GPU, working or not."""
        return self.gpu is not None or bool(self.driver) or self.cards > 0 or self.jetson

    @property
    def error(self) -> str:
        """Why CUDA failed to start; empty when it started, or when none of the packages is installed."""
        if self.reply is None:
            return ""
        return self.reply.failure or str(self.reply.value["error"])

    @property
    def package_error(self) -> str:
        """The error of an installed package, with or without a GPU."""
        if self.reply is None:
            return ""
        if not self.reply.ok:
            return self.reply.failure
        return "; ".join(f"{module}: {error}" for module, error in self.reply.value["imports"].items())


def gather(call: Call, platform: Platform) -> Evidence:
    """Collect what is known about a GPU."""
    installed = {name: version for name in _PACKAGES if (version := version_of(name))}
    reply = None
    if installed:
        reply = call("dmdd_edge.runtime.doctor.gpu:start_cuda", [_PACKAGES[name] for name in installed])
    return Evidence(installed, kernel_driver("of an unknown version"), _cards(), bool(platform.jetson), reply)


def examine_gpu(evidence: Evidence, context: Context) -> list[Finding]:
    """The GPU, the kernel's driver, and CUDA from Python."""
    return [_device(evidence, context), _kernel_driver(evidence, context), _cuda(evidence, context)]


def _device(evidence: Evidence, context: Context) -> Finding:
    name, title, purpose = "gpu.device", "GPU", "--backend tensorrt, rtx and cuda"
    gpu = evidence.gpu
    if gpu is not None:
        detail = f"{gpu['name']} ({gpu['sm']}), {gpu['memory'] / _GIB:.1f} GiB"
        shared = ", shared with the processor" if gpu["integrated"] else ""
        return Finding(name, title, "ok", detail + shared, facts=gpu)
    if not evidence.present:
        return Finding(name, title, "missing", "no NVIDIA GPU found", purpose, _NOTHING)
    if not evidence.driver and not evidence.jetson:
        detail = "an NVIDIA card without its driver"
        return Finding(name, title, "missing", detail, purpose, _install_driver(evidence, context.platform))
    if evidence.error and not evidence.package_error:
        fix = "Check `nvidia-smi`; after a driver update, restart the machine."
        return Finding(name, title, "broken", evidence.error, purpose, fix)
    return Finding(name, title, "ok", "an NVIDIA GPU, whose model only CUDA from Python reports")


def _kernel_driver(evidence: Evidence, context: Context) -> Finding:
    name, title = "gpu.driver", "NVIDIA driver"
    gpu = evidence.gpu
    if gpu is not None:
        detail = f"{gpu['driver']}, supports CUDA up to {gpu['cuda']}"
        return Finding(name, title, "ok", detail, facts={"version": gpu["driver"], "cuda": gpu["cuda"]})
    if evidence.driver or evidence.jetson:
        detail = evidence.driver or "of JetPack"
        return Finding(name, title, "ok", detail, facts={"version": evidence.driver or None, "cuda": None})
    purpose = f"--backend tensorrt, rtx and cuda{context.with_gpu}"
    return Finding(name, title, "missing", "not loaded", purpose, _install_driver(evidence, context.platform))


def _cuda(evidence: Evidence, context: Context) -> Finding:
    name, title = "gpu.cuda", "CUDA from Python"
    purpose = f"--backend tensorrt and rtx{context.with_gpu}"
    install = context.platform.extra("cuda-bindings" if context.platform.jetson else "tensorrt")
    versions = ", ".join(f"{package} {version}" for package, version in evidence.installed.items())
    facts: dict[str, Any] = {"packages": evidence.installed, "driver": None}
    reply = evidence.reply
    if reply is None:
        return Finding(name, title, "missing", "cuda-bindings is not installed", purpose, install, facts)
    if evidence.package_error:
        detail = f"{versions}: {evidence.package_error}"
        reinstall = context.platform.pip("install", "--force-reinstall", "--no-deps", *evidence.installed)
        return Finding(name, title, "broken", detail, purpose, reinstall, facts)
    if evidence.gpu is not None:
        value = reply.value
        facts |= {"driver": value["driver"], "graphs": value["graphs"]}
        graphs = "" if value["graphs"] else ", without CUDA graphs"
        return Finding(name, title, "ok", f"{value['driver']} {value['version']}{graphs}", facts=facts)
    if evidence.driver or evidence.jetson:
        detail = f"{versions}: {evidence.error}"
        return Finding(name, title, "broken", detail, purpose, reply.value["fix"], facts)
    detail = f"{versions} is installed but finds no GPU"
    return Finding(
        name, title, "missing", detail, purpose, _install_driver(evidence, context.platform), facts
    )


def _install_driver(evidence: Evidence, platform: Platform) -> str:
    if not evidence.present:
        return _NOTHING
    if platform.jetson:
        return platform.system("nvidia-jetpack")
    if platform.distribution == "ubuntu":
        return "sudo ubuntu-drivers install"
    if platform.distribution == "debian":
        return f"{platform.system('nvidia-driver')} (of Debian's section non-free), then restart"
    return "Install the driver for your card from https://www.nvidia.com/drivers."


def _cards() -> int:
    """The number of NVIDIA graphics cards on the PCI bus."""
    count = 0
    for device in _PCI.glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        count += vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASS)
    return count
