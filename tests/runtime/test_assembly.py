"""A run from its options in Python: the same results as on the command line, and nothing printed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError, OptionError, StorageError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.options import UsageError
from dmdd_edge.runtime.assembly import run_source
from dmdd_edge.runtime.callbacks import Caller
from dmdd_edge.runtime.options.run import RunOptions

Make = Callable[..., Bundle]


@pytest.fixture
def models(make_bundle: Make) -> Path:
    """The folder of a bundle."""
    return make_bundle().path.parents[1]


def test_a_run_calls_back_and_writes_what_its_options_name(
    models: Path, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (images / "bad" / "1.png").write_bytes(b"broken")
    results: list[tuple[str, str]] = []
    broken: list[str] = []
    options = RunOptions(
        source=str(images),
        models_dir=models,
        backend="cpu",
        jsonl=tmp_path / "r.jsonl",
        save=tmp_path / "out",
        save_only_anomalous=True,
    )
    outcome = run_source(
        options,
        on_result=lambda frame, result: results.append((frame.name, result.status)),
        on_error=lambda frame: broken.append(Path(frame.source).name),
    )
    assert results == [("bad/0.png", "anomalous"), ("good/0.png", "good"), ("good/1.png", "good")]
    assert broken == ["1.png"]
    assert outcome.verdict.failed == {"anomalous": 1, "skipped": 1}
    assert not outcome.verdict.passed
    assert [(what, path.name, count) for what, path, count in outcome.written] == [
        ("overlays", "out", 1),
        ("lines", "r.jsonl", 5),
    ]
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["result", "error", "result", "result", "summary"]
    assert capfd.readouterr() == ("", "")
    again = run_source(
        RunOptions(source=str(images), models_dir=models, jsonl=tmp_path / "r.jsonl", resume=True)
    )
    assert (again.summary.frames, again.resumed) == (0, 4)


def test_several_sources_are_one_run_and_an_image_named_twice_is_processed_once(
    models: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    (images / "good" / "0.txt").touch()
    names = ("good/1.png", str(images / "good"), "../images/bad/*.png")
    seen: list[tuple[str, str]] = []
    run_source(
        RunOptions(sources=names, models_dir=models, save=tmp_path / "out"),
        on_result=lambda frame, result: seen.append((frame.source, frame.name)),
    )
    assert seen == [
        ("good/1.png", "good/1.png"),
        (str(images / "good" / "0.png"), "good/0.png"),
        ("../images/bad/0.png", "bad/0.png"),
        ("../images/bad/1.png", "bad/1.png"),
    ]
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert written == {"good/0.png", "good/1.png", "bad/0.png", "bad/1.png"}


@pytest.mark.parametrize("other", ["0", "rtsp://u:secret@cam/x", "film.mp4", "-", "replay:a.mp4", "csi://0"])
def test_only_images_can_be_several_sources(models: Path, images: Path, other: str) -> None:
    with pytest.raises(DmddError, match="cannot be one of several sources") as caught:
        run_source(RunOptions(sources=(str(images), other), models_dir=models))
    assert "secret" not in str(caught.value)


def test_the_callers_wish_ends_a_run(models: Path, images: Path) -> None:
    for number in range(50):  # more than are read ahead
        os.link(images / "good" / "0.png", images / f"{number}.png")
    polled = threading.Event()
    outcome = run_source(
        RunOptions(source=str(images), models_dir=models),
        on_result=lambda frame, result: polled.wait(60) and None,
        stop=lambda: polled.set() or True,
    )
    assert outcome.summary.ended_by == "stop"
    assert outcome.verdict.unprocessed is not None


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_callback_that_raises_ends_the_run_and_frees_its_files(
    models: Path, images: Path, tmp_path: Path, kind: type[BaseException]
) -> None:
    def fail(*_: object) -> bool:
        raise kind

    before = set(threading.enumerate())
    options = RunOptions(source=str(images), models_dir=models, jsonl=tmp_path / "r.jsonl", overwrite=True)
    with pytest.raises(kind):
        run_source(options, on_result=fail)
    assert set(threading.enumerate()) <= before
    assert run_source(options).summary.frames == 4


def test_a_stop_that_raises_ends_an_endless_run(models: Path, images: Path) -> None:
    def fail() -> bool:
        raise ValueError("stop failed")

    options = RunOptions(watch=str(images), models_dir=models)
    with pytest.raises(ValueError, match="stop failed"):
        run_source(options, stop=fail)


def test_an_error_of_say_in_another_thread_is_raised_by_the_next_poll() -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    caller = Caller(lambda: False, fail)
    assert not caller.stop()
    with pytest.raises(ValueError, match="own thread"):
        caller.say("own thread")
    thread = threading.Thread(target=caller.say, args=("other thread",))
    thread.start()
    thread.join()
    with pytest.raises(ValueError, match="other thread"):
        caller.stop()


def test_a_run_in_which_nothing_can_be_judged_is_an_error(models: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"")
    with pytest.raises(DmddError, match="None of the 1 frames could be judged"):
        run_source(RunOptions(source=str(tmp_path / "broken"), models_dir=models))


def test_a_run_needs_one_source() -> None:
    with pytest.raises(UsageError, match="A source is missing"):
        RunOptions()
    with pytest.raises(UsageError, match="SOURCE and --watch exclude each other"):
        RunOptions(sources=("a",), watch="b")


def test_two_result_files_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("r.jsonl")
    for csv in ("r.jsonl", "link.csv"):
        with pytest.raises(OptionError, match="--jsonl and --csv both name"):
            RunOptions(source="a", jsonl=tmp_path / "r.jsonl", csv=tmp_path / csv)
    RunOptions(source="a", jsonl=Path(os.devnull), csv=Path(os.devnull))


def test_a_file_given_as_a_folder_is_a_storage_error(models: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "h.sh").touch()
    with pytest.raises(StorageError, match=r"h\.sh cannot be written: it is a file, not a folder"):
        run_source(RunOptions(source=str(images), models_dir=models, save=tmp_path / "h.sh"))
