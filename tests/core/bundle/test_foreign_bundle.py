"""A bundle comes from somewhere else: what its files may say, name and be."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.calibration import calibration_path, read_calibration, write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.versions import list_versions, remove_version
from dmdd_edge.workspace import list_bundles

Write = Callable[..., Bundle]

#: A PNG's start that promises 50,000 x 50,000 pixels.
HUGE_MASK = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"
).decode()


def at(raw: Any, path: str) -> tuple[Any, Any]:
    """The object that holds a field, and the field's key in it."""
    *way, last = path.split(".")
    for part in way:
        raw = raw[int(part) if isinstance(raw, list) else part]
    return raw, int(last) if isinstance(raw, list) else last


def refusal(path: Path) -> DmddError:
    with pytest.raises(DmddError) as caught:
        Bundle.load(path)
    assert caught.value.fix
    assert caught.value.message.isprintable(), "it goes to a terminal"
    return caught.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema_version", True),
        ("schema_version", 0),
        ("schema_version", 1.0),
        ("version", "../../x"),
        ("version", ".hidden"),
        ("version", ""),
        ("version", "a\nb"),
        ("version", "v" * 201),
        ("category", "\x1b[2J"),
        ("category", "a/b"),
        ("category", "sc\u202erew"),
        ("category", 7),
        ("backbone", "x" * 2000),
        ("backbone", "resnet\x9b18"),
        ("image_size", "64"),
        ("image_size", True),
        ("image_size", 64.0),
        ("image_size", -64),
        ("image_size", 10**6),
        ("image_size", 128),  # other than the graph's input
        ("input.name", "picture"),
        ("input.dtype", "float32"),
        ("input.color_order", "RGB"),
        ("input.shape", ["N", 64, 64]),
        ("input.shape", ["N", 3, 64, 64]),
        ("input.shape.1", True),
        ("outputs", []),
        ("outputs.0.name", "heat"),
        ("outputs.1.shape", ["N", 64]),
        ("threshold.image", True),
        ("threshold.image", "0.5"),
        ("threshold.pixel", -0.1),
        ("threshold.alpha", 0),
        ("threshold.normals", 0),
        ("threshold.scores", [0.1, None]),
        ("threshold.scores", {"0": 0.1}),
        ("preprocess.roi", [0, 0, 0, 0]),
        ("preprocess.roi", [-1, 0, 64, 64]),
        ("preprocess.roi", [0, 0, 64]),
        ("preprocess.roi", [0, 0, 64, 10**9]),
        ("preprocess.rotate", False),
        ("preprocess.rotate", 45),
        ("preprocess.ignore", "!!!"),
        ("preprocess.ignore", HUGE_MASK),
        ("frame_limits", {"mean_min": 0, "mean_max": 256, "saturated_max": 1, "black_max": 1}),
        ("parity", []),
        ("created_with.tool", "a\x07b"),
        ("files", []),
        ("files", {"model.fp32.onnx": "abc"}),
        ("files", {f"{number}.onnx": "0" * 64 for number in range(300)}),
        ("sizes", {"model.fp32.onnx": -1}),
        ("licences.code", None),
    ],
)
def test_a_field_outside_its_type_or_range_is_refused_by_its_name(
    write_bundle: Write, field: str, value: Any
) -> None:
    bundle = write_bundle(created_with={"tool": "x"})
    path = bundle.path / "manifest.json"
    raw = json.loads(path.read_text())
    holder, key = at(raw, field)
    holder[key] = value
    path.write_text(json.dumps(raw))
    message = refusal(bundle.path).message
    if field == "image_size" and value == 128:
        field = "input"  # either may be the wrong one
    assert f"field `{field.split('.')[0]}" in message
    assert not list(bundle.path.parent.parent.parent.glob("calibration*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "levels deep"),
        ('{"a":' * 100_000, "levels deep"),
        ("[" * 100_000 + "]" * 100_000, "levels deep"),
        ("[" + "[]," * 400_000 + "[]]", "values"),
        ('{"schema_version": 1, "schema_version": 1}', "`schema_version` is given twice"),
        ('{"schema_version": 1, "threshold": {"image": NaN}}', "`threshold.image` is nan"),
        ('{"schema_version": 1, "parity": {"a": [1, -Infinity]}}', "`parity.a.1` is -inf"),
        ('{"schema_version": 1, "parity": {"a": 1e999}}', "`parity.a` is inf"),
        ('{"schema_version": 1' + "0" * 5000 + "}", "integer of 5,001 digits"),
        ('{"schema_version": 1, "category": "\\ud800"}', "`category` holds the character"),
        ('{"schema_version": 1, "a\\u001bb": 2}', "in its name"),
        ("[]", "not a JSON object"),
        ("", "not valid JSON"),
        ('{"schema_version": 1, "note": "\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}', "field `category`"),
        (" " * (8 << 20) + "{}", "larger than 8,388,608 bytes"),
    ],
)
def test_a_manifest_that_is_not_strict_json_is_refused(write_bundle: Write, text: str, said: str) -> None:
    bundle = write_bundle()
    (bundle.path / "manifest.json").write_text(text)
    assert said in refusal(bundle.path).message


