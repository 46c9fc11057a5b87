"""A challenge set that is gone, emptied or short is not taken for one that never was."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import BundleError, OptionError, SourceError, StorageError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.challenge import edit, witness
from dmdd_edge.runtime.challenge.edit import add_parts, remove_part
from dmdd_edge.runtime.challenge.parts import read_set
from dmdd_edge.runtime.challenge.witness import WITNESS
from dmdd_edge.runtime.doctor.challenge import look

AtThreshold = Callable[..., Bundle]
Run = Callable[..., Any]
Journal = Callable[[], list[dict[str, Any]]]


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def empty_index(folder: Path) -> None:
    index = folder / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "parts": []}))


@pytest.mark.parametrize("damage", [remove_folder, empty_index])
def test_a_set_that_is_gone_refuses_changes_until_that_is_confirmed(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal, damage: Callable[[Path], None]
) -> None:
    low, high = at_threshold(0.5), at_threshold(0.7)
    folder = high.path.parent
    run("challenge", "add", images / "faint.png", images / "deep.png")
    damage(folder / "challenge")
    lacks = "lacks 2 parts that were added and not removed: faint, deep"
    for command in (("models", "use", "screw", low.version), ("challenge", "list"), ("challenge", "run")):
        with pytest.raises(BundleError, match=lacks) as refused:
            run(*command)
        assert "parts are gone: dmdd-edge challenge remove --category screw" in refused.value.fix
        assert " --all" in refused.value.fix
    with pytest.raises(BundleError, match=lacks):
        run("challenge", "add", images / "clear.png")
    (report,) = run("models", "check", "screw", code=1)
    assert lacks in report["problems"][0]["message"]
    assert all(lacks in row["challenge"]["problem"] for row in run("models"))
    assert lacks in run("models", "show", "screw")["challenge"]["problem"]
    assert lacks in look("models")[0]["problems"][0][0]
    run("models", "use", "screw", low.version, "--allow-loss")  # accepts this change alone
    assert lacks in journal()[-1]["unchecked"]
    with pytest.raises(BundleError, match=lacks):
        run("models", "use", "screw", high.version)
    removed = run("challenge", "remove", "--all")
    assert removed["removed"] == []
    assert removed["problem"] == "the set lacked faint, deep"
    assert journal()[-1]["problem"] == removed["problem"]
    run("models", "use", "screw", high.version)
    assert (folder / "CURRENT").read_text().strip() == high.version
    assert run("models", "check", "screw")[0]["ok"]
    assert look("models") == [{"category": "screw", "parts": 0, "problems": []}]


def test_one_part_that_is_lost_is_confirmed_alone(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    folder = at_threshold(0.5).path.parent
    run("challenge", "add", images / "deep.png")
    old = (folder / "challenge" / "index.json").read_bytes()
    run("challenge", "add", images / "faint.png")
    (folder / "challenge" / "index.json").write_bytes(old)  # from an older backup
    with pytest.raises(BundleError, match="lacks 1 part that was added and not removed: faint") as refused:
        run("challenge", "list")
    assert "dmdd-edge challenge remove faint" in refused.value.fix
    with pytest.raises(OptionError, match="no part 'clear': it has deep, faint"):
        run("challenge", "remove", "clear")
    assert run("challenge", "remove", "faint")["removed"] == "faint"
    assert journal()[-1]["confirmed"] == ["faint"]
    assert [part["name"] for part in run("challenge", "list")["parts"]] == ["deep"]
    run("challenge", "remove", "deep")
    assert run("challenge", "list")["parts"] == []


def test_all_parts_are_removed_and_a_damaged_index_is_replaced(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    folder = at_threshold(0.5).path.parent / "challenge"
    run("challenge", "add", images / "deep.png", images / "faint.png")
    assert run("challenge", "remove", "--all") == {
        "category": "screw",
        "removed": ["deep", "faint"],
        "problem": None,
    }
    assert not list(folder.glob("*.png"))
    run("challenge", "add", images / "deep.png")
    (folder / "index.json").write_text("{")
    assert "is damaged" in run("challenge", "remove", "--all")["problem"]
    assert run("challenge", "list")["strays"] == ["deep.png"]  # which nothing names any more
    for words in (("remove",), ("remove", "deep", "--all")):
        with pytest.raises(OptionError, match="Either one part is removed"):
            run("challenge", *words)


def test_a_whole_set_works_without_the_witness_and_the_next_addition_writes_it(
    at_threshold: AtThreshold, images: Path
) -> None:
    folder = at_threshold(0.5).path.parent
    add_parts(folder, [images / "deep.png"])
    (folder / WITNESS).unlink()
    assert [part.name for part in read_set(folder).parts] == ["deep"]
    add_parts(folder, [images / "faint.png"])
    shutil.rmtree(folder / "challenge")
    with pytest.raises(BundleError, match="deep, faint"):
        read_set(folder)
    for damage in ("{", '{"parts": {"a": "x"}}'):
        (folder / WITNESS).write_text(damage)
        with pytest.raises(BundleError, match=r"\.challenge\.json is damaged"):
            read_set(folder)


def test_a_disk_that_refuses_never_makes_a_whole_set_look_short(
    at_threshold: AtThreshold, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = at_threshold(0.5).path.parent
    add_parts(folder, [images / "deep.png"])

    def refuse(path: Path, content: Any) -> None:
        raise StorageError(f"{path} cannot be written.", "Free some space.", errno.ENOSPC, "no space")

    with monkeypatch.context() as full:
        full.setattr(witness, "write_atomically", refuse)
        with pytest.raises(StorageError):
            add_parts(folder, [images / "faint.png"])
    assert [part.name for part in read_set(folder).parts] == ["deep", "faint"]
    with monkeypatch.context() as full:
        full.setattr(edit, "write_atomically", refuse)  # the index, which is written after the witness
        with pytest.raises(StorageError):
            remove_part(folder, "deep")
    assert [part.name for part in read_set(folder).parts] == ["deep", "faint"]


def test_what_is_no_file_is_named_and_a_name_reaches_the_terminal_escaped(
    at_threshold: AtThreshold, images: Path, dmdd_edge: Callable[..., Any], run: Run
) -> None:
    at_threshold(0.5)
    os.mkfifo(images / "pipe.png")
    (images / "loose.png").symlink_to("nowhere.png")
    for name, what in (("pipe.png", "is a FIFO, not an image"), ("loose.png", "is a link to a file that")):
        with pytest.raises(SourceError, match=what):
            run("challenge", "add", images / name)
    twin = images / "a\nb\x1b[2J.png"
    shutil.copy(images / "deep.png", twin)
    run("challenge", "add", images / "deep.png")
    done = dmdd_edge("challenge", "add", twin)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("not added:"))
    assert r"a\nb\x1b[2J.png is the image of deep" in line
