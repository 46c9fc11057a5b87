"""Parts by a PLC's triggers through a whole station with a GigE camera: each once, in order, and how fast.

    python benchmarks/station/triggers.py --model models/plate

Three processes: a simulated camera of 1280 x 1024 (Bayer), ``dmdd-edge station run``, and this one with
the PLC, which triggers one part after the other, polls every millisecond, and acknowledges. Ids are compared
at the PLC, in the results file and in the station's summary, and the camera says how often it was fired.

The time from before the PLC's write until it has read ``ResultValid`` is divided by the part's line: the
camera's is from the trigger until the frame has arrived; the graph's is ``infer``. In the camera's time the
station itself has a share, from the trigger until it fires: that is measured apart, with the same camera.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from argparse import Namespace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.station.camera_devices import camera_device
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.plc.client import PlcClient, Verdict
from dmdd_edge.runtime.station.settings import CameraSettings
from station.harness import (
    LIBRARIES,
    Load,
    aravis_process,
    free_port,
    lines_of,
    percentiles,
    station,
    until,
    until_ready,
    viva_process,
    with_system_gi,
)

WIDTH, HEIGHT = 1280, 1024
#: Milliseconds of a frame's own line that belong to the station.
_OURS = ("prepare", "finish")
Protocol = Literal["modbus", "opcua"]


def source_of(camera: str) -> str:
    """The address of the simulated camera."""
    size = f"Width={WIDTH}&Height={HEIGHT}"
    return f"genicam://?{size}" if camera == "aravis" else "genicam://"


def write_station(folder: Path, model: Path, camera: str, protocol: Protocol, port: int) -> None:
    """Write the station's file."""
    (folder / "line1.toml").write_text(
        f"""\
[cameras.top]
source = "{source_of(camera)}"
genicam_driver = "{camera}"
trigger = "software"
timeout_ms = 10000
[inspections.plate]
model = "{model.resolve()}"
backend = "cpu"
[plc]
acknowledge_ms = 30000
[plc.{protocol}]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
"""
    )


def run(plc: PlcClient, parts: int, pause: float) -> list[Verdict]:
    """Trigger parts, each after the result of the one before."""
    found = []
    for part_id in range(1, parts + 1):
        until(lambda: bool(plc.status["Ready"]) or bool(plc.exchange()["Ready"]))
        before = plc.tally.verdicts.total()
        if not plc.trigger(part_id):
            raise SystemExit(f"part {part_id} was refused: error {plc.status['ErrorCode']}")
        while (verdict := plc.collect()) is None and plc.tally.verdicts.total() == before:
            time.sleep(0.001)
        if verdict is None:
            raise SystemExit(f"part {part_id} came with its trigger")
        found.append(verdict)
        plc.exchange(ResultAck=0)
        time.sleep(pause)
    return found


def measure(model: Path, camera: str, protocol: Protocol, parts: int, pause: float) -> dict[str, Any]:
    """Run one station; returns its figures."""
    with tempfile.TemporaryDirectory() as name, Load() as load:
        folder, port = Path(name), free_port()
        write_station(folder, model, camera, protocol, port)
        with station(folder) as process:
            process.ready()
            with PlcClient("127.0.0.1", port, protocol, timeout=30.0) as plc:
                until_ready(plc)
                found = run(plc, parts, pause)
            if process.end():
                raise SystemExit(f"the station ended with an error: {process.said}")
        lines, torn = lines_of(folder / "line1.jsonl")
    return {
        "load_average": load.figures(),
        **accounts(found, lines, torn, parts),
        **times(found, [line for line in lines if line["type"] == "part"]),
    }