def test_bytes_that_are_no_text_are_refused(write_bundle: Write) -> None:
    bundle = write_bundle()
    (bundle.path / "manifest.json").write_bytes(b'{"category": "\xff"}')
    assert "not UTF-8" in refusal(bundle.path).message


def test_every_part_of_a_calibration_is_checked_too(write_bundle: Write) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals([0.1]), "lot 1\n\x1b[2J/good")
    path = calibration_path(bundle)
    kept = read_calibration(bundle)
    assert kept is not None
    assert kept.source == "lot 1\\n\\x1b[2J/good", (
        "a folder's name may hold anything; the file keeps it readable"
    )
    good = json.loads(path.read_text())
    for field, value in {
        "threshold.image": True,
        "threshold.scores": ["0.1"],
        "unreliable": -1,
        "source": "\x1b[2J",
        "version": "../x",
    }.items():
        raw = json.loads(json.dumps(good))
        holder, key = at(raw, field)
        holder[key] = value
        path.write_text(json.dumps(raw))
        with pytest.raises(DmddError, match=f"cannot be read: field `{field}") as caught:
            read_calibration(bundle)
        assert caught.value.message.isprintable()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    short = Path(os.path.relpath(path))  # a socket's name has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))


def make_folder(path: Path) -> None:
    path.mkdir()


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


ODD_FILES = [make_fifo, make_socket, make_folder, link_to_device, link_to_itself]


