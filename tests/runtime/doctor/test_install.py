from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor import install
from dmdd_edge.runtime.doctor.install import Platform

ORIN = Platform(jetson="NVIDIA Jetson Orin Nano", jetpack=6)


@pytest.mark.parametrize(
    ("platform", "extra", "command"),
    [
        (Platform(), "cpu", "python -m pip install '/path/to/dmdd-edge[cpu]'"),
        (
            Platform(python="/opt/my env/bin/python", source="/home/me/dmdd-edge", editable=True),
            "gpu",
            "'/opt/my env/bin/python' -m pip install -e '/home/me/dmdd-edge[gpu]'",
        ),
        # On a Jetson nothing may bring pip's OpenCV.
        (ORIN, "cpu", "python -m pip install --no-deps 'onnxruntime>=1.20' flatbuffers protobuf packaging"),
        (ORIN, "mqtt", "python -m pip install --no-deps 'paho-mqtt>=2'"),
        (ORIN, "cuda-bindings", "python -m pip install 'cuda-bindings>=12.6,<13'"),
        (
            ORIN,
            "gpu",
            "python -m pip install --no-deps --index-url https://pypi.jetson-ai-lab.io/jp6/cu126 "
            "onnxruntime-gpu && python -m pip install --no-deps flatbuffers protobuf packaging",
        ),
        (
            Platform(jetson="Thor", jetpack=7),
            "cuda-bindings",
            "python -m pip install 'cuda-bindings>=13,<14'",
        ),
        (
            ORIN,
            "tensorrt",
            "sudo apt install nvidia-jetpack, in an environment made with: "
            "python3 -m venv --system-site-packages .venv",
        ),
        (ORIN, "train", "Train and export on a PC, and copy the folder models/ to this machine."),
    ],
)
def test_the_command_fits_platform_and_environment(platform: Platform, extra: str, command: str) -> None:
    assert platform.extra(extra) == command


@pytest.mark.parametrize(
    ("release", "l4t", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "36.4.3", 6),
        ("# R38 (release), REVISION: 2.0", "38.2.0", 7),
        ("# R39 (release), REVISION: 2.1, BOARD: generic, EABI: aarch64", "39.2.1", 7),
        ("# R35 (release), REVISION: 6.0", "35.6.0", 5),
        ("# R99 (release)", "99", None),
        ("", "", None),
    ],
)
def test_jetpack_is_known_by_its_linux(tmp_path: Path, release: str, l4t: str, jetpack: int | None) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(release)
    platform = install.this_platform(tmp_path)
    assert (platform.l4t, platform.jetpack) == (l4t, jetpack)


@pytest.mark.parametrize(
    ("state", "l4t"), [("install ok installed", "36.4.4"), ("deinstall ok config-files", "")]
)
def test_without_that_file_dpkg_knows_the_release(tmp_path: Path, state: str, l4t: str) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    core = (
        f"Package: nvidia-l4t-core\nStatus: {state}\nVersion: 36.4.4-20250616085344\nDescription: core\n more"
    )
    status.write_text(f"Package: bash\nStatus: install ok installed\nVersion: 5.1-6\n\n{core}\n")
    platform = install.this_platform(tmp_path)
    assert (platform.l4t, platform.jetpack) == (l4t, 6 if l4t else None)


def test_a_jetson_is_known_by_its_device_tree(tmp_path: Path) -> None:
    model, release, system = (
        tmp_path / name for name in ("proc/device-tree/model", "etc/nv_tegra_release", "etc/os-release")
    )
    model.parent.mkdir(parents=True)
    release.parent.mkdir()
    assert install.this_platform(tmp_path).jetson == ""
    model.write_bytes(b"Raspberry Pi 5 Model B\0")
    assert install.this_platform(tmp_path).jetson == ""
    model.write_bytes(b"NVIDIA Jetson AGX Orin Developer Kit\0")
    release.write_text("# R36 (release), REVISION: 4.3")
    system.write_text('PRETTY_NAME="Ubuntu 22.04.5 LTS"\nID=ubuntu\n')
    platform = install.this_platform(tmp_path)
    assert (platform.jetson, platform.jetpack, platform.distribution) == (
        "NVIDIA Jetson AGX Orin Developer Kit",
        6,
        "ubuntu",
    )
    model.unlink()
    assert install.this_platform(tmp_path).jetson == "Jetson"  # a container that hides the device tree


def test_the_version_of_what_is_not_installed_is_empty() -> None:
    assert install.version_of("no-such-package-at-all") == ""
    assert install.version_of("numpy")[0].isdigit()
