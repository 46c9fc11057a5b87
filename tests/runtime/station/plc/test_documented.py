"""The quick start of the page, run as it is written, against a station."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs import pages
from tests.runtime.station.plc.station import Station

PAGE = pages.ROOT / "docs" / "plc.md"


def test_the_quick_start_ends_with_a_verdict_on_the_screen() -> None:
    (code,) = pages.blocks(PAGE, "python")
    assert len([line for line in code.splitlines() if line]) <= 10
    assert code.count("1502") == 1
    with Station() as station:
        done = subprocess.run(
            [sys.executable, "-c", code.replace("1502", str(station.port))],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        # 4711 is no multiple of three, see verdict_of.
        assert done.stdout == "part 4711 passes\n"
        status = station.ports.image()
        assert (status.status["ResultValid"], status.commands["ResultAck"]) == (0, 1)
        (trigger,) = station.desk.triggers
        assert trigger.part_id == 4711


@pytest.mark.parametrize("line", ["HR 0, bit 1", "IR 0, bit 5", "HR 2 and 3"])
def test_the_table_is_on_the_page(line: str) -> None:
    assert f"| {line} |" in pages.text(PAGE)
