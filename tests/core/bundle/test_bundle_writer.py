from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import BundleError, DmddError
from dmdd_edge.bundle import versions
from dmdd_edge.bundle.bundle import Bundle, BundleWriter, check, list_versions, use_version

Write = Callable[..., Bundle]


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_versions_sort_by_time_and_are_unique(write_bundle: Write, tmp_path: Path) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    bundles = [write_bundle(files={"model.fp32.onnx": b"same"}) for _ in range(3)]
    names = [bundle.version for bundle in bundles]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", name) for name in names)
    stamp = datetime.strptime(names[0].split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    assert 0 <= (stamp - before).total_seconds() < 60
    listed = list_versions(tmp_path / "models", "screw")
    assert [version.name for version in listed] == names
    assert [version.in_use for version in listed] == [False, False, True]


def test_a_clock_that_went_backwards_does_not_reorder(write_bundle: Write, tmp_path: Path) -> None:
    first = write_bundle()
    ahead = "20991231T235959Z-00000000"
    first.path.rename(first.path.parent / ahead)
    assert write_bundle().version.startswith("21000101T000000Z-")


def test_the_temporary_folder_is_beside_the_versions_and_not_listed(
    tmp_path: Path, manifest_fields: dict[str, Any]
) -> None:
    with BundleWriter(tmp_path, "screw") as writer:
        (writer.path / "model.fp32.onnx").write_bytes(b"graph")
        (writer.path / "manifest.json").write_text("{}")  # even so it is no version
        assert writer.path.parent == tmp_path / "screw"
        assert list_versions(tmp_path, "screw") == []
        with pytest.raises(DmddError):
            Bundle.load(tmp_path / "screw")
        bundle = writer.commit(**manifest_fields)
    assert _names(tmp_path / "screw") == {"CURRENT", bundle.version}
    assert (tmp_path / "screw" / "CURRENT").read_text() == bundle.version + "\n"


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    def export() -> None:
        with BundleWriter(tmp_path, "screw") as writer:
            (writer.path / "half").write_bytes(b"half")
            raise RuntimeError("export failed")

    with pytest.raises(RuntimeError, match="export failed"):
        export()
    assert _names(tmp_path / "screw") == set()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"backbonne": "x"}, "no field backbonne"),
        ({"image_size": "large"}, "field `image_size`"),
        ({"licences": None}, "field `licences`"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_published(
    tmp_path: Path, manifest_fields: dict[str, Any], fields: dict[str, Any], part: str
) -> None:
    with BundleWriter(tmp_path, "screw") as writer:
        (writer.path / "model.fp32.onnx").write_bytes(b"graph")
        with pytest.raises(DmddError, match=part):
            writer.commit(**{**manifest_fields, **fields})
    assert _names(tmp_path / "screw") == set()


def test_an_empty_bundle_and_an_impossible_name_are_refused(
    tmp_path: Path, manifest_fields: dict[str, Any]
) -> None:
    with BundleWriter(tmp_path, "screw") as writer, pytest.raises(DmddError, match="nothing was written"):
        writer.commit(**manifest_fields)
    for name in ("", "../up", ".hidden", "a/b"):
        with pytest.raises(DmddError, match="cannot name a category"):
            BundleWriter(tmp_path, name)


def test_a_full_disk_leaves_the_old_version_in_use(
    write_bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_bundle()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DmddError, match="no space is left on the disk") as caught:
        write_bundle(files={"model.fp32.onnx": b"new"})
    assert "version in use is unchanged" in caught.value.fix
    monkeypatch.undo()
    assert Bundle.load(old.path.parent).version == old.version
    assert _names(old.path.parent) == {"CURRENT", old.version}


@pytest.mark.parametrize("number", [28, 27])
def test_a_disk_that_fills_up_under_a_file_of_the_version_is_named(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(BundleError, match=r"cannot be written to .*screw: ") as caught,
        BundleWriter(tmp_path, "screw"),
    ):
        raise OSError(number, os.strerror(number))  # as a write raises it: without a name
    assert "version in use is unchanged" in caught.value.fix
    assert _names(tmp_path / "screw") == set()
    with pytest.raises(BundleError, match="permission is denied"), BundleWriter(tmp_path, "screw") as writer:
        raise OSError(13, os.strerror(13), str(writer.path / "model.fp32.onnx"))
    elsewhere = OSError(number, os.strerror(number), str(tmp_path / "image.png"))
    with pytest.raises(OSError, match=r"image\.png"), BundleWriter(tmp_path, "screw"):
        raise elsewhere


def _write_and_die_at(step: int, write: Callable[[], Bundle]) -> bool:
    """Write a bundle in a child that dies without a word before its step-th call to the disk.

    Returns:
        whether it died; False when it had fewer steps than that.
    """
    child = os.fork()
    if child == 0:
        left = step

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                if left == 0:
                    os._exit(9)
                left -= 1
                return call(*arguments, **options)

            return wrapper

        for name in ("fsync", "replace", "rename", "close"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            write()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_crash_at_any_step_leaves_a_whole_version_in_use(write_bundle: Write, tmp_path: Path) -> None:
    old = write_bundle(files={"model.fp32.onnx": b"old"})
    folder = old.path.parent
    in_use: list[bool] = []  # after each crash: is it still the old one?
    last = old.version
    for step in range(100):
        died = _write_and_die_at(step, lambda: write_bundle(files={"model.fp32.onnx": b"new"}))
        current = Bundle.load(folder)  # verifies
        in_use.append(current.version == last)
        last = current.version
        for version in list_versions(tmp_path / "models", "screw"):
            assert check(version.path) == [], "whatever is listed is whole"
        if not died:
            break
    assert not died
    # Up to the replacing of CURRENT it is the old one, from then on the new one, with nothing in between.
    assert in_use == sorted(in_use, reverse=True)
    assert in_use.count(True) > 8
    assert in_use[-1] is False
    # What the crashes left behind does not stand in the way, and goes away once it is old enough.
    left_behind = list(folder.glob(".unfinished-*"))
    assert left_behind
    for entry in left_behind:
        os.utime(entry, (time.time() - 3600,) * 2)
    newest = write_bundle(files={"model.fp32.onnx": b"newest"})
    assert Bundle.load(folder).version == newest.version
    assert list(folder.glob(".unfinished-*")) == []


def test_a_crash_in_the_first_export_leaves_no_bundle(write_bundle: Write, tmp_path: Path) -> None:
    assert _write_and_die_at(0, write_bundle)
    with pytest.raises(DmddError, match="is not a bundle"):
        Bundle.load(tmp_path / "models" / "screw")


def test_the_folder_of_a_writer_that_is_alive_is_left_alone(tmp_path: Path) -> None:
    with BundleWriter(tmp_path, "screw") as slow:
        os.utime(slow.path, (time.time() - 3600,) * 2)
        with BundleWriter(tmp_path, "screw"):
            assert slow.path.is_dir()


def test_the_manifest_is_written_last(write_bundle: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    replace, rename = os.replace, os.rename

    def note_replace(source: Path, target: Path) -> None:
        order.append(f"replace {Path(target).name}")
        replace(source, target)

    def note_rename(source: Path, target: Path) -> None:
        order.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "rename", note_rename)
    write_bundle()
    assert order == ["replace manifest.json", "rename", "replace CURRENT"]


def test_going_back_to_an_older_version(write_bundle: Write, tmp_path: Path) -> None:
    old = write_bundle(files={"model.fp32.onnx": b"old"})
    new = write_bundle(files={"model.fp32.onnx": b"new"})
    models = tmp_path / "models"
    assert use_version(models, "screw", old.version).version == old.version
    assert Bundle.load(models / "screw").version == old.version
    assert [version.in_use for version in list_versions(models, "screw")] == [True, False]
    assert use_version(models, "screw", new.version[:16]).version == new.version


def test_a_version_that_does_not_verify_is_not_taken_into_use(write_bundle: Write, tmp_path: Path) -> None:
    old, new = write_bundle(), write_bundle()
    (old.path / "model.fp32.onnx").write_bytes(b"other")
    with pytest.raises(DmddError, match="altered"):
        use_version(tmp_path / "models", "screw", old.version)
    assert Bundle.load(tmp_path / "models" / "screw").version == new.version


def test_a_version_that_is_not_there_is_named(write_bundle: Write, tmp_path: Path) -> None:
    bundles = [write_bundle(), write_bundle()]
    with pytest.raises(DmddError, match="no version '19'") as caught:
        use_version(tmp_path / "models", "screw", "19")
    assert all(bundle.version in caught.value.fix for bundle in bundles)
    with pytest.raises(DmddError, match="several versions start with '2'"):
        use_version(tmp_path / "models", "screw", "2")
    with pytest.raises(DmddError, match="no bundle of bolt"):
        use_version(tmp_path / "models", "bolt", "2")


def test_a_listing_shows_what_is_broken(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    (bundle.path / "manifest.json").write_text("{")
    (listed,) = list_versions(tmp_path / "models", "screw")
    assert listed.manifest is None
    assert "not valid JSON" in listed.error
    assert versions.version_names(tmp_path / "nowhere") == []


def test_a_version_that_is_not_to_be_used_leaves_the_one_before(
    write_bundle: Write, tmp_path: Path, manifest_fields: dict[str, Any]
) -> None:
    first = write_bundle()
    checked: list[Bundle] = []
    with BundleWriter(tmp_path / "models", "screw") as writer:
        (writer.path / "model.fp32.onnx").write_bytes(b"graph")
        second = writer.commit(use=False, accept=checked.append, **manifest_fields)
    listed = list_versions(tmp_path / "models", "screw")
    assert [(version.name, version.in_use) for version in listed] == [
        (first.version, True),
        (second.version, False),
    ]
    assert checked == []
