"""The command that gets what is missing, for this machine and this environment."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

_MODEL, _TEGRA_RELEASE = Path("/proc/device-tree/model"), Path("/etc/nv_tegra_release")
_OS_RELEASE = Path("/etc/os-release")

#: JetPack by the main number of its Linux for Tegra.
_JETPACK = {35: 5, 36: 6, 38: 7}
#: The wheels that NVIDIA builds of ONNX Runtime with CUDA, by JetPack.
_JETSON_WHEELS = {6: "https://pypi.jetson-ai-lab.io/jp6/cu126"}
#: What cuda-bindings fits the CUDA of a JetPack.
_JETSON_BINDINGS = {6: "cuda-bindings>=12.6,<13", 7: "cuda-bindings>=13,<14"}
#: What ONNX Runtime needs of pip when it may not bring what it needs by itself.
_ORT_NEEDS = ("flatbuffers", "protobuf", "packaging")


@dataclass(frozen=True)
class Platform:
    """What decides which command is the right one.

    Attributes:
        jetson: the model's name; empty elsewhere.
        jetpack: the main version of JetPack, None when it is not known.
        distribution: the ``ID`` of /etc/os-release, such as debian or ubuntu.
        python: how to call this environment's interpreter.
        source: what pip installs dmdd-edge from, extras to be added to it, such as ``dmdd-edge`` or a clone.
        editable: whether it is installed from a clone in development mode.
    """

    jetson: str = ""
    jetpack: int | None = None
    distribution: str = ""
    python: str = "python"
    source: str = "dmdd-edge"
    editable: bool = False

    def pip(self, *arguments: str) -> str:
        """A call of this environment's pip."""
        return shlex.join([self.python, "-m", "pip", *arguments])

    def extra(self, name: str) -> str:
        """The command that adds an extra of dmdd-edge.

        On a Jetson it leaves out what dmdd-edge itself depends on: pip's OpenCV would hide JetPack's.
        """
        if self.jetson:
            return self._on_jetson(name)
        source = f"{self.source}[{name}]"
        return self.pip("install", *(["-e"] if self.editable else []), source)

    def system(self, *packages: str) -> str:
        """The command that installs packages of the system."""
        return shlex.join(["sudo", "apt", "install", *packages])

    def _on_jetson(self, name: str) -> str:
        if name == "cpu":
            return self.pip("install", "--no-deps", "onnxruntime>=1.20", *_ORT_NEEDS)
        if name == "gpu":
            wheels = _JETSON_WHEELS.get(self.jetpack or 0)
            if wheels is None:
                return (
                    "take NVIDIA's wheel of onnxruntime-gpu for this JetPack: https://pypi.jetson-ai-lab.io"
                )
            install = self.pip("install", "--no-deps", "--index-url", wheels, "onnxruntime-gpu")
            return f"{install} && {self.pip('install', '--no-deps', *_ORT_NEEDS)}"
        if name == "tensorrt":
            return self.system("nvidia-jetpack") + (
                ", in an environment made with: python3 -m venv --system-site-packages .venv"
            )
        if name == "cuda-bindings":
            return self.pip("install", _JETSON_BINDINGS.get(self.jetpack or 0, "cuda-bindings"))
        if name in ("train", "export"):
            return "train and export on a PC, and copy the folder models/ here"
        return self.pip("install", "--no-deps", _ALONE.get(name, name))


#: Extras that are one package which needs no other.
_ALONE = {"mqtt": "paho-mqtt>=2", "pycuda": "pycuda>=2024.1", "rtx": "tensorrt-rtx-cu13"}


def version_of(package: str) -> str:
    """The version of a package that is installed; empty when it is not."""
    try:
        return metadata.version(package) or "of an unknown version"
    except metadata.PackageNotFoundError:
        return ""
    except (KeyError, ValueError, OSError):  # its record is damaged
        return "of an unknown version"


def platform_here() -> Platform:
    """The platform that this program runs on."""
    source, editable = _own_source()
    return Platform(
        jetson=_jetson_model(),
        jetpack=_jetpack(_read(_TEGRA_RELEASE)),
        distribution=_os_release(_read(_OS_RELEASE)).get("ID", ""),
        python=_interpreter(),
        source=source,
        editable=editable,
    )


def _jetson_model() -> str:
    model = _read(_MODEL).strip("\0 \n")
    if any(word in model.lower() for word in ("jetson", "orin", "thor")):
        return model
    # In a container the device tree may be hidden.
    return "Jetson" if _TEGRA_RELEASE.exists() else ""


def _jetpack(release: str) -> int | None:
    """JetPack of a text such as ``# R36 (release), REVISION: 4.3``."""
    found = re.search(r"R(\d+)\b", release)
    return _JETPACK.get(int(found.group(1))) if found else None


def _os_release(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _interpreter() -> str:
    """``python`` where that is this interpreter, its whole path otherwise."""
    for name in ("python", "python3"):
        # Not the file behind the link: a virtual environment is known by the path it is called by.
        if shutil.which(name) == sys.executable:
            return name
    return sys.executable or "python3"


def _own_source() -> tuple[str, bool]:
    """Where pip got dmdd-edge from, and whether in development mode."""
    try:
        text = metadata.distribution("dmdd-edge").read_text("direct_url.json")
        noted = json.loads(text) if text else {}
        url = urlparse(noted.get("url", ""))
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return "dmdd-edge", False
    folder = Path(unquote(url.path))
    if url.scheme == "file" and (folder / "pyproject.toml").is_file():
        return str(folder), bool(noted.get("dir_info", {}).get("editable"))
    return "dmdd-edge", False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
