"""An image that cannot be written affects that image only; earlier images are not overwritten by default."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import image_folder
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.image_folder import ImageFolder
from dmdd_edge.runtime.sinks.image_names import other_name, safe_name
from dmdd_edge.runtime.sinks.maps import Maps
from dmdd_edge.runtime.sinks.overlays import Overlays
from dmdd_edge.runtime.sinks.raw_frames import RawFrames

MakeResult = Callable[..., "tuple[Frame, Result]"]
LIVE = pytest.mark.parametrize("live", [False, True])


def _options(notes: list[str], live: bool = False, existing: Any = "refuse") -> FileOptions:
    return FileOptions(live=live, existing=existing, patience=0.0, note=notes.append)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _write_all(sink: ImageFolder, make_result: MakeResult, *names: str) -> None:
    for index, name in enumerate(names):
        sink.result(*make_result(name=name, index=index))
    sink.close()


@LIVE
@pytest.mark.parametrize("kind", [Overlays, Maps, RawFrames])
def test_names_that_are_too_long_are_shortened_and_stay_different(
    tmp_path: Path, make_result: MakeResult, kind: Any, live: bool
) -> None:
    notes: list[str] = []
    sink = kind(tmp_path / "out", tmp_path / "images", options=_options(notes, live))
    same = "x" * 251
    deep = "/".join(["d" * 200] * 25)  # a path of 5000 bytes
    _write_all(
        sink, make_result, "0.png", f"{same}.jpg", f"{same}.bmp", f"{same}/1.png", f"{deep}/2.png", "3.png"
    )
    files = _files(tmp_path / "out")
    assert len(files) == sink.written == 6
    assert {f"0{sink.suffix}", f"3{sink.suffix}"} < set(files)
    assert {len(name) for name in files if name.startswith("xxx")} == {120, 251 + len(f"/1{sink.suffix}")}
    assert (sink.left_out, sink.lost, sink.renamed) == (0, 0, 3)
    assert "File name too long. It is written as xxx" in notes[0]
    assert "3 files have shortened names" in notes[1]


@LIVE
@pytest.mark.parametrize("code", ["EACCES", "EPERM", "EINVAL", "EBUSY", "ELOOP", "EFBIG"])
def test_an_error_of_one_image_leaves_out_that_one(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch, live: bool, code: str
) -> None:
    notes: list[str] = []
    sink = Overlays(tmp_path / "out", tmp_path / "images", options=_options(notes, live))
    number, real = getattr(errno, code), os.replace

    def replace(part: Path, target: Path) -> None:
        if target.name == "1.png":
            raise OSError(number, os.strerror(number), str(target))
        real(part, target)

    monkeypatch.setattr(os, "replace", replace)
    _write_all(sink, make_result, "0.png", "1.png", "2.png")
    assert _files(tmp_path / "out") == ["0.png", "2.png"]
    assert (sink.written, sink.left_out, sink.lost) == (2, 1, 0)
    assert f"1.png cannot be written: {os.strerror(number)}. This image is omitted" in notes[0]
    assert "1 images could not be written and are omitted" in notes[1]
    assert len(notes) == 2


def test_what_stands_in_the_way_of_an_image_leaves_out_that_one(
    tmp_path: Path, make_result: MakeResult
) -> None:
    out = tmp_path / "out"
    (out / "folder.png").mkdir(parents=True)
    (out / "file").write_bytes(b"mine")
    (out / "loop").symlink_to("loop")
    notes: list[str] = []
    sink = Overlays(out, tmp_path / "images", options=_options(notes, existing="replace"))
    _write_all(sink, make_result, "folder.png", "file/1.png", "loop/2.png", "3.png")
    assert _files(out) == ["3.png", "file"]
    assert (out / "file").read_bytes() == b"mine"
    assert sink.left_out == 3
    assert len(notes) == 4


def test_a_name_that_the_file_system_rejects_gets_a_plain_one(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a FAT stick: no question marks, no bytes that are no text."""
    real = os.replace

    def replace(part: Path, target: Path) -> None:
        if not os.fsencode(target.name).isascii() or "?" in target.name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(part, target)

    monkeypatch.setattr(os, "replace", replace)
    sink = RawFrames(tmp_path / "out", tmp_path / "images")
    odd = os.fsdecode(b"part-\xff.png")
    _write_all(sink, make_result, "a/good?.png", "a/good*.png", odd, "plain.png")
    files = _files(tmp_path / "out")
    assert len(files) == 4
    assert sink.left_out == 0
    assert sum(name.startswith("a/good_-") for name in files) == 1, "the other one was taken as it is"
    assert "a/good*.png" in files


def test_an_image_that_cannot_be_encoded_is_left_out(tmp_path: Path, make_result: MakeResult) -> None:
    notes: list[str] = []
    sink = Overlays(
        tmp_path / "out", tmp_path / "images", options=_options(notes), format="webp", longest=17_000
    )
    wide = Frame(np.zeros((20, 17_000, 3), np.uint8), "", "wide.png", 1)  # WebP ends at 16,383
    sink.result(wide, make_result(regions=())[1])
    sink.result(*make_result(name="0.png"))
    assert _files(tmp_path / "out") == ["0.webp"]
    assert (sink.written, sink.left_out) == (1, 1)
    assert "wide.webp cannot be written" in notes[0]


