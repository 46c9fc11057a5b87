"""The recipe of ``deploy/`` for this machine: the container's file and the wheelhouse's target."""

from __future__ import annotations

import platform as system
from dataclasses import dataclass

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform


@dataclass(frozen=True)
class Recipe:
    """A recipe.

    Attributes:
        target: of ``make wheelhouse``.
        container: its file in ``deploy/``.
    """

    target: str
    container: str


#: By the major version of JetPack.
JETSON = {6: Recipe("jp6", "jetpack6.Dockerfile"), 7: Recipe("jp7", "jetpack7.Dockerfile")}
#: By processor, without and with an NVIDIA GPU.
OTHERS = {
    ("x86_64", False): Recipe("cpu-x86", "cpu.Dockerfile"),
    ("x86_64", True): Recipe("cuda-x86", "cuda.Dockerfile"),
    ("aarch64", False): Recipe("cpu-arm64", "cpu.Dockerfile"),
}


def examine_recipe(target: Platform, gpu: bool, machine: str | None = None) -> list[Finding]:
    """Which recipe fits.

    Args:
        target: this machine's platform.
        gpu: whether it has an NVIDIA GPU.
        machine: the processor's architecture; None for this machine's.
    """
    machine = system.machine() if machine is None else machine
    if target.jetson:
        recipe = JETSON.get(target.jetpack or 0)
        place = f"Linux for Tegra {target.l4t}" if target.l4t else "a Jetson whose Linux for Tegra is unknown"
    else:
        recipe = OTHERS.get((machine, gpu))
        place = f"{machine}{' with an NVIDIA GPU' if gpu else ''}"
    facts = {"l4t": target.l4t or None, "target": None, "container": None}
    if recipe is None:
        # Neither a fault of the machine nor a package to install.
        return [
            Finding("machine.recipe", "deployment", "ok", f"deploy/ has no recipe for {place}", facts=facts)
        ]
    facts |= {"target": recipe.target, "container": f"deploy/{recipe.container}"}
    detail = f"for {place}: deploy/{recipe.container}, make wheelhouse TARGET={recipe.target}"
    return [Finding("machine.recipe", "deployment", "ok", detail, facts=facts)]
