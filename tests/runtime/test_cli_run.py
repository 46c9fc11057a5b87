from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.quality import FrameLimits
from tests.runtime.piped import next_line

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_end_to_end(make_bundle: Make, images: Path, dmdd_edge: Program, tmp_path: Path) -> None:
    (images / "bad" / "1.png").write_bytes(b"broken")
    make_bundle()
    done = dmdd_edge("run", "--source", "images", "--save", "out", "--csv", "results.csv", "--json")
    assert done.returncode == 0, done.stderr
    *lines, summary = _lines(done.stdout)
    assert [line["type"] for line in lines] == ["result", "error", "result", "result"]
    assert [line["source"] for line in lines] == [
        f"images/{n}.png" for n in ("bad/0", "bad/1", "good/0", "good/1")
    ]
    assert lines[0]["score"] == pytest.approx(0.8)
    assert lines[0]["status"] == "anomalous"
    (region,) = lines[0]["regions"]
    assert [region[name] for name in ("x", "y", "width", "height", "area")] == [100, 20, 40, 20, 800]
    assert summary["type"] == "summary"
    assert [summary[name] for name in ("frames", "anomalous", "skipped", "dropped")] == [3, 1, 1, 0]
    assert summary["latency_ms"]["p50"] > 0
    assert summary["latency_ms"]["p99"] is None
    assert summary["backend"] == "cpu"
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert written == {"bad/0.png", "good/0.png", "good/1.png"}
    assert (tmp_path / "results.csv").read_text().count("\n") == 5
    assert "backend cpu" in done.stderr
    assert done.stderr.count("backends unavailable") == 1, "one line for all of them"
    assert "cuda (" in done.stderr
    assert "4 rows in results.csv" in done.stderr
    assert "1.png" in done.stderr


def test_for_a_person_all_goes_to_standard_error(make_bundle: Make, images: Path, dmdd_edge: Program) -> None:
    make_bundle()
    done = dmdd_edge("run", "--category", "screw", "--source", "images/good/0.png", "--threshold", "0.1")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "threshold 0.1000 (given for this run)" in done.stderr
    assert "anomalous  0.1176  images/good/0.png" in done.stderr
    assert "1: 0 good, 1 anomalous, 0 unreliable" in done.stderr
    assert "p90 n/a" in done.stderr


@pytest.mark.slow
def test_fail_on_anomaly(make_bundle: Make, images: Path, dmdd_edge: Program, make_picture: Picture) -> None:
    limits = FrameLimits(mean_min=20, mean_max=255, saturated_max=1, black_max=1, sharpness_min=0, images=1)
    make_bundle(frame_limits=limits)
    assert dmdd_edge("run", "--source", "images/good", "--fail-on-anomaly").returncode == 0
    assert dmdd_edge("run", "--source", "images", "--fail-on-anomaly").returncode == 3
    cv2.imwrite(str(images / "good" / "0.png"), make_picture(0))
    done = dmdd_edge("run", "--source", "images/good", "--fail-on-anomaly")
    assert done.returncode == 3, "a frame that cannot be judged is not good either"
    assert "unreliable" in done.stderr
    (images / "good" / "0.png").write_bytes(b"broken")
    (images / "good" / "0.heic").write_bytes(b"another kind")
    done = dmdd_edge("run", "--source", "images/good", "--fail-on-anomaly", "--json")
    assert done.returncode == 3, "nor is one that cannot be read"
    assert json.loads(done.stdout.splitlines()[-1])["passed_over"] == {".heic": 1}
    assert "1 .heic" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--source", "nowhere"], "nowhere does not exist"),
        (["--source", "imags"], "Did you mean 'images'? A source is"),
        (["--source", "images", "--threshold", "7"], "--threshold is 7; it must be at most 1"),
        (["--source", "images", "--backend", "tpu"], "--backend 'tpu' is unknown"),
        (["--source", "images", "--category", "bolt"], "no bundle 'bolt'"),
        (
            ["--source", "images", "--save-only-anomalous"],
            "--save-only-anomalous has no effect without --save,",
        ),
        (["--source", "images", "--resume"], "--resume needs a file"),
        (["--source", "images", "--csv", "x.csv", "--resume", "--keep", "1GB"], "do not go together"),
        (["--source", "images", "--csv", "x.csv", "--rotate", "big"], "--rotate-size 'big' is not a size"),
        (["--source", "images", "--csv", "x.csv", "--fsync", "often"], "--fsync 'often' is unknown"),
        (["--source", "images", "--duration", "0"], "--duration is 0"),
        (["--source", "images", "--serve", "nowhere:x"], "nowhere:x"),
        (
            ["--source", "images", "--serve", "8080", "--serve-token-env", "NO_SUCH"],
            "NO_SUCH, which is not set",
        ),
        (["--source", "images", "--mqtt", "http://host/topic"], "--mqtt"),
        (["--source", "empty"], "empty contains no images"),
        (["--source", "broken"], "None of the 1 frames could be judged"),
    ],
)
def test_a_users_error_is_one_message_with_the_fix(
    make_bundle: Make, images: Path, tmp_path: Path, dmdd_edge: Program, arguments: list[str], part: str
) -> None:
    make_bundle()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"")
    done = dmdd_edge("run", *arguments)
    assert done.returncode == 1
    assert part in done.stderr.partition("error: ")[2]
    assert "fix:" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_is_exit_code_2(dmdd_edge: Program) -> None:
    assert dmdd_edge("run").returncode == 2
    assert dmdd_edge("run", "--source", "x", "--every", "0").returncode == 2
    assert dmdd_edge("run", "--source", "x", "y").returncode == 2


