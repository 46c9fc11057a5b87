"""What ``station check`` says where a device of the station is not there yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.station.check.examine import examine_station
from tests.runtime.station.files import SMALL, settings_of

GPIO = '[gpio]\nchip = "/dev/gpiochip99"\nreject.line = 3\n'


def finding(folder: Path, text: str, name: str) -> Finding:
    """What is said of a part of a station."""
    text = text.replace("[plc.modbus]\nport = 5020\n", "")
    report = examine_station(settings_of(folder, text), seconds=1)
    (found,) = (finding for finding in report.findings if finding.name == name)
    return found


def test_a_missing_gpio_chip_is_named(tmp_path: Path) -> None:
    pytest.importorskip("gpiod")
    found = finding(tmp_path, SMALL.replace('"/dev/video0"', '"drawn:plate"') + GPIO, "gpio.lines")
    assert found.facts["place"].endswith("line1.toml, line 6")
    assert "/dev/gpiochip99" in found.detail
    assert found.fix.endswith(
        f" To try without 24 V lines, run: dmdd-edge station simulate {tmp_path}/line1.toml"
    )


@pytest.mark.parametrize("source", ['"/dev/video97"', "97"])
def test_without_a_camera_the_fix_names_drawn_plates_and_the_simulation(tmp_path: Path, source: str) -> None:
    found = finding(tmp_path, SMALL.replace('"/dev/video0"', source), "cameras.top")
    assert found.detail == "No camera at /dev/video97."
    assert found.fix.endswith(
        ' To try without a camera, write source = "drawn:plate", or run: '
        f"dmdd-edge station simulate {tmp_path}/line1.toml"
    )
