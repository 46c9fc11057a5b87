"""The folder of a set: whole images, whatever ends the program, and nothing else in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge import CollectOptions, collect_images
from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.images import read_image
from dmdd_edge.errors import DataError, OptionError, StorageError
from dmdd_edge.runtime.collect import folder as folder_module
from dmdd_edge.storage import write_atomically
from tests.runtime.collect.parts import folder_of, part, shot


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "shots", {f"{seed:02d}.png": part(seed) for seed in range(12)})


def names(into: Path) -> list[str]:
    return sorted(path.name for path in into.iterdir() if not path.name.startswith("."))


def test_each_image_has_its_exact_pixels_and_its_record(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "parts" / "plate"
    outcome = collect_images(CollectOptions(source=str(shots), into=into, target=5))
    assert (outcome.counts.images, outcome.ended_by) == (5, "target")
    assert names(into) == [f"{number:06d}.{suffix}" for number in range(1, 6) for suffix in ("json", "png")]
    for number in range(1, 6):
        source = shots / f"{number - 1:02d}.png"
        assert (read_image(into / f"{number:06d}.png") == read_image(source)).all()
        record = json.loads((into / f"{number:06d}.json").read_text())
        assert (record["type"], record["number"]) == ("collected", number)
        assert record["frame"]["source"] == str(source)
        assert record["measures"]["light"] == pytest.approx(cv2.imread(str(source)).mean(), abs=0.5)


def test_train_takes_the_folder_without_a_remark(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "bracket_good"
    collect_images(CollectOptions(source=str(shots), into=into))
    category = load_category(into, None)
    assert [path.name for path in category.train] == [f"{number:06d}.png" for number in range(1, 13)]
    assert (category.test, category.skipped, category.notes) == ([], [], [])


def test_a_second_call_continues_count_and_statistics(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    collect_images(CollectOptions(source=str(shots), into=into, target=9))
    again = folder_of(
        tmp_path / "again",
        {"a.png": shot(part(3), 77), "b.png": shot(part(200) * 0.5, 1), "c.png": part(200)},
    )
    outcome = collect_images(CollectOptions(source=str(again), into=into, target=20))
    assert outcome.counts.refused == {"repeated": 1, "dark": 1}
    assert (outcome.counts.images, outcome.counts.added) == (10, 1)
    assert (into / "000010.png").is_file()


def test_a_full_set_is_left_as_it_is(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    collect_images(CollectOptions(source=str(shots), into=into, target=4))
    before = names(into)
    outcome = collect_images(CollectOptions(source=str(shots), into=into, target=4))
    assert (outcome.counts.added, outcome.ended_by, names(into)) == (0, "target", before)


def test_sixteen_bits_are_read_as_elsewhere(tmp_path: Path) -> None:
    deep = part(1).astype(np.uint16) * 16
    source = tmp_path / "deep"
    source.mkdir()
    cv2.imwrite(str(source / "a.png"), deep)
    into = tmp_path / "set"
    collect_images(CollectOptions(source=str(source), into=into, bits=12))
    assert (read_image(into / "000001.png") == read_image(source / "a.png", 12)).all()
    frame = json.loads((into / "000001.json").read_text())["frame"]
    assert (frame["bits"], frame["peak"]) == (12, int(deep.max()))


def test_a_gray_image_has_one_channel_and_a_colored_one_three(tmp_path: Path) -> None:
    colored = part(2)
    colored[..., 2] //= 2
    source = folder_of(tmp_path / "shots", {"a.png": part(1), "b.png": colored})
    into = tmp_path / "set"
    collect_images(CollectOptions(source=str(source), into=into))
    shapes = [cv2.imread(str(into / f"{n:06d}.png"), cv2.IMREAD_UNCHANGED).shape for n in (1, 2)]
    assert shapes == [(160, 160), (160, 160, 3)]
    assert (read_image(into / "000002.png") == colored).all()


def test_a_file_is_no_folder(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="is a file, not a folder"):
        collect_images(CollectOptions(source=str(shots), into=tmp_path / "file"))


@pytest.mark.parametrize("place", ["photo.jpg", "000001.png", "train/good/1.png"])
def test_a_folder_with_other_images_is_refused_and_left_alone(
    shots: Path, tmp_path: Path, place: str
) -> None:
    into = tmp_path / "other"
    (into / place).parent.mkdir(parents=True)
    cv2.imwrite(str(into / place), part(1))
    with pytest.raises(OptionError, match="holds images that were not collected") as raised:
        collect_images(CollectOptions(source=str(shots), into=into))
    assert place in raised.value.message
    assert [path for path in into.rglob("*") if path.is_file() and not path.name.startswith(".")] == [
        into / place
    ]


def test_the_folder_of_the_source_is_refused(shots: Path) -> None:
    for source in (str(shots), str(shots / "*.png"), str(shots / "00.png")):
        with pytest.raises(OptionError, match="is the source"):
            collect_images(CollectOptions(source=source, into=shots))


def test_a_set_inside_the_source_is_not_collected_again(shots: Path) -> None:
    into = shots / "kept"
    for _ in range(2):
        outcome = collect_images(CollectOptions(source=str(shots), into=into, target=50))
        assert outcome.counts.images == 12
    assert outcome.counts.refused == {"repeated": 12}


def test_a_broken_record_is_named(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    collect_images(CollectOptions(source=str(shots), into=into, target=2))
    record = json.loads((into / "000002.json").read_text())
    for moment in ("gestern", "12", "2026-13-01T00:00:00Z"):
        (into / "000002.json").write_text(json.dumps({**record, "time": moment}))
        with pytest.raises(DataError, match=r"000002\.json is not the record.*is not a time"):
            collect_images(CollectOptions(source=str(shots), into=into))
    (into / "000002.json").write_text('{"type": "collected"')
    with pytest.raises(DataError, match=r"000002\.json is not the record"):
        collect_images(CollectOptions(source=str(shots), into=into))


def test_a_full_disk_keeps_what_is_there_and_leaves_no_half(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "set"

    def full(path: Path, content: str | bytes) -> None:
        if path.name == "000004.png":
            raise StorageError(f"{path} cannot be written: no space is left.", "Free some.", 28, "no space")
        write_atomically(path, content)

    monkeypatch.setattr(folder_module, "write_atomically", full)
    with pytest.raises(StorageError, match="no space"):
        collect_images(CollectOptions(source=str(shots), into=into))
    assert names(into) == [f"{number:06d}.{suffix}" for number in (1, 2, 3) for suffix in ("json", "png")]


def test_what_a_kill_left_is_removed(shots: Path, tmp_path: Path) -> None:
    into, said = tmp_path / "set", []
    collect_images(CollectOptions(source=str(shots), into=into, target=3))
    record = (into / "000003.json").read_text()
    (into / "000004.json").write_text(record.replace('"number": 3', '"number": 4'))
    (into / ".000004.png-x1y2.part").write_bytes(b"half")
    (into / "notes.json").write_text("{}")
    collect_images(CollectOptions(source=str(shots), into=into, target=3), say=said.append)
    assert said == ["2 unfinished files of an earlier end were removed"]
    assert not (into / "000004.json").exists()
    assert not (into / ".000004.png-x1y2.part").exists()
    assert (into / "notes.json").exists()


KILLED = """
import sys
from pathlib import Path
from dmdd_edge import CollectOptions, collect_images
options = CollectOptions(source=sys.argv[1], into=Path(sys.argv[2]))
collect_images(options, on_image=lambda image: print(image.number, flush=True))
"""


def test_a_killed_collection_loses_no_image_that_it_reported(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(shots), str(into)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(4)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    outcome = collect_images(CollectOptions(source=str(shots), into=into, target=50))
    assert outcome.counts.images == 12
    for number in reported:
        assert (read_image(into / f"{number:06d}.png") == read_image(shots / f"{number - 1:02d}.png")).all()


HOLDING = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print(1, flush=True)
input()
"""


def test_two_programs_do_not_collect_into_one_folder(shots: Path, tmp_path: Path) -> None:
    into = tmp_path / "set"
    into.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(into / ".collect.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(OptionError, match="collects into"):
            collect_images(CollectOptions(source=str(shots), into=into))
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            collect_images(CollectOptions(source=str(shots), into=into, target=1))
            break
        except OptionError:
            time.sleep(0.1)
    assert names(into) == ["000001.json", "000001.png"]
