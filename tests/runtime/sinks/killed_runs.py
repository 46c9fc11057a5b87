"""Kills runs and resumes them, then checks that no line is torn, missing or there twice.

A script for ``test_resume.py``, in a separate process, because it forks: each run is a child that is really
killed. ``python killed_runs.py random FOLDER SEED KILLS`` kills at random moments, ``python killed_runs.py
everywhere FOLDER STEP FRAMES`` before each STEP-th call that changes something on the disk, and within each
such write. Both end with a line of JSON, or with the first promise that was not kept.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Region, Result
from dmdd_edge.runtime.sinks.csv_file import COLUMNS, CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sinks.overlays import Overlays
from dmdd_edge.runtime.sinks.recovery import find_parts
from dmdd_edge.runtime.sinks.resume import ResumeState
from dmdd_edge.runtime.summary import RunStatistics

JSON_LIMIT, CSV_LIMIT = 1500, 600
CALLS = ("open", "write", "rename", "replace", "ftruncate", "unlink", "close", "fsync")


def frames(count: int) -> Iterator[Frame | BrokenFrame]:
    """Images in folders, some broken, one path that comes three times, and the frames of two videos."""
    image = np.zeros((16, 16, 3), np.uint8)
    for index in range(count):
        source = name = f"images/{index % 3}/Stück {index:03d}, links.png"
        if index % 7 == 3:
            yield BrokenFrame(source, index, DmddError(f"{source}: it is\ncut off", "Replace it."))
            continue
        if index % 5 == 4:
            source, name = f"video-{index % 2}.mp4", f"video-{index % 2}.mp4/frame-{index:06d}"
        if index in (2, 8, 9):
            source = "images/again.png"
        yield Frame(image, source, name, index)


def judge(frame: Frame) -> Result:
    score = (frame.index * 37 % 100) / 100
    regions = tuple(Region(i, i, 2, 2, 4, score) for i in range(frame.index % 4))
    status: Any = "anomalous" if score > 0.5 else "good"
    anomaly_map = np.full((8, 8), score, np.float32)
    return Result(
        frame.source, frame.index, status, 1.8e9, score, score, 0.5, score > 0.5, anomaly_map, regions
    )


def run(folder: Path, count: int, fsync: Any) -> None:
    """One start of a run over files: the images of a frame first, then its lines."""
    options = [FileOptions(existing="resume", fsync=fsync, rotate=limit) for limit in (JSON_LIMIT, CSV_LIMIT)]
    overlays = Overlays(folder / "out", folder / "images", options=options[0])
    files = [
        JsonLinesFile(folder / "results.jsonl", options[0]),
        CsvFile(folder / "results.csv", options[1]),
    ]
    resume = ResumeState([sink.done for sink in files])
    sinks: tuple[Any, ...] = (overlays, *files)
    statistics = RunStatistics("cpu")
    waiting: deque[Frame | BrokenFrame] = deque()

    def hand_on() -> None:
        frame = waiting.popleft()
        for sink in sinks:
            if isinstance(frame, BrokenFrame):
                sink.broken(frame)
            else:
                sink.result(frame, judge(frame))

    for frame in frames(count):
        if not resume.skip(frame.source, frame.index):
            waiting.append(frame)
        if len(waiting) > 3:  # the reader is ahead of the writer
            hand_on()
    while waiting:
        hand_on()
    for sink in sinks:
        sink.summary(statistics.summary())
    for sink in sinks:
        sink.close()


def check(folder: Path, count: int) -> None:
    """The promise, once a run has come to its end."""
    wanted = [(frame.source, frame.index, isinstance(frame, BrokenFrame)) for frame in frames(count)]
    lines = []
    for path in pieces(folder / "results.jsonl"):
        assert path.stat().st_size <= JSON_LIMIT, path
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n"), path
        lines += [json.loads(line) for line in text.splitlines()]
    *found, summary = lines
    assert summary["type"] == "summary"
    assert [(line["source"], line["index"], line["type"] == "error") for line in found] == wanted
    rows = []
    for path in pieces(folder / "results.csv"):
        assert path.stat().st_size <= CSV_LIMIT, path
        with path.open(encoding="utf-8", newline="") as stream:
            header, *some = csv.reader(stream, strict=True)
        assert tuple(header) == COLUMNS
        rows += some
    assert [(row[0], int(row[1]), row[2] == "error") for row in rows] == wanted
    pictures = {path for path in (folder / "out").rglob("*") if path.is_file()}
    assert len(pictures) == sum(not broken for _, _, broken in wanted)
    assert all(cv2.imread(str(path)) is not None for path in pictures)


def pieces(path: Path) -> list[Path]:
    return [part for _, part in find_parts(path)] + [path]


def start(folder: Path, count: int, fsync: str, kill_at: int = 0, within: bool = False) -> int:
    """Start a run as a child process; ``kill_at`` has it kill itself before or within its so-many-th call."""
    process = os.fork()
    if process:
        return process
    try:
        if kill_at:
            kill_itself(kill_at, within)
        run(folder, count, fsync)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def kill_itself(at: int, within: bool) -> None:
    left = [at]

    def counted(name: str, call: Any) -> Any:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if within and name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return wrapper

    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name)))


def ended(process: int) -> bool:
    """Wait for a run; whether it came to its end, rather than being killed."""
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return False
    assert os.WEXITSTATUS(status) == 0, "a run failed"
    return True


def at_random(folder: Path, seed: int, kills: int) -> dict[str, int]:
    generator = random.Random(seed)
    done = {"kills": 0, "runs": 0}
    count = 60
    begin = time.monotonic()
    assert ended(start(folder / "first", count, "second"))
    check(folder / "first", count)
    whole = time.monotonic() - begin  # how long a run takes here
    while done["kills"] < kills:
        place = folder / str(done["runs"])
        # Now and then from the start, so that short rests do not make up most of what is killed.
        process = start(place, count, generator.choice(("never", "never", "second", "always")))
        time.sleep(generator.uniform(0, 0.7 * whole))
        os.kill(process, signal.SIGKILL)
        if not ended(process):
            done["kills"] += 1
            if done["kills"] % 5 and done["kills"] < kills:
                continue
            assert ended(start(place, count, "second"))
        check(place, count)
        done["runs"] += 1
    return done


def everywhere(folder: Path, step: int, count: int) -> dict[str, int]:
    done = {"kills": 0, "runs": 0}
    for within in (False, True):
        at = 1 + within * (step // 2)
        while not ended(start(folder, count, "never", at, within)):
            assert ended(start(folder, count, "never"))
            check(folder, count)
            shutil.rmtree(folder)
            done["kills"] += 1
            done["runs"] += 1
            at += step
        shutil.rmtree(folder)
    return done


if __name__ == "__main__":
    cv2.setNumThreads(1)
    mode, place, *rest = sys.argv[1:]
    modes = {"random": at_random, "everywhere": everywhere}
    print(json.dumps(modes[mode](Path(place), *map(int, rest))))
