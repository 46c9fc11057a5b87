"""``dmdd-edge station run`` as a process: verdicts at a PLC, ends, kills, what is broken at the start."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.station.plc.client import PlcClient, Verdict
from tests.runtime.forked import Forked
from tests.runtime.station.program import TEXT, Process

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]
Program = Callable[..., subprocess.CompletedProcess[str]]
#: The graph's score is the largest blue / 255, the threshold 0.5. The camera shows them in turn.
BLUE = (30, 204)
SCORES = [round(blue / 255, 4) for blue in BLUE]

pytestmark = pytest.mark.slow


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path, make_bundle: Make, make_picture: Picture, port: int) -> Path:
    """A folder with a bundle, two images for the camera, and a station file."""
    make_bundle()
    (tmp_path / "parts").mkdir()
    for number, patch in enumerate(BLUE):
        cv2.imwrite(str(tmp_path / f"parts/{number}.png"), make_picture(patch=patch))
    (tmp_path / "line1.toml").write_text(TEXT.format(port=port))
    return tmp_path


def verdicts(port: int, part_ids: range) -> list[Verdict]:
    """Trigger parts, one after the other is ready."""
    with PlcClient("127.0.0.1", port) as plc:
        assert plc.wait_for(lambda status: bool(status["Ready"]), 60)
        found = list(plc.run(part_ids, 0.0, patience=60))
        assert plc.tally.unanswered == 0
    return found


def file_lines(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "line1.jsonl").read_text().splitlines()]


def test_a_plc_sees_verdicts_and_sigterm_ends_the_station(place: Path, port: int, forked: Forked) -> None:
    with Process(forked, place, "--json") as station:
        station.ready()
        found = verdicts(port, range(70, 74))
        with PlcClient("127.0.0.1", port) as plc:
            plc.exchange(TriggerEnable=0)
            assert not plc.trigger(99)  # not allowed
            station.wait_for(lambda: any(line["type"] == "missed" for line in station.lines))
        assert station.end() == 0
    assert [(each.part_id, each.acquisition_id) for each in found] == [(70, 1), (71, 2), (72, 3), (73, 4)]
    assert [each.verdict for each in found] == ["Pass", "Fail", "Pass", "Fail"]
    assert [each.score for each in found] == pytest.approx(SCORES * 2, abs=1e-4)
    parts = [line for line in station.lines if line["type"] == "part"]
    assert [(part["part_id"], part["passed"]) for part in parts] == [
        *((70, True), (71, False), (72, True), (73, False)),
    ]
    (missed,) = (line for line in station.lines if line["type"] == "missed")
    assert (missed["part_id"], missed["error"]) == (99, "not ready")
    summary = station.lines[-1]
    assert summary["type"] == "summary"
    assert {name: summary["parts"][name] for name in ("total", "passed", "anomalous", "missed")} == {
        "total": 4, "passed": 2, "anomalous": 2, "missed": 1,
    }  # fmt: skip
    assert summary["parts"]["recipes"] == {"1": 4}
    assert summary["frames"] == 4
    # The file has the same lines.
    assert file_lines(place) == station.lines
    (ready,) = (line for line in station.said if line.startswith("READY"))
    assert "recipe 1 (line1); cameras top; Modbus TCP on 127.0.0.1:" in ready


def test_a_killed_station_continues_its_ids_and_never_says_pass_before_it_is_ready(
    place: Path, port: int, forked: Forked
) -> None:
    with Process(forked, place, "--quiet") as station:
        station.ready()
        first = verdicts(port, range(1, 4))
        # Results are written behind the verdicts, which never wait for a disk.
        station.wait_for(lambda: len(file_lines(place)) == 3)
        assert station.end(signal.SIGKILL) == -signal.SIGKILL
    with Process(forked, place, "--quiet") as station:
        with PlcClient("127.0.0.1", port) as plc:
            seen: list[dict[str, int]] = []

            def ready() -> bool:
                try:
                    seen.append(plc.exchange())
                except Exception:
                    return False
                return bool(seen[-1]["Ready"])

            station.wait_for(ready)
        assert not [status for status in seen if status["Pass"] or status["ResultValid"]]
        second = verdicts(port, range(4, 6))
        assert station.end(signal.SIGINT) == 130
    ids = [each.acquisition_id for each in first + second]
    assert len(set(ids)) == 5
    assert ids == sorted(ids)
    assert [line["part_id"] for line in file_lines(place) if line["type"] == "part"] == [1, 2, 3, 4, 5]
    # Nothing per part is printed with --quiet; the closing table is.
    assert not [line for line in station.said if line.startswith(("pass", "anomalous"))]
    assert "2: 1 passed, 1 anomalous, 0 unreliable" in "\n".join(station.said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_fault_until_it_has_room_again(
    place: Path, port: int, forked: Forked, small_disk: Path
) -> None:
    (place / "line1.toml").write_text(TEXT.format(port=port).replace("line1.jsonl", "small/line1.jsonl"))
    with Process(forked, place) as station:
        station.ready()
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError):
            ballast.write_bytes(b"x" * (1 << 20))
        assert [each.verdict for each in verdicts(port, range(1, 2))] == ["Pass"]
        with PlcClient("127.0.0.1", port) as plc:
            assert plc.wait_for(lambda status: bool(status["Fault"]), 60)
            assert (plc.status["ErrorCode"], plc.status["Ready"], plc.status["Pass"]) == (10, 0, 0)
        station.says("fault 10 (results lost):")
        ballast.unlink()
        station.says("fault over")
        assert [each.verdict for each in verdicts(port, range(2, 4))] == ["Fail", "Pass"]
        assert station.end() == 0
    lines = [json.loads(line) for line in (small_disk / "line1.jsonl").read_text().splitlines()]
    assert [line["part_id"] for line in lines if line["type"] == "part"] == [1, 2, 3]


def test_a_camera_that_is_off_at_the_start_is_a_fault_not_an_end(
    place: Path, port: int, forked: Forked
) -> None:
    text = TEXT.format(port=port).replace("images:parts", "/dev/video77")
    (place / "line1.toml").write_text(text)
    with Process(forked, place) as station:
        station.says("not ready after")
        station.says("fault 5 (camera lost): Camera top:")
        with PlcClient("127.0.0.1", port) as plc:
            assert plc.wait_for(lambda status: status["ErrorCode"] == 5, 60)
            assert (plc.status["Online"], plc.status["Ready"], plc.status["Fault"]) == (1, 0, 1)
        assert station.end() == 0


def test_hanging_up_loads_the_new_version_of_a_bundle(
    place: Path, port: int, forked: Forked, make_bundle: Make
) -> None:
    with Process(forked, place) as station:
        station.ready()
        bundle = make_bundle()
        station.hang_up()
        station.says(f"-> screw {bundle.version}.")
        assert [each.verdict for each in verdicts(port, range(1, 3))] == ["Pass", "Fail"]
        assert station.end() == 0


def test_what_is_broken_at_the_start_ends_with_a_message(place: Path, port: int, dmdd_edge: Program) -> None:
    text = TEXT.format(port=port)

    def refused(text: str) -> str:
        (place / "line1.toml").write_text(text)
        done = dmdd_edge("station", "run", "line1.toml")
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr[done.stderr.index("error:") :]

    missing = refused(text.replace('"screw"', '"bolt"'))
    assert "line1.toml, line 4: there is no bundle 'bolt'" in missing
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0)) as other:
        page = int(other.getsockname()[1])
        # Both are named at once, by what is to be changed in the file.
        said = refused(f'{text}serve = "127.0.0.1:{page}"\n')
        assert f"line1.toml, line 7: plc.modbus: 127.0.0.1 port {port} is in use by another program." in said
        assert f'line1.toml, line 10: serve = "127.0.0.1:{page}": the port is in use' in said
        assert f'for example serve = "127.0.0.1:{page + 1}"' in said
        assert "--serve" not in said
    assert "'sauce' is not a key of [cameras.top]" in refused(text.replace("source", "sauce"))
    folder = next((place / "models/screw").glob("*/model.fp32.onnx"))
    folder.write_bytes(folder.read_bytes()[:-1])
    assert "Recipe 1 (line1) cannot be loaded, no recipe is in force" in refused(text)


def test_a_repeated_sigterm_ends_the_station_in_order(place: Path, port: int, forked: Forked) -> None:
    with Process(forked, place, "--json") as station:
        station.ready()
        assert [each.verdict for each in verdicts(port, range(1, 3))] == ["Pass", "Fail"]
        station.send(signal.SIGTERM)
        time.sleep(0.02)  # two requests, not one pending signal
        assert station.end() == 0
    assert station.lines[-1]["type"] == "summary"
    assert file_lines(place) == station.lines


def test_sighup_before_the_station_listens_does_not_kill_it(place: Path, forked: Forked) -> None:
    with Process(forked, place) as station:
        own = f"/proc/{station.id}/status"

        def protected() -> bool:
            found = dict(line.split(":", 1) for line in Path(own).read_text().splitlines())
            return bool((int(found["SigIgn"], 16) | int(found["SigCgt"], 16)) & 1)  # signal 1

        station.wait_for(protected)
        while not any(line.startswith("READY") for line in station.said):
            station.hang_up()
            station.wait_for(lambda: True)
            time.sleep(0.05)
        assert station.end() == 0


def test_two_stations_do_not_share_their_state(place: Path, forked: Forked, dmdd_edge: Program) -> None:
    with Process(forked, place) as station:
        station.ready()
        second = dmdd_edge("station", "run", "line1.toml")
        assert second.returncode == 1
        assert "Another station uses" in second.stderr
        assert station.end() == 0