@pytest.mark.parametrize("make", ODD_FILES)
@pytest.mark.parametrize("name", ["CURRENT", "manifest.json", "model.fp32.onnx", "calibration"])
def test_what_is_not_a_regular_file_is_refused_at_once(
    write_bundle: Write, make: Callable[[Path], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle()
    category = bundle.path.parent
    monkeypatch.chdir(category)
    files = {"CURRENT": category / "CURRENT", "calibration": calibration_path(bundle)}
    path = files.get(name, bundle.path / name)
    path.unlink(missing_ok=True)
    make(path)
    if name == "calibration":
        with pytest.raises(DmddError):
            read_calibration(bundle)
        return
    assert refusal(category)
    # A listing names what it can and hangs nowhere.
    assert list_bundles(category.parent) in ([], ["screw"])
    list_versions(category.parent, "screw")


def test_a_link_to_a_file_beside_it_is_followed(write_bundle: Write) -> None:
    bundle = write_bundle(files={"model.fp32.onnx": b"graph", "second.onnx": b"graph"})
    (bundle.path / "second.onnx").unlink()
    (bundle.path / "second.onnx").symlink_to("model.fp32.onnx")
    assert Bundle.load(bundle.path).version == bundle.version


def test_a_version_that_is_a_link_out_of_the_models_folder_is_refused(
    write_bundle: Write, tmp_path: Path
) -> None:
    bundle = write_bundle()
    elsewhere = tmp_path / "elsewhere"
    bundle.path.rename(elsewhere)
    bundle.path.symlink_to(elsewhere)
    assert "is a link that leaves" in refusal(bundle.path.parent).message
    with pytest.raises(DmddError, match="is a link that leaves"):
        use_version(tmp_path / "models", "screw", bundle.version)
    # The user may name that folder, and a category may lie on another disk.
    assert Bundle.load(elsewhere).version == bundle.version
    category = tmp_path / "models" / "screw"
    bundle.path.unlink()
    elsewhere.rename(bundle.path)
    category.rename(tmp_path / "disk")
    category.symlink_to(tmp_path / "disk")
    assert Bundle.load(category).version == bundle.version


def test_a_calibration_that_is_a_link_out_of_the_folder_is_not_read(
    write_bundle: Write, tmp_path: Path
) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals([0.1]), "good/")
    path = calibration_path(bundle)
    path.rename(tmp_path / "outside.json")
    path.symlink_to(tmp_path / "outside.json")
    with pytest.raises(DmddError, match="is a link that leaves"):
        read_calibration(bundle)


def test_a_file_that_has_grown_is_refused_without_reading_it(write_bundle: Write) -> None:
    bundle = write_bundle()
    os.truncate(bundle.path / "model.fp32.onnx", 1 << 40)  # a hole: hashing it would take an hour
    assert "1,099,511,627,776 bytes, the manifest says 5" in refusal(bundle.path).message


def test_a_bundle_of_very_many_files_is_refused(write_bundle: Write) -> None:
    bundle = write_bundle()
    for number in range(600):
        (bundle.path / f"{number}.bin").touch()
    assert "more than 512 files" in refusal(bundle.path).message


def test_a_linked_folder_of_files_is_one_that_nobody_listed(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    (tmp_path / "engines").mkdir()
    (bundle.path / "engines").symlink_to(tmp_path / "engines")
    assert "`engines` is not listed" in refusal(bundle.path).message


def test_a_name_with_control_characters_is_never_listed(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    (tmp_path / "models" / "\x1b[2J").mkdir()
    bundle.path.rename(bundle.path.parent / "v\n1")
    assert list_bundles(tmp_path / "models") == ["screw"], "its CURRENT is there, if nothing else"
    assert list_versions(tmp_path / "models", "screw") == []


def test_what_could_not_be_read_back_is_not_published(write_bundle: Write, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match=r"metrics\.per_defect"):
        write_bundle(metrics={"per_defect": {"a\x1b": 1}})
    assert list_bundles(tmp_path / "models") == []


def test_an_error_never_carries_control_characters() -> None:
    error = DmddError("a file named \x1b[2J\u202e.png\nis there", "rename \x00")
    assert error.message == "a file named \\x1b[2J\\u202e.png\nis there"
    assert error.fix == "rename \\x00"


def test_a_version_that_is_a_link_is_removed_without_what_it_leads_to(
    write_bundle: Write, tmp_path: Path
) -> None:
    old, new = write_bundle(), write_bundle()
    elsewhere = tmp_path / "elsewhere"
    old.path.rename(elsewhere)
    old.path.symlink_to(elsewhere)
    assert remove_version(new.path.parent, old.version) == old.version
    assert sorted(entry.name for entry in new.path.parent.iterdir()) == sorted(["CURRENT", new.version])
    assert Bundle.load(elsewhere).version == old.version


def test_a_version_that_is_in_use_under_another_name_is_not_removed(write_bundle: Write) -> None:
    bundle = write_bundle()
    folder = bundle.path.parent
    (folder / "line-3").symlink_to(bundle.version)
    (folder / "CURRENT").write_text("line-3\n")
    with pytest.raises(DmddError, match="is in use, as line-3"):
        remove_version(folder, bundle.version)
    assert Bundle.load(folder).version == bundle.version


def test_an_earlier_removal_that_was_cut_off_does_not_block_the_next(write_bundle: Write) -> None:
    old, new = write_bundle(), write_bundle()
    (old.path.parent / f".removed-{old.version}" / "left").mkdir(parents=True)
    remove_version(old.path.parent, old.version)
    assert not old.path.exists()
    assert Bundle.load(new.path).version == new.version


def test_a_folder_in_the_place_of_current_is_named(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    current = bundle.path.parent / "CURRENT"
    current.unlink()
    current.mkdir()
    with pytest.raises(DmddError, match="CURRENT is a folder") as caught:
        use_version(tmp_path / "models", "screw", bundle.version)
    assert "rm -r" in caught.value.fix
