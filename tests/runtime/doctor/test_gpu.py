from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.cuda import gpu as device
from dmdd_edge.runtime.doctor import gpu
from dmdd_edge.runtime.doctor.findings import State
from dmdd_edge.runtime.doctor.gpu import Evidence, examine_gpu
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.isolate import Answer
from dmdd_edge.runtime.doctor.surroundings import Surroundings

FACTS = {
    "name": "Orin",
    "sm": "sm87",
    "driver": "540.4.0",
    "cuda": "12.6",
    "memory": 8 << 30,
    "integrated": True,
}
STARTED = {
    "imports": {},
    "error": "",
    "driver": "cuda-bindings",
    "version": "12.9",
    "graphs": True,
    "gpu": FACTS,
}
REFUSED = {"imports": {}, "error": "CUDA cannot be used: it says no.", "fix": "See that nvidia-smi works."}
BINDINGS = {"cuda-bindings": "12.9"}


def states(evidence: Evidence, around: Surroundings) -> dict[str, State]:
    return {finding.name.removeprefix("gpu."): finding.state for finding in examine_gpu(evidence, around)}


@pytest.mark.parametrize(
    ("evidence", "device", "driver", "cuda"),
    [
        (Evidence(BINDINGS, "540.4.0", 1, False, Answer(STARTED)), "ok", "ok", "ok"),
        # Nothing at all, with and without the package.
        (Evidence({}, "", 0, False, None), "missing", "missing", "missing"),
        (Evidence(BINDINGS, "", 0, False, Answer(REFUSED)), "missing", "missing", "missing"),
        # A card without its driver.
        (Evidence(BINDINGS, "", 1, False, Answer(REFUSED)), "missing", "missing", "missing"),
        # Everything there but the package.
        (Evidence({}, "540.4.0", 1, False, None), "ok", "ok", "missing"),
        # Card and driver, and CUDA refuses: that is broken.
        (Evidence(BINDINGS, "540.4.0", 1, False, Answer(REFUSED)), "broken", "ok", "broken"),
        # The package is what is broken, with a GPU and without one.
        (
            Evidence(BINDINGS, "540.4.0", 1, False, Answer(failure="it crashed (SIGSEGV)", kind="crash")),
            "ok",
            "ok",
            "broken",
        ),
        (
            Evidence(BINDINGS, "", 0, False, Answer({**REFUSED, "imports": {"cuda": "ImportError: no"}})),
            "missing",
            "missing",
            "broken",
        ),
        # A Jetson's GPU is on no bus, and its driver in no /proc/driver.
        (Evidence({}, "", 0, True, None), "ok", "ok", "missing"),
        (Evidence(BINDINGS, "", 0, True, Answer(REFUSED)), "broken", "ok", "broken"),
    ],
)
def test_what_is_missing_and_what_is_broken(
    surroundings: Callable[..., Surroundings], evidence: Evidence, device: State, driver: State, cuda: State
) -> None:
    around = surroundings({}, gpu=evidence.present)
    assert states(evidence, around) == {"device": device, "driver": driver, "cuda": cuda}


def test_a_gpu_that_works_is_described(surroundings: Callable[..., Surroundings]) -> None:
    evidence = Evidence(BINDINGS, "", 0, True, Answer(STARTED))
    device, driver, cuda = examine_gpu(evidence, surroundings({}, gpu=True))
    assert device.detail == "Orin (sm87), 8.0 GiB, shared with the processor"
    assert device.facts == FACTS
    assert driver.detail == "540.4.0, serves CUDA up to 12.6"
    assert cuda.detail == "cuda-bindings 12.9"


@pytest.mark.parametrize(
    ("distribution", "command"),
    [
        ("ubuntu", "sudo ubuntu-drivers install"),
        ("debian", "sudo apt install nvidia-driver (of Debian's section non-free), then restart"),
        ("fedora", "take the driver for your card from https://www.nvidia.com/drivers"),
    ],
)
def test_a_card_without_a_driver_is_told_how_to_get_it(
    surroundings: Callable[..., Surroundings], distribution: str, command: str
) -> None:
    around = surroundings({}, gpu=True, here=Platform(distribution=distribution))
    device, driver, _ = examine_gpu(Evidence({}, "", 1, False, None), around)
    assert (device.fix, driver.fix) == (command, command)


def test_where_there_is_no_gpu_no_driver_is_to_be_installed(
    surroundings: Callable[..., Surroundings],
) -> None:
    around = surroundings({}, here=Platform(distribution="debian"))
    for finding in examine_gpu(Evidence(BINDINGS, "", 0, False, Answer(REFUSED)), around):
        assert finding.fix.startswith("nothing to install: there is no NVIDIA GPU")


def test_cards_and_driver_are_read_from_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot, vendor, kind in [
        ("00", "0x10de", "0x030000"),  # a graphics card
        ("01", "0x10de", "0x040300"),  # its sound
        ("02", "0x10de", "0x030200"),  # a data centre's card, which drives no screen
        ("03", "0x8086", "0x030000"),  # another maker's
    ]:
        (tmp_path / "pci" / slot).mkdir(parents=True)
        (tmp_path / "pci" / slot / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "pci" / slot / "class").write_text(f"{kind}\n")
    (tmp_path / "pci" / "04").mkdir()  # one that tells nothing
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n")
    monkeypatch.setattr(gpu, "_PCI", tmp_path / "pci")
    monkeypatch.setattr(device, "_KERNEL_DRIVER", version)
    monkeypatch.setattr(gpu, "version_of", lambda name: "")

    def ask(*arguments: Any, **options: Any) -> Answer:
        raise AssertionError("nothing is installed that could be asked")

    evidence = gpu.gather(ask, Platform())
    assert evidence == Evidence({}, "580.65.06", 2, False, None)
    version.write_text("NVRM version: of a kind that says nothing\n")
    assert gpu.gather(ask, Platform()).driver == "of an unknown version"
    version.unlink()
    assert not gpu.gather(ask, Platform()).driver


def test_this_machine_is_asked_without_an_error() -> None:
    """With a GPU or without one: what is returned can be judged."""
    value = gpu.start_cuda(["cuda.bindings.runtime", "no_such_module"])
    assert "no_such_module" in value["imports"]
    assert value["error"] or value["gpu"]["sm"].startswith("sm")
