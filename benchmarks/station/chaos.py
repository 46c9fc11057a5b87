"""What fails at a line, on purpose: no *Pass* for a part that was not judged good, back without a hand.

    python benchmarks/station/chaos.py

A PLC triggers parts of two recipes, whose bundles find every part good and none, and checks every answer
that it reads (``checker.py``) while

- a GigE camera is killed and started again, and hangs for a while;
- the PLC's connection breaks at random points of the handshake, also for longer than its heartbeat;
- the station is killed with SIGKILL at random moments, also while it starts, and started again;
- the disk of the results fills up and gets room again.

Afterwards verdicts at the PLC are compared with the lines of the results file. Times until the next
``Ready`` say how soon the station is back; nobody clears an error.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.errors import DeliveryError
from station.checker import Checker
from station.harness import (
    LIBRARIES,
    Load,
    free_port,
    lines_of,
    percentiles,
    station,
    two_products,
    until,
    viva_process,
)

_CAMERA = "genicam://"
_IMAGES = "drawn:plate?bad=0&size=64"
#: Of the PLC, in milliseconds.
_HEARTBEAT = 1500


def judge(checker: Checker, seconds: float) -> None:
    """Trigger parts for a while, whatever comes of them."""
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        with contextlib.suppress(DeliveryError):
            if checker.part() == "refused":
                checker.ready()
        time.sleep(0.002)


def back(checker: Checker) -> float:
    """Seconds until the station is ready; 60, and counted, if somebody must clear an error for it."""
    begun = time.monotonic()
    while not checker.ready():
        if time.monotonic() > begun + 60:
            checker.violations.append(f"not ready within 60 s: {checker.plc.status}")
            with contextlib.suppress(DeliveryError):
                checker.exchange(ClearError=1)
                checker.exchange(ClearError=0)
            begun += 60
        time.sleep(0.005)
    return time.monotonic() - begun


def camera_gone(folder: Path, port: int, times: int, draw: random.Random) -> tuple[Checker, dict[str, Any]]:
    """A camera that is killed, and one that hangs."""
    seconds: list[float] = []
    with viva_process(640, 480) as camera:
        two_products(folder, _CAMERA, port)
        with station(folder) as process:
            process.ready()
            checker = Checker(port, draw.randrange(1000))
            back(checker)
            for number in range(times):
                judge(checker, draw.uniform(0.5, 2))
                frozen = number % 3 == 2
                # A part is under way when it goes.
                with contextlib.suppress(DeliveryError):
                    checker.trigger()
                if frozen:
                    camera.freeze(True)
                else:
                    camera.kill()
                checker.camera = False
                judge(checker, draw.uniform(0.5, 4))
                if frozen:
                    camera.freeze(False)
                else:
                    camera.start()
                checker.camera = True
                seconds.append(back(checker))
            judge(checker, 2)
            code = process.end()
    return checker, {"camera_gone": times, "back_after_s": percentiles(seconds), "exit_code": code}


def plc_gone(folder: Path, port: int, times: int, draw: random.Random) -> tuple[Checker, dict[str, Any]]:
    """A PLC whose connection breaks in the middle of the handshake."""
    seconds: list[float] = []
    two_products(folder, _IMAGES, port, more=f"heartbeat_ms = {_HEARTBEAT}")
    with station(folder) as process:
        process.ready()
        checker = Checker(port, draw.randrange(1000))
        back(checker)
        for number in range(times):
            judge(checker, draw.uniform(0.1, 0.5))
            where = draw.choice(["idle", "trigger", "result", "acknowledged"])
            with contextlib.suppress(DeliveryError):
                if where != "idle":
                    _into_handshake(checker, where)
            checker.leave()
            # Every fourth time for longer than the heartbeat may stay away.
            time.sleep(draw.uniform(0, 0.3) if number % 4 else 2 * _HEARTBEAT / 1000)
            checker.come_back()
            checker.exchange()
            seconds.append(back(checker))
        judge(checker, 2)
        code = process.end()
    return checker, {"plc_gone": times, "back_after_s": percentiles(seconds, 3), "exit_code": code}


def _into_handshake(checker: Checker, where: str) -> None:
    """Bring the handshake to a place where it can be left."""
    back(checker)
    checker._next += 1
    from station.checker import TRUTH, Known

    number = checker._next
    good = TRUTH.get(checker.plc.status["RecipeCurrent"], False)
    checker.parts[number] = Known(good, True, sure=False)
    if not checker.exchange(Trigger=1, ResultAck=0, PartID=number)["TriggerAck"]:
        del checker.parts[number]
        return
    checker.parts[number].sure = True
    if where in ("result", "acknowledged"):
        until(lambda: bool(checker.exchange()["ResultValid"]))
    if where == "acknowledged":
        checker.exchange(ResultAck=1)


def killed(folder: Path, port: int, times: int, draw: random.Random) -> tuple[Checker, dict[str, Any]]:
    """A station that is killed at random moments, also before it is ready."""
    seconds: list[float] = []
    two_products(folder, _IMAGES, port)
    checker = Checker(port, draw.randrange(1000))
    before_ready = 0
    for _ in range(times):
        begun = time.monotonic()
        with station(folder) as process:
            # A third is killed while it starts, the others while they work.
            up, end = False, begun + draw.uniform(0, 2) if draw.random() < 1 / 3 else None
            while not up and (end is None or time.monotonic() < end):
                up = checker.ready()
                time.sleep(0.005)
            if up:
                seconds.append(time.monotonic() - begun)
                judge(checker, draw.uniform(0, 2))
            before_ready += not up
            with contextlib.suppress(DeliveryError):
                if up:
                    checker.trigger()
            process.end(signal.SIGKILL)
        checker.restarted()
        checker.come_back()
    with station(folder) as process:
        process.ready()
        back(checker)
        judge(checker, 2)
        code = process.end()
    figures = {"killed": times, "of_these_before_ready": before_ready, "exit_code": code}
    return checker, {**figures, "ready_after_start_s": percentiles(seconds)}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disk_full(folder: Path, port: int, times: int, draw: random.Random) -> tuple[Checker, dict[str, Any]]:
    """A disk that fills up, and gets room again."""
    seconds: list[float] = []
    faults = 0
    with small_disk(folder / "small") as disk:
        two_products(folder, _IMAGES, port, jsonl="small/line1.jsonl")
        with station(folder) as process:
            process.ready()
            checker = Checker(port, draw.randrange(1000))
            back(checker)
            for _ in range(times):
                judge(checker, draw.uniform(0.2, 1))
                ballast = disk / "ballast"
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while file.write(b"x" * 256):
                        pass
                # The last page of the file still has room for some lines.
                end = time.monotonic() + 30
                while not checker.plc.status["Fault"] and time.monotonic() < end:
                    judge(checker, 0.1)
                faults += checker.plc.status["Fault"]
                judge(checker, draw.uniform(0, 1))
                ballast.unlink()
                seconds.append(back(checker))
            judge(checker, 0.5)
            code = process.end()
        (folder / "line1.jsonl").write_bytes((disk / "line1.jsonl").read_bytes())
    figures = {"disk_full": times, "of_these_a_fault_at_the_plc": faults, "exit_code": code}
    return checker, {**figures, "back_after_s": percentiles(seconds)}


def compared(checker: Checker, path: Path) -> dict[str, Any]:
    """What the PLC knows against the lines of the results file."""
    lines, torn = lines_of(path)
    parts = [line for line in lines if line["type"] == "part"]
    passed = {line["part_id"] for line in parts if line["passed"]}
    ids = [line["acquisition_id"] for line in parts]
    at_plc = {number for number, part in checker.parts.items() if part.verdict == "Pass"}
    return {
        "violations": len(checker.violations),
        "answers_checked": checker.reads,
        "parts_triggered": sum(part.sure for part in checker.parts.values()),
        "results_at_the_plc": dict(sorted(checker.counts.items())),
        "part_lines": len(parts),
        "torn_lines": torn,
        "ids_in_the_file_in_order_and_once": ids == sorted(set(ids)),
        "passed_by_the_file_though_not_good": sum(
            not checker.parts[number].good for number in passed if number in checker.parts
        ),
        "passed_at_the_plc_without_a_line": len(at_plc - passed),
    }


SCENES: dict[str, tuple[Callable[..., tuple[Checker, dict[str, Any]]], int]] = {
    "camera": (camera_gone, 9),
    "plc": (plc_gone, 20),
    "kill": (killed, 20),
    "disk": (disk_full, 5),
}


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "station_chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scene", choices=SCENES, nargs="*", default=list(SCENES))
    options = parser.parse_args()
    machine = common.begin()
    figures: dict[str, Any] = {}
    for name in options.scene:
        scene, times = SCENES[name]
        with tempfile.TemporaryDirectory() as folder, Load() as load:
            begun = time.monotonic()
            checker, found = scene(Path(folder), free_port(), times, random.Random(options.seed))
            found |= compared(checker, Path(folder) / "line1.jsonl")
            found |= {"seconds": round(time.monotonic() - begun), "load_average": load.figures()}
        for line in checker.violations[:20]:
            print("VIOLATION", line)
        figures[name] = found
        print(name, json.dumps(found, indent=2), flush=True)
    common.write_result(options.out, machine, {"seed": options.seed}, figures, LIBRARIES)


if __name__ == "__main__":
    main()
