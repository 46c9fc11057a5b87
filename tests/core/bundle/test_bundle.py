from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle, check
from dmdd_edge.bundle.manifest import Manifest

Write = Callable[..., Bundle]


def _edit_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle.path / "manifest.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def _refused(path: Path, part: str) -> None:
    with pytest.raises(DmddError, match=part) as caught:
        Bundle.load(path)
    assert caught.value.fix, "the error must say how to mend it"


def test_the_manifest_has_the_fixed_names(write_bundle: Write) -> None:
    bundle = write_bundle(files={"model.fp32.onnx": b"abc", "engines/rtx.engine": b"xyz"})
    raw = json.loads((bundle.path / "manifest.json").read_text())
    assert {
        *("schema_version", "category", "version", "backbone", "image_size", "input", "outputs", "threshold"),
        *("preprocess", "frame_limits", "parity", "files", "licences", "created_with"),
    } <= raw.keys()
    assert raw["schema_version"] == 1
    assert raw["input"] == {
        "name": "image",
        "shape": ["N", 64, 64, 3],
        "dtype": "uint8",
        "color_order": "BGR",
    }
    assert [output["name"] for output in raw["outputs"]] == ["anomaly_map", "score"]
    assert raw["threshold"].keys() == {
        *("image", "pixel", "alpha", "normals", "attainable", "needed", "scores"),
    }
    assert raw["licences"].keys() == {"code", "weights", "data"}
    assert raw["files"] == {
        "model.fp32.onnx": hashlib.sha256(b"abc").hexdigest(),
        "engines/rtx.engine": hashlib.sha256(b"xyz").hexdigest(),
    }


def test_what_is_written_is_what_is_read(write_bundle: Write) -> None:
    written = write_bundle(parity={"score": 1e-6}, created_with={"dmdd-edge": "0.1.0"})
    assert Bundle.load(written.path).manifest == written.manifest
    assert Bundle.load(written.path.parent).manifest == written.manifest
    assert Manifest.model_validate_json(written.manifest.to_json()) == written.manifest


def test_a_copy_elsewhere_is_the_same_bundle(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    shutil.copytree(bundle.path.parent, tmp_path / "line" / "screw")
    assert Bundle.load(tmp_path / "line" / "screw").version == bundle.version
    assert check(tmp_path / "line" / "screw") == []


def test_a_listed_file_is_found_and_no_other(write_bundle: Write) -> None:
    bundle = write_bundle()
    assert bundle.file("model.fp32.onnx").read_bytes() == b"graph"
    with pytest.raises(DmddError, match=r"no file `engines/a.engine`.*manifest") as caught:
        bundle.file("engines/a.engine")
    assert "model.fp32.onnx" in caught.value.fix


def test_a_newer_schema_is_named_before_its_fields_are_looked_at(write_bundle: Write) -> None:
    bundle = write_bundle()

    def change(raw: dict[str, Any]) -> None:
        raw.update(schema_version=2)
        raw.pop("threshold")

    _edit_manifest(bundle, change)
    _refused(bundle.path, r"schema version 2; this dmdd-edge reads up to 1")


def test_additions_of_a_later_release_do_no_harm(write_bundle: Write) -> None:
    bundle = write_bundle()
    _edit_manifest(bundle, lambda raw: raw.update(colour="blue"))
    assert Bundle.load(bundle.path).version == bundle.version


def test_a_missing_file_is_named(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / "model.fp32.onnx").unlink()
    _refused(bundle.path, "`model.fp32.onnx` is missing")


def test_a_changed_byte_is_named(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / "model.fp32.onnx").write_bytes(b"grapi")
    _refused(bundle.path, "`model.fp32.onnx` was altered")
    assert Bundle.load(bundle.path, verify=False).version == bundle.version


def test_a_truncated_graph_is_told_from_an_altered_one(write_bundle: Write) -> None:
    bundle = write_bundle(files={"model.fp32.onnx": b"x" * 5000})
    (bundle.path / "model.fp32.onnx").write_bytes(b"x" * 1200)
    _refused(bundle.path, r"`model.fp32.onnx` is truncated: 1,200 of 5,000 bytes")
    with pytest.raises(DmddError, match="is truncated"):
        Bundle.load(bundle.path, verify=False)


def test_a_file_that_the_manifest_does_not_list_is_refused(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / "engines").mkdir()
    (bundle.path / "engines" / "found.engine").write_bytes(b"code")
    _refused(bundle.path, "`engines/found.engine` is not listed")


def test_what_file_managers_leave_behind_does_no_harm(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / ".DS_Store").write_bytes(b"")
    (bundle.path / "Thumbs.db").write_bytes(b"")
    assert Bundle.load(bundle.path).version == bundle.version


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "..", "a\\..\\b", ""])
def test_a_path_that_leaves_the_folder_is_refused(write_bundle: Write, name: str) -> None:
    bundle = write_bundle()
    secret = bundle.path.parent / "secret"
    secret.write_bytes(b"secret")
    _edit_manifest(bundle, lambda raw: raw["files"].update({name: hashlib.sha256(b"secret").hexdigest()}))
    _refused(bundle.path, "leaves the bundle's folder")


