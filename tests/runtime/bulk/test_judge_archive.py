"""Archived images evaluated again: each has one row, whatever is interrupted."""

from __future__ import annotations

import json
import multiprocessing
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.main import app
from dmdd_edge.cli.progress import Work
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.runtime.bulk.again import Outcome, judge_archive
from dmdd_edge.runtime.bulk.images import open_images
from dmdd_edge.runtime.bulk.rows import count_statuses
from dmdd_edge.runtime.bulk.shard import Shard, decide_shard
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.judge import JudgeOptions
from dmdd_edge.runtime.signals import StopRequest

pq = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: pip install '.[judge]'")

Row = dict[str, Any]


def rows_of(folder: Path) -> list[Row]:
    rows: list[Row] = [
        row for path in folder.glob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()
    ]
    return sorted(rows, key=lambda row: row["index"])


@pytest.fixture
def archive(images: Path) -> Path:
    """60 images: each fourth is defective; one more is torn."""
    folder = images.parent / "archive"
    folder.mkdir()
    for number in range(60):
        name = "bad/0.png" if number % 4 == 0 else "good/0.png"
        (folder / f"{number:02d}.png").symlink_to(images / name)
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    return folder


@pytest.fixture
def judge(archive: Path, make_bundle: Callable[..., Bundle]) -> Callable[..., Outcome]:
    model = make_bundle().path

    def run(work: Reporter | None = None, **options: Any) -> Outcome:
        given = {"model": model, "source": str(archive), "into": archive.parent / "r.parquet", "jobs": 1}
        chosen = JudgeOptions(backend="cpu", **{**given, **options})
        return judge_archive(chosen, work or Reporter(), StopRequest())

    return run


def check_whole(rows: list[Row], archive: Path) -> None:
    assert [row["index"] for row in rows] == list(range(61))
    assert {row["source"] for row in rows} == {str(path) for path in archive.iterdir()}
    for row in rows:
        name = Path(row["source"]).stem
        wanted = "error" if name == "torn" else "good" if int(name) % 4 else "anomalous"
        assert row["status"] == wanted


class Killer(Reporter):
    """Kills a process as soon as some images have rows."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[int | None] = []

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        if phase == "deciding" and done and not self.killed:
            process = multiprocessing.active_children()[0]
            self.killed.append(process.pid)
            process.kill()


def test_rows_are_the_result_lines_and_continue_after_a_kill(
    judge: Any, archive: Path, make_bundle: Callable[..., Bundle]
) -> None:
    outcome = judge()
    into = outcome.into
    assert outcome.complete
    assert outcome.counts == {"good": 45, "suspect": 0, "anomalous": 15, "unreliable": 0, "error": 1}
    rows = rows_of(into)
    check_whole(rows, archive)
    (bad,) = [row for row in rows if row["source"].endswith("/08.png")]
    assert (bad["score"], bad["threshold"], bad["is_anomalous"]) == (pytest.approx(0.8), 0.5, True)
    assert bad["regions"] == [
        {"x": 100, "y": 20, "width": 40, "height": 20, "area": 800, "peak": pytest.approx(0.8)}
        | {"area_mm2": None}
    ]
    (torn,) = [row for row in rows if row["status"] == "error"]
    assert "torn.png" in torn["error"]
    assert torn["score"] is None
    record = json.loads(pq.read_metadata(next(into.glob("*.parquet"))).metadata[b"dmdd_edge"])
    assert (record["category"], record["threshold"]) == ("screw", 0.5)
    assert (record["backend"], record["precision"]) == ("cpu", "fp32")

    # A kill leaves whole files; a file of the archive vanishes before the rest has its rows.
    parts = sorted(into.glob("*.parquet"))
    assert len(parts) == 4
    parts[1].unlink()
    kept = parts[0].read_bytes()
    gone = archive / Path(rows[20]["source"]).name
    gone.unlink()
    with pytest.raises(OptionError, match="45 of 61 images"):
        judge()
    other = make_bundle()
    with pytest.raises(OptionError, match=f"not {other.version}"):
        judge(resume=True, model=other.path)
    with pytest.raises(OptionError, match="of the source"):
        judge(resume=True, source=str(archive.parent))
    with pytest.raises(OptionError, match=r"of the threshold 0\.5, not 0\.25"):
        judge(resume=True, threshold=0.25)
    killer = Killer()
    again = judge(killer, resume=True, jobs=2)
    assert len(killer.killed) == 1
    assert (again.evaluated, again.complete) == (16, True)
    assert parts[0].read_bytes() == kept
    rows = rows_of(into)
    assert [row["index"] for row in rows] == list(range(61))
    assert len({row["source"] for row in rows}) == 61
    assert rows[20]["source"] == str(gone)
    assert rows[20]["error"].endswith("no such file.")


def test_ctrl_c_ends_with_the_command_that_continues_and_each_image_has_one_row(
    archive: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    into = archive.parent / "r.parquet"
    words = ["judge", "--model", str(make_bundle().path), "--source", str(archive), "--into", str(into)]
    words += ["--backend", "cpu", "--jobs", "1"]
    update, pressed = Work.update, []

    def press(work: Work, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        update(work, phase, done, total, note)
        if phase == "deciding" and done >= 16 and not pressed:
            pressed.append(done)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Work, "update", press)
    stopped = CliRunner().invoke(app, words)
    assert stopped.exit_code == 130, stopped.output
    before = len(rows_of(into))
    assert 1 <= before < 61
    last = shlex.split(stopped.stderr.splitlines()[-1].removeprefix("next: "))
    assert last[:2] == ["dmdd-edge", "judge"]
    assert last[-1] == "--resume"
    again = CliRunner().invoke(app, last[1:])
    assert again.exit_code == 0, again.output
    assert f"{61 - before} in this run" in again.stderr
    check_whole(rows_of(into), archive)


def test_a_stop_leaves_the_beginning_of_a_shard(archive: Path, make_bundle: Callable[..., Bundle]) -> None:
    images = open_images(str(archive))
    names = ["torn.png", *(f"{number:02d}.png" for number in range(30))]
    calls = 0

    def stopping() -> bool:
        nonlocal calls
        calls += 1
        return calls >= 5

    with Detector.load(make_bundle().path, "cpu") as detector:
        begun = decide_shard(detector, images, Shard(100, names), stopping, lambda index, done: None)
        seen: list[tuple[int, int]] = []
        fatal = Shard(7, names[:4], deaths=2, fatal={8: "It ended."})
        careful = decide_shard(
            detector, images, fatal, lambda: False, lambda index, done: seen.append((index, done))
        )
    assert 5 <= len(begun) < 15
    assert [row["index"] for row in begun] == list(range(100, 100 + len(begun)))
    assert [row["status"] for row in begun[:3]] == ["error", "anomalous", "good"]
    assert [(row["index"], row["status"]) for row in careful] == [
        (7, "error"),
        (8, "error"),
        (9, "good"),
        (10, "good"),
    ]
    assert careful[1]["error"] == "It ended."
    assert seen == [(7, 0), (9, 2), (10, 3)]
    assert count_statuses(careful) == {"good": 2, "suspect": 0, "anomalous": 0, "unreliable": 0, "error": 2}
