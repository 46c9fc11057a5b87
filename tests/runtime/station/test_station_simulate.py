"""``dmdd-edge station simulate``: what it replaces, what it counts, and that it notices broken promises."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.station.cameras import station_cameras
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    InspectionResult,
    Missed,
    PartResult,
    StationState,
    Trigger,
)
from dmdd_edge.runtime.station.plc.client import Verdict
from dmdd_edge.runtime.station.settings import CameraSettings, GpioSettings, LineSettings
from dmdd_edge.runtime.station.simulate.findings import Judge, Times, Witness, camera_and_graph_ms
from dmdd_edge.runtime.station.simulate.lines import PrintedLines
from dmdd_edge.runtime.station.simulate.plc import not_open
from dmdd_edge.runtime.station.simulate.stand_in import changes, client_host, stand_in
from tests.runtime.forked import Forked
from tests.runtime.station.files import settings_of
from tests.runtime.station.program import Process
from tests.runtime.station.running import wait_until

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]
Program = Callable[..., subprocess.CompletedProcess[str]]

TEXT = """\
[cameras.top]
source = "/dev/video77"
exposure = 2
{trigger}
[inspections.lid]
category = "screw"
[plc.modbus]
host = "0.0.0.0"
port = 5020
[gpio]
reject = {{line = 4}}
[results]
jsonl = "line1.jsonl"
save = "overlays"
serve = 8080
"""


@pytest.fixture
def parts(tmp_path: Path, make_bundle: Make, make_picture: Picture) -> Path:
    """Three images, of which the graph with the threshold 0.5 finds the second one anomalous."""
    make_bundle()
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, blue in enumerate((30, 204, 60)):
        cv2.imwrite(str(folder / f"{number}.png"), make_picture(patch=blue))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("trigger", ["newest", "software", "camera"])
def test_a_station_without_hardware_answers_a_plc(
    tmp_path: Path, parts: Path, dmdd_edge: Program, trigger: str
) -> None:
    text = TEXT.format(trigger=f'trigger = "{trigger}"').replace("serve = 8080\n", "")
    if trigger != "newest":
        text = text.replace("/dev/video77", "genicam://77").replace("exposure = 2\n", "")
    (tmp_path / "line1.toml").write_text(text)
    common = ("station", "simulate", "line1.toml", "--images", "parts", "--port", 0, "--rate", 50)
    done = dmdd_edge(*common, "--parts", 9, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["triggers"], found["answered"], found["missed"]) == (9, 9, 0)
    assert found["verdicts"] == {"Fail": 3, "Pass": 6}
    assert found["broken"] == []
    if trigger != "camera":  # the time of a camera's own trigger is not known to the PLC
        total, rest = found["trigger_to_result_ms"], found["overhead_ms"]
        assert 0 <= rest["p50"] <= total["p50"] <= total["largest"]
    # Nothing is written beside the file.
    assert {path.name for path in tmp_path.iterdir()} == {"line1.toml", "models", "parts"}
    assert "note: Camera top is replaced." in done.stderr
    assert "24 V line reject on" in done.stderr
    assert "24 V line reject off" in done.stderr


@pytest.mark.slow
def test_the_handshake_is_printed_and_images_are_drawn(
    tmp_path: Path, make_bundle: Make, dmdd_edge: Program
) -> None:
    make_bundle()
    text = '[cameras.top]\nsource = "0"\n[inspections.lid]\ncategory = "screw"\n'
    (tmp_path / "line1.toml").write_text(text + "[plc.modbus]\nhost = '127.0.0.1'\nport = 5020\n")
    done = dmdd_edge("station", "simulate", "line1.toml", "--port", 0, "--rate", 50, "--parts", 3)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert "-> part 3: Trigger 1, TriggerAck 1" in lines
    (answer,) = (line for line in lines if line.startswith("<- part 3: ResultValid 1, "))
    assert answer.endswith("; ResultAck 1")
    assert any(line.startswith("triggers ") and "3: 3 answered, 0 missed" in line for line in lines)


@pytest.mark.slow
def test_the_quick_start_ends_with_a_verdict_on_a_modbus_clients_screen(
    tmp_path: Path, make_bundle: Make, dmdd_edge: Program, forked: Forked
) -> None:
    make_bundle()
    page = (Path(__file__).parents[3] / "docs/station.md").read_text(encoding="utf-8")
    client = page.split("## Quick start")[1].split("```python\n")[1].split("```")[0]
    assert dmdd_edge("station", "init", "line1.toml").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with Process(forked, tmp_path, "--no-plc", "--port", str(port), command="simulate") as station:
        station.ready()
        done = subprocess.run(
            [sys.executable, "-c", client.replace("5020", str(port))],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        verdict, _, registers = done.stdout.partition(" ")
        assert verdict in ("pass", "reject")
        station.says("part 4711")
        assert station.end(signal.SIGINT) == 130
    passed = any(line.startswith("pass ") for line in station.said)
    assert verdict == ("pass" if passed else "reject")
    assert json.loads(registers)[5:7] == [0, 4711]  # PartID
    assert "port = 5020" in (tmp_path / "line1.toml").read_text()


def test_what_is_replaced(tmp_path: Path) -> None:
    text = TEXT.format(trigger="").replace(
        'category = "screw"', 'category = "screw"\nregion = [100, 300, 400, 200]'
    )
    settings = settings_of(tmp_path, text)
    simulated = stand_in(settings, tmp_path / "state")
    # The drawn image holds the region: 100 + 400, 300 + 200.
    assert simulated.cameras["top"].source == "drawn:?size=500&seed=0"
    assert simulated.cameras["top"].options.exposure is None
    assert simulated.state_dir == tmp_path / "state"
    results = simulated.results
    assert (results.jsonl, results.save, results.serve) == (None, None, "8080")
    assert simulated.plc.modbus is not None
    assert (simulated.plc.modbus.host, simulated.plc.modbus.port) == ("0.0.0.0", 5020)
    assert client_host("0.0.0.0") == "127.0.0.1"
    assert list(changes(settings, simulated)) == [
        "Camera top is replaced.",
        "The 24 V lines are not driven; what they would do is printed.",
        "Nothing is written: neither results nor counters.",
    ]
    free = stand_in(settings, tmp_path, port=0).plc.modbus
    assert free is not None
    assert free.port not in (0, 5020)
    # What the file simulates stays, unless images are named.
    named = replace(settings.cameras["top"], source=f"images:{tmp_path}")
    own = replace(settings, cameras={"top": named})
    assert stand_in(own, tmp_path).cameras["top"] is named
    assert stand_in(own, tmp_path, "drawn").cameras["top"].source.startswith("drawn:")
    with pytest.raises(OptionError, match="nowhere does not exist"):
        stand_in(settings, tmp_path, "nowhere")


def part(number: int, passed: bool = True, part_id: int | None = None) -> PartResult:
    return PartResult(
        Trigger(number, number if part_id is None else part_id, 1, "modbus", 100.0, 0.0),
        "one",
        "good" if passed else "anomalous",
        False,
        (InspectionResult("lid", "top", None, None, "no frame", ErrorCode.NO_FRAME),),
        20.0,
    )


def verdict(number: int, shown: str = "Pass", part_id: int | None = None) -> Verdict:
    return Verdict(number if part_id is None else part_id, number, shown, 0.1, 0.025, 0.02)


def test_a_station_that_keeps_its_promises() -> None:
    witness = Witness()
    judge = Judge(witness)
    for number, passed in ((1, True), (2, False)):
        witness.part(part(number, passed))
        judge.add(verdict(number, "Pass" if passed else "Fail"))
    witness.missed(Missed(3, "modbus", 100.0, ErrorCode.NOT_READY))
    found = judge.findings(triggers=3, missed=1)
    assert found.broken == ()
    assert (found.answered, found.verdicts) == (2, {"Fail": 1, "Pass": 1})
    # Of 25 ms, 20 were the station's, all of it camera and graph since nothing was inspected.
    assert found.trigger_to_result_ms == Times(25.0, 25.0, 25.0)
    assert found.overhead_ms == Times(5.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        ([verdict(1), verdict(2), verdict(2)], "1 results came twice."),
        ([verdict(2), verdict(1)], "1 results came out of order."),
        ([verdict(1)], "1 triggers were accepted and got no result."),
        ([verdict(1), verdict(2, part_id=7)], "1 results have the number of another part."),
        ([verdict(1), verdict(2), verdict(9, "Fail")], "1 results belong to no part of the station."),
        ([verdict(1), verdict(2), verdict(9)], "1 results say Pass for a part that was not judged good."),
    ],
)
def test_a_broken_promise_is_noticed(told: list[Verdict], broken: str) -> None:
    witness = Witness(patience=0.01)
    judge = Judge(witness)
    for number in (1, 2):
        witness.part(part(number))
    for each in told:
        judge.add(each)
    assert broken in judge.findings(triggers=2, missed=0).broken


def test_a_plc_may_have_a_result_before_the_witness() -> None:
    witness = Witness(patience=30)
    judge = Judge(witness)
    late = threading.Timer(0.05, lambda: witness.part(part(1)))
    late.start()
    judge.add(verdict(1))
    late.join()
    assert judge.findings(1, 0).broken == ()


def test_a_pass_of_a_part_that_is_not_good_is_noticed() -> None:
    witness = Witness()
    judge = Judge(witness)
    witness.part(part(1, passed=False))
    judge.add(verdict(1))
    assert judge.findings(1, 0).broken == ("1 results say Pass for a part that was not judged good.",)


def test_a_camera_that_is_slow_to_open_is_named() -> None:
    settings = {name: CameraSettings(name=name, source="drawn:?size=64") for name in ("top", "side")}
    cameras = station_cameras(settings)
    assert not_open(cameras) == "not open yet: camera top, side."
    cameras["top"].start()
    try:
        cameras["top"].request(time.perf_counter()).wait(60)
        assert not_open(cameras) == "not open yet: camera side."
    finally:
        cameras["top"].stop()


def test_a_part_without_a_result_is_all_camera() -> None:
    assert camera_and_graph_ms(part(1)) == 20.0


def test_lines_are_printed_with_their_pulses() -> None:
    said: list[str] = []
    settings = GpioSettings(
        ready=LineSettings(line=1), pass_=LineSettings(line=2), reject=LineSettings(line=3, pulse_ms=30)
    )
    lines = PrintedLines(settings, said.append)
    lines.changed(StationState(online=True, ready=True))
    wait_until(lambda: "24 V line ready on" in said)
    lines.part(part(1, passed=False))
    wait_until(lambda: said[-2:] == ["24 V line reject on", "24 V line reject off"])
    lines.part(part(2))
    wait_until(lambda: said[-1] == "24 V line pass on")
    lines.close()
    assert set(said[-2:]) == {"24 V line pass off", "24 V line ready off"}
    assert "dmdd-lines" not in {thread.name for thread in threading.enumerate()}