def accounts(found: list[Verdict], lines: list[dict[str, Any]], torn: int, parts: int) -> dict[str, Any]:
    """Whether each trigger has one part everywhere, in order."""
    wanted = list(range(1, parts + 1))
    written = [line for line in lines if line["type"] == "part"]
    frames = [line["inspections"]["plate"].get("frame_id") for line in written]
    return {
        "triggers": parts,
        "results_at_the_plc_in_order_and_once": [each.part_id for each in found] == wanted,
        "lines_in_order_and_once": [line["part_id"] for line in written] == wanted and not torn,
        "ids_of_the_station_agree": [each.acquisition_id for each in found]
        == [line["acquisition_id"] for line in written]
        == wanted,
        "frames_of_the_camera_in_order": None not in frames
        and all(after == before + 1 for before, after in pairwise(frames)),
        "parts_in_the_summary": lines[-1]["parts"]["total"],
        "missed": sum(line["type"] == "missed" for line in lines),
        "not_inspected": sum("error" in line["inspections"]["plate"] for line in written),
    }


def times(found: list[Verdict], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the time went, in milliseconds."""
    rows = []
    for verdict, line in zip(found, lines, strict=True):
        each = line["inspections"]["plate"]
        if "timings_ms" not in each or verdict.seconds is None:
            continue
        spent = each["timings_ms"]
        arrived = datetime.fromisoformat(each["time"]) - datetime.fromisoformat(line["time"])
        camera = 1000 * arrived.total_seconds()
        ours = sum(spent[name] for name in _OURS)
        total = 1000 * verdict.seconds
        rest = total - camera - spent["capture"] - spent["infer"]
        to_plc = total - line["latency_ms"]
        rows.append(
            (total, camera, spent["capture"], spent["infer"], rest, ours, rest - ours - to_plc, to_plc)
        )
    names = (
        "trigger_to_result_valid_ms",
        "camera_ms",
        "conversion_to_bgr_ms",
        "graph_ms",
        "neither_camera_nor_graph_ms",
        "of_it_prepare_and_finish_ms",
        "of_it_between_threads_ms",
        "of_it_plc_ms",
    )
    return {name: percentiles(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def firing(camera: str, count: int) -> dict[str, float]:
    """Milliseconds from a request until the station calls the camera's driver."""
    options = SourceOptions(genicam_driver=camera)
    settings = CameraSettings(
        name="top", source=source_of(camera), trigger="software", timeout_ms=10_000, options=options
    )
    device: Any = camera_device(settings)
    fired: list[float] = []
    fire = device.fire

    def noted() -> None:
        fired.append(time.perf_counter())
        fire()

    device.fire = noted
    top = Camera(settings, device)
    top.start()
    delays = []
    for _ in range(count):
        begun = time.perf_counter()
        if top.request(begun).wait(30) is None:
            raise SystemExit("the camera delivered no frame")
        delays.append(1000 * (fired[-1] - begun))
    top.stop()
    return percentiles(delays)


def measure_all(options: Namespace) -> dict[str, Any]:
    """All stations, one after the other."""
    figures: dict[str, Any] = {}

    def note(what: str, found: dict[str, Any]) -> None:
        figures[what] = found
        print(what, json.dumps(found, indent=2), flush=True)

    plans: list[tuple[Protocol, int]] = [("modbus", options.parts), ("opcua", options.few)]
    for protocol, parts in plans:
        with viva_process(WIDTH, HEIGHT) as camera:
            found = measure(options.model, "viva", protocol, parts, options.pause)
            note(f"viva, {protocol}", {**found, "camera_says": camera.end()})
    with viva_process(WIDTH, HEIGHT):
        note("from the trigger until viva fires, ms", firing("viva", options.few))
    with aravis_process(), with_system_gi():
        note("aravis, modbus", measure(options.model, "aravis", "modbus", options.few, options.pause))
    return figures


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "station_triggers")
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument(
        "--few", type=int, default=100, help="parts of the smaller runs (default: %(default)s)"
    )
    parser.add_argument(
        "--pause", type=float, default=0.01, help="seconds between parts (default: %(default)s)"
    )
    options = parser.parse_args()
    machine = common.begin()
    figures = measure_all(options)
    settings = {
        **{name: getattr(options, name) for name in ("parts", "few", "pause")},
        "camera": [WIDTH, HEIGHT, "BayerRG8"],
        "model": options.model.name,
        "niceness": os.nice(0),
    }
    common.write_result(options.out, machine, settings, figures, LIBRARIES)


if __name__ == "__main__":
    main()