def test_a_link_out_of_the_folder_is_refused(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(b"graph")
    graph = bundle.path / "model.fp32.onnx"
    graph.unlink()
    graph.symlink_to(outside)
    _refused(bundle.path, "link that leaves")
    with pytest.raises(DmddError, match="link that leaves"):
        bundle.file("model.fp32.onnx")


def test_malformed_json_is_named_with_its_line(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / "manifest.json").write_text('{\n"schema_version": 1,\n"category": \n}')
    _refused(bundle.path, r"not valid JSON \(line 4")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda raw: raw.pop("threshold"), "field `threshold`"),
        (lambda raw: raw["threshold"].update(image=1.5), "field `threshold.image`"),
        (lambda raw: raw.update(image_size=0), "field `image_size`"),
        (lambda raw: raw.pop("schema_version"), "no schema_version"),
        (lambda raw: raw.update(files={}), "lists no file"),
    ],
)
def test_a_wrong_field_is_named(
    write_bundle: Write, change: Callable[[dict[str, Any]], None], part: str
) -> None:
    bundle = write_bundle()
    _edit_manifest(bundle, change)
    _refused(bundle.path, part)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    _refused(tmp_path / "models" / "screw", "no bundle at")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path / "empty", "is not a bundle: it has neither")


def test_current_naming_a_version_that_is_gone(write_bundle: Write) -> None:
    bundle = write_bundle()
    folder = bundle.path.parent
    (folder / "CURRENT").write_text("20200101T000000Z-00000000\n")
    with pytest.raises(
        DmddError, match="names the version 20200101T000000Z-00000000, which does not"
    ) as caught:
        Bundle.load(folder)
    assert bundle.version in caught.value.fix
    assert "models use screw" in caught.value.fix


def test_versions_without_current(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path.parent / "CURRENT").unlink()
    with pytest.raises(DmddError, match="no CURRENT") as caught:
        Bundle.load(bundle.path.parent)
    assert bundle.version in caught.value.fix


@pytest.mark.parametrize("text", ["", "../elsewhere", "/etc", "a\nb", ".hidden"])
def test_current_holding_no_name(write_bundle: Write, text: str) -> None:
    folder = write_bundle().path.parent
    (folder / "CURRENT").write_text(text)
    _refused(folder, "is not a version's name")


def test_check_lists_every_problem_not_only_the_first(write_bundle: Write) -> None:
    bundle = write_bundle(files={"a.onnx": b"a", "b.onnx": b"b", "c.onnx": b"c"})
    assert check(bundle.path.parent) == []
    (bundle.path / "a.onnx").unlink()
    (bundle.path / "b.onnx").write_bytes(b"B")
    (bundle.path / "d.onnx").write_bytes(b"d")
    messages = [problem.message for problem in check(bundle.path.parent)]
    assert len(messages) == 3
    assert "`a.onnx` is missing" in messages[0]
    assert "`b.onnx` was altered" in messages[1]
    assert "`d.onnx` is not listed" in messages[2]
    assert len(check(bundle.path.parent.parent)) == 1
