"""The command that installs what is missing, for this machine and this environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dmdd_edge.extras import UNKNOWN_CLONE, interpreter, own_source
from dmdd_edge.runtime.machine import board_model, read_text

_ROOT = Path("/")

#: JetPack by the major version of its Linux for Tegra.
_JETPACK = {35: 5, 36: 6, 38: 7, 39: 7}
#: NVIDIA's wheels of ONNX Runtime with CUDA, by JetPack.
_JETSON_WHEELS = {6: "https://pypi.jetson-ai-lab.io/jp6/cu126"}
#: The cuda-bindings that match the CUDA of a JetPack.
_JETSON_BINDINGS = {6: "cuda-bindings>=12.6,<13", 7: "cuda-bindings>=13,<14"}
#: The dependencies of ONNX Runtime, for an install with --no-deps.
_ORT_NEEDS = ("flatbuffers", "protobuf", "packaging")


@dataclass(frozen=True)
class Platform:
    """What the right command depends on.

    Attributes:
        jetson: the model's name; empty on other machines.
        jetpack: the major version of JetPack; None if unknown.
        l4t: the release of its Linux for Tegra, such as 36.4.3; empty if unknown.
        distribution: the ``ID`` of /etc/os-release, such as debian or ubuntu.
        python: the command of this environment's interpreter.
        source: where pip installs dmdd-edge from, without extras: a clone or a wheel's file.
        editable: whether it is installed from a clone in development mode.
    """

    jetson: str = ""
    jetpack: int | None = None
    l4t: str = ""
    distribution: str = ""
    python: str = "python"
    source: str = UNKNOWN_CLONE
    editable: bool = False

    def pip(self, *arguments: str) -> str:
        """A command of this environment's pip."""
        return shlex.join([self.python, "-m", "pip", *arguments])

    def extra(self, name: str) -> str:
        """The command that installs an extra of dmdd-edge.

        On a Jetson it leaves out the dependencies of dmdd-edge: pip's OpenCV would hide JetPack's.
        """
        if self.jetson:
            return self._on_jetson(name)
        source = f"{self.source}[{name}]"
        return self.pip("install", *(["-e"] if self.editable else []), source)

    def system(self, *packages: str) -> str:
        """The command that installs system packages."""
        return shlex.join(["sudo", "apt", "install", *packages])

    def _on_jetson(self, name: str) -> str:
        if name == "cpu":
            return self.pip("install", "--no-deps", "onnxruntime>=1.20", *_ORT_NEEDS)
        if name == "gpu":
            wheels = _JETSON_WHEELS.get(self.jetpack or 0)
            if wheels is None:
                return "Install NVIDIA's wheel of onnxruntime-gpu for this JetPack: https://pypi.jetson-ai-lab.io"
            install = self.pip("install", "--no-deps", "--index-url", wheels, "onnxruntime-gpu")
            return f"{install} && {self.pip('install', '--no-deps', *_ORT_NEEDS)}"
        if name == "tensorrt":
            return self.system("nvidia-jetpack") + (
                ", in an environment made with: python3 -m venv --system-site-packages .venv"
            )
        if name == "cuda-bindings":
            return self.pip("install", _JETSON_BINDINGS.get(self.jetpack or 0, "cuda-bindings"))
        if name in ("train", "export"):
            return "Train and export on a PC, and copy the folder models/ to this machine."
        return self.pip("install", "--no-deps", _ALONE.get(name, name))


#: Extras that are one package without dependencies.
_ALONE = {"mqtt": "paho-mqtt>=2", "pycuda": "pycuda>=2024.1", "rtx": "tensorrt-rtx-cu13"}


def version_of(package: str) -> str:
    """The version of an installed package; empty when it is not installed."""
    try:
        return metadata.version(package) or "of an unknown version"
    except metadata.PackageNotFoundError:
        return ""
    except (KeyError, ValueError, OSError):  # its record is damaged
        return "of an unknown version"


def this_platform(root: Path = _ROOT) -> Platform:
    """The platform that this program runs on.

    Args:
        root: of the file system.
    """
    release = read_text(root / "etc/nv_tegra_release")
    l4t = _l4t(release or "") or _l4t_package(read_text(root / "var/lib/dpkg/status") or "")
    source, editable = own_source()
    return Platform(
        jetson=_jetson_model(board_model(root) or "", l4t),
        jetpack=_JETPACK.get(int(l4t.partition(".")[0])) if l4t else None,
        l4t=l4t,
        distribution=_os_release(read_text(root / "etc/os-release") or "").get("ID", ""),
        python=interpreter(),
        source=source,
        editable=editable,
    )


def _jetson_model(model: str, l4t: str) -> str:
    if any(word in model.lower() for word in ("jetson", "orin", "thor")):
        return model
    # In a container the device tree may be hidden.
    return "Jetson" if l4t else ""


def _l4t(release: str) -> str:
    """``36.4.3`` of a text such as ``# R36 (release), REVISION: 4.3``; empty if it names no release."""
    match = re.search(r"R(\d+)\b(?:.*?REVISION:\s*([\d.]+))?", release)
    return ".".join(filter(None, match.groups())) if match else ""


def _l4t_package(status: str) -> str:
    """The release of the installed package nvidia-l4t-core in dpkg's status; empty without it."""
    for entry in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if re.match(r"[\w-]+: ", line))
        if fields.get("Package") == "nvidia-l4t-core" and fields.get("Status", "").endswith(" installed"):
            return fields.get("Version", "").partition("-")[0]
    return ""


def _os_release(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}
