"""``dmdd-edge run --resume``, killed at random moments: no line torn, none missing, none twice."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from tests.runtime.forked import Forked

#: How often the run is killed; more with DMDD_KILLS=50.
KILLS = int(os.environ.get("DMDD_KILLS", "8"))
IMAGES = 60 * KILLS

Make = Callable[..., Bundle]


@pytest.mark.slow
def test_a_run_killed_at_random_moments_has_each_frame_once(
    make_bundle: Make, make_picture: Callable[..., NDArray[np.uint8]], forked: Forked, tmp_path: Path
) -> None:
    make_bundle()
    (tmp_path / "many").mkdir()
    cv2.imwrite(str(tmp_path / "image.png"), make_picture(patch=204))
    for number in range(IMAGES):
        os.link(tmp_path / "image.png", tmp_path / f"many/{number:05}.png")
    (tmp_path / "many" / "00007.png").unlink()
    (tmp_path / "many" / "00007.png").write_bytes(b"broken")
    rng = random.Random(3)
    files = ["--jsonl", "r.jsonl", "--csv", "r.csv", "--rotate-size", "20KB"]
    command = ["run", "--source", "many", *files, "--json"]
    for killed in range(KILLS):
        process = forked.start([*command, *(["--resume"] if killed else [])], tmp_path)
        assert process.stdout is not None
        # Some before the first result, some after a few, each at a different moment.
        for _ in range(rng.randrange(40)):
            if not process.stdout.readline():
                break
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.wait()
    done = forked.run([*command, "--resume"], tmp_path, 120)
    assert done.returncode == 0, done.stderr
    parts = sorted(tmp_path.glob("r.0*.jsonl"))
    assert parts, "nothing was rotated"
    lines = [
        json.loads(line) for path in [*parts, tmp_path / "r.jsonl"] for line in path.read_text().splitlines()
    ]
    frames = [line for line in lines if line["type"] != "summary"]
    assert [line["index"] for line in frames] == list(range(IMAGES))
    assert [line["index"] for line in frames if line["type"] == "error"] == [7]
    rows = [
        row.split(",")
        for path in [*sorted(tmp_path.glob("r.0*.csv")), tmp_path / "r.csv"]
        for row in path.read_text().splitlines()[1:]
    ]
    assert [int(row[1]) for row in rows] == list(range(IMAGES))
