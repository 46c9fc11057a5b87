from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.cuda import gpu as device
from dmdd_edge.runtime.doctor import gpu
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import State
from dmdd_edge.runtime.doctor.gpu import Evidence, examine_gpu
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.subprocess_call import Reply

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
REFUSED = {"imports": {}, "error": "Cannot use CUDA: it says no.", "fix": "See that nvidia-smi works."}
BINDINGS = {"cuda-bindings": "12.9"}


def states(evidence: Evidence, context: Context) -> dict[str, State]:
    return {finding.name.removeprefix("gpu."): finding.state for finding in examine_gpu(evidence, context)}


@pytest.mark.parametrize(
    ("evidence", "device", "driver", "cuda"),
    [
        (Evidence(BINDINGS, "540.4.0", 1, False, Reply(STARTED)), "ok", "ok", "ok"),
        # Nothing at all, with and without the package.
        (Evidence({}, "", 0, False, None), "missing", "missing", "missing"),
        (Evidence(BINDINGS, "", 0, False, Reply(REFUSED)), "missing", "missing", "missing"),
        # A card without its driver.
        (Evidence(BINDINGS, "", 1, False, Reply(REFUSED)), "missing", "missing", "missing"),
        # Everything there but the package.
        (Evidence({}, "540.4.0", 1, False, None), "ok", "ok", "missing"),
        # Card and driver, and CUDA refuses: that is broken.
        (Evidence(BINDINGS, "540.4.0", 1, False, Reply(REFUSED)), "broken", "ok", "broken"),
        # The package is what is broken, with a GPU and without one.
        (
            Evidence(BINDINGS, "540.4.0", 1, False, Reply(failure="it crashed (SIGSEGV)", kind="crash")),
            "ok",
            "ok",
            "broken",
        ),
        (
            Evidence(BINDINGS, "", 0, False, Reply({**REFUSED, "imports": {"cuda": "ImportError: no"}})),
            "missing",
            "missing",
            "broken",
        ),
        # A Jetson's GPU is on no bus, and its driver in no /proc/driver.
        (Evidence({}, "", 0, True, None), "ok", "ok", "missing"),
        (Evidence(BINDINGS, "", 0, True, Reply(REFUSED)), "broken", "ok", "broken"),
    ],
)
def test_what_is_missing_and_what_is_broken(
    make_context: Callable[..., Context], evidence: Evidence, device: State, driver: State, cuda: State
) -> None:
    context = make_context({}, gpu=evidence.present)
    assert states(evidence, context) == {"device": device, "driver": driver, "cuda": cuda}


def test_a_gpu_that_works_is_described(make_context: Callable[..., Context]) -> None:
    evidence = Evidence(BINDINGS, "", 0, True, Reply(STARTED))
    device, driver, cuda = examine_gpu(evidence, make_context({}, gpu=True))
    assert device.detail == "Orin (sm87), 8.0 GiB, shared with the processor"
    assert device.facts == FACTS
    assert driver.detail == "540.4.0, supports CUDA up to 12.6"
    assert cuda.detail == "cuda-bindings 12.9"


@pytest.mark.parametrize(
    ("distribution", "command"),
    [
        ("ubuntu", "sudo ubuntu-drivers install"),
        ("debian", "sudo apt install nvidia-driver (of Debian's section non-free), then restart"),
        ("fedora", "Install the driver for your card from https://www.nvidia.com/drivers."),
    ],
)
def test_a_card_without_a_driver_names_the_command_that_installs_it(
    make_context: Callable[..., Context], distribution: str, command: str
) -> None:
    context = make_context({}, gpu=True, platform=Platform(distribution=distribution))
    device, driver, _ = examine_gpu(Evidence({}, "", 1, False, None), context)
    assert (device.fix, driver.fix) == (command, command)


def test_without_a_gpu_no_driver_is_suggested(
    make_context: Callable[..., Context],
) -> None:
    context = make_context({}, platform=Platform(distribution="debian"))
    for finding in examine_gpu(Evidence(BINDINGS, "", 0, False, Reply(REFUSED)), context):
        assert finding.fix.startswith("Nothing to install: there is no NVIDIA GPU")


def test_cards_and_driver_are_read_from_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot, vendor, kind in [
        ("00", "0x10de", "0x030000"),  # a graphics card
        ("01", "0x10de", "0x040300"),  # its sound
        ("02", "0x10de", "0x030200"),  # a data center's card, without a screen
        ("03", "0x8086", "0x030000"),  # another vendor's
    ]:
        (tmp_path / "pci" / slot).mkdir(parents=True)
        (tmp_path / "pci" / slot / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "pci" / slot / "class").write_text(f"{kind}\n")
    (tmp_path / "pci" / "04").mkdir()  # one without these files
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n")
    monkeypatch.setattr(gpu, "_PCI", tmp_path / "pci")
    monkeypatch.setattr(device, "_KERNEL_DRIVER", version)
    monkeypatch.setattr(gpu, "version_of", lambda name: "")

    def call(*arguments: Any, **options: Any) -> Reply:
        raise AssertionError("none of the packages is installed")

    evidence = gpu.gather(call, Platform())
    assert evidence == Evidence({}, "580.65.06", 2, False, None)
    version.write_text("NVRM version: without a number\n")
    assert gpu.gather(call, Platform()).driver == "of an unknown version"
    version.unlink()
    assert not gpu.gather(call, Platform()).driver


def test_cuda_of_this_machine_starts_or_gives_a_reason() -> None:
    value = gpu.start_cuda(["cuda.bindings.runtime", "no_such_module"])
    assert "no_such_module" in value["imports"]
    assert value["error"] or value["gpu"]["sm"].startswith("sm")