def test_many_images_left_out_are_counted_and_not_all_named(tmp_path: Path, make_result: MakeResult) -> None:
    out = tmp_path / "out"
    sink = Maps(out, tmp_path / "images", options=_options(notes := []))
    (out / "a").write_bytes(b"a file where a folder is needed")
    _write_all(sink, make_result, *(f"a/{n}.png" for n in range(50)))
    assert sink.left_out == 50
    assert len(notes) == 6
    assert "50 images" in notes[-1]


def test_a_folder_that_cannot_be_written_is_an_error_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "file/below", "loop"):
        with pytest.raises(DmddError, match="cannot be written") as caught:
            Maps(tmp_path / name, tmp_path / "images")
        assert "--save-maps" in caught.value.fix


def test_a_read_only_disk_is_an_error_before_a_run_over_files_and_awaited_by_a_live_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(image_folder, "_probe", refused)
    with pytest.raises(DmddError, match="Read-only"):
        Maps(tmp_path, tmp_path / "images")
    Maps(tmp_path, tmp_path / "images", options=FileOptions(live=True)).close()


def test_earlier_images_are_not_overwritten_unasked(tmp_path: Path, make_result: MakeResult) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.png").write_bytes(b"mine")
    (out / "notes.txt").write_bytes(b"mine")
    sink = RawFrames(out, tmp_path / "images")
    with pytest.raises(DmddError, match=r"1\.png already exists") as caught:
        sink.check_free(["0.png", "1.png"])
    assert "--overwrite" in caught.value.fix
    sink.check_free(["0.png", "2.png"])
    # If the names are not known beforehand, the first image finds out.
    with pytest.raises(DmddError, match=r"1\.png already exists"):
        sink.result(*make_result(name="1.png"))
    sink.result(*make_result(name="0.png"))
    sink.result(*make_result(name="1.png"))
    assert (out / "1.png").read_bytes() == b"mine"
    assert _files(out) == sorted(["0.png", "1.png", other_name("1.png", ".png"), "notes.txt"])
    for existing in ("replace", "resume"):
        again = RawFrames(out, tmp_path / "images", options=_options([], existing=existing))
        again.check_free(["0.png", "1.png"])
        _write_all(again, make_result, "0.png", "1.png")
        assert len(_files(out)) == 4
        assert cv2.imread(str(out / "1.png")) is not None


def test_a_live_run_writes_beside_earlier_images(tmp_path: Path, make_result: MakeResult) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "0.png").write_bytes(b"yesterday's")
    sink = RawFrames(out, tmp_path / "images", options=_options([], True, "append"))
    sink.check_free(["0.png"])
    frame, result = make_result(name="0.png")
    sink.result(Frame(frame.image, frame.source, "0.png", 0, 1795507200.25), result)
    assert (out / "0.png").read_bytes() == b"yesterday's"
    assert _files(out) == ["0-2026-11-24T08-00-00.250Z.png", "0.png"]


@pytest.mark.parametrize("existing", ["refuse", "append", "replace", "resume"])
def test_two_frames_never_share_an_image(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch, existing: Any
) -> None:
    """On a file system that takes upper and lower case for the same."""
    lower = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: lower(self.with_name(self.name.lower())))
    sink = Maps(tmp_path / "out", tmp_path / "images", options=_options([], existing=existing))
    _write_all(sink, make_result, "b.png", "a.png", "A.png")
    files = _files(tmp_path / "out")
    assert files == sorted(["a.tiff", "b.tiff", other_name("A.tiff", ".tiff")])


def test_raw_frames_are_the_pixels_of_the_source(tmp_path: Path, make_result: MakeResult) -> None:
    frame, result = make_result()
    image = np.random.default_rng(3).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    sink = RawFrames(tmp_path / "frames", tmp_path / "images", only_anomalous=True)
    sink.result(Frame(image, frame.source, "line/2026-11-24/08-00-00-250-000004", 4), result)
    sink.result(*make_result("good", 0.1, name="good.png"))
    assert _files(tmp_path / "frames") == ["line/2026-11-24/08-00-00-250-000004.png"]
    found = cv2.imread(str(tmp_path / "frames" / "line/2026-11-24/08-00-00-250-000004.png"))
    assert found is not None
    np.testing.assert_array_equal(found, image)


def test_safe_names_are_short_readable_and_stable() -> None:
    name = safe_name("fine/" + "é" * 100 + "/" + "y" * 300 + ".png", ".png")
    first, second, third = name.split("/")
    assert first == "fine"
    assert second.startswith("_" * 100 + "-")
    assert third.startswith("yyy")
    assert third.endswith(".png")
    assert max(map(len, (second, third))) <= 120
    assert name.isascii()
    assert safe_name("a/b.png", ".png") == "a/b.png"
    assert safe_name("x" * 300, "") != safe_name("x" * 301, "")