def test_an_altered_bundle_does_not_run(make_bundle: Make, images: Path, dmdd_edge: Program) -> None:
    bundle = make_bundle()
    graph = bundle.file("model.fp32.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    done = dmdd_edge("run", "--source", "images")
    assert done.returncode == 1
    assert "was altered" in done.stderr


@pytest.fixture
def many_images(tmp_path: Path, images: Path) -> int:
    """A folder ``many``, whose results are more than a pipe holds; returns the number of images.

    So a run cannot end before somebody reads them.
    """
    (tmp_path / "many").mkdir()
    for number in range(2000):
        os.link(images / "bad" / "0.png", tmp_path / "many" / f"{number}.png")
    return 2000


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_run_with_everything_written(
    make_bundle: Make, many_images: int, program: list[str], tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    make_bundle()
    arguments = ["run", "--source", "many", "--save", "out", "--json"]
    with subprocess.Popen(
        [*program, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = next_line(process.stdout)
        process.send_signal(kind)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    *results, summary = _lines(first + rest)
    assert summary["type"] == "summary"
    assert summary["frames"] == len(results) < many_images
    assert [line["index"] for line in results] == list(range(len(results)))
    assert len(list((tmp_path / "out").iterdir())) == len(results)
    assert "throughput" in errors


def test_a_reader_that_goes_away_ends_it_without_a_traceback(
    make_bundle: Make, images: Path, program: list[str], tmp_path: Path
) -> None:
    make_bundle()
    (tmp_path / "many").mkdir()
    for number in range(500):
        os.link(images / "bad" / "0.png", tmp_path / "many" / f"{number}.png")
    with subprocess.Popen(
        [*program, "run", "--source", "many", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "closed by its reader" in errors
    assert "Exception" not in errors
    assert "Traceback" not in errors


def test_it_needs_no_standard_error_and_writes_json_in_any_locale(
    make_bundle: Make, images: Path, program: list[str], tmp_path: Path
) -> None:
    make_bundle()
    (images / "good").rename(images / "gut \u00fc :key: \u2713")
    done = subprocess.run(
        [*program, "run", "--source", "images", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(2),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    *lines, summary = _lines(done.stdout.decode())
    assert [line["source"] for line in lines][2:] == [f"images/gut ü :key: ✓/{n}.png" for n in (0, 1)]
    assert summary["frames"] == 4
