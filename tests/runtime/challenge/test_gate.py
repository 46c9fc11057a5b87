"""Changes that lose a challenge part: refused with its name and scores, or recorded as allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dmdd_edge import BackendError, BundleError, OptionError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import calibration_path, read_calibration, write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.challenge import gate
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.challenge.gate import GateOptions, gate_threshold, gate_version
from tests.runtime.conftest import blue_graph

AtThreshold = Callable[..., Bundle]
Run = Callable[..., Any]
Journal = Callable[[], list[dict[str, Any]]]


def duller_graph(share: float) -> bytes:
    """A graph whose scores are smaller by a factor: what fewer steps do to a detector."""
    model = blue_graph()
    full = next(each for each in model.graph.initializer if each.name == "full")
    full.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(full) / share, "full"))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def current(bundle: Bundle) -> str:
    return (bundle.path.parent / "CURRENT").read_text().strip()


def test_a_version_that_loses_a_part_is_refused_and_the_part_named(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    good, worse = at_threshold(0.5), at_threshold(0.5, graph=duller_graph(0.75))
    run("models", "use", "screw", good.version)
    run("challenge", "add", images / "faint.png", images / "deep.png")
    with pytest.raises(BundleError) as refused:
        run("models", "use", "screw", worse.version)
    text = str(refused.value)
    # 153 / 255 = 0.6, and three quarters of it 0.45; of the other part 1 and 0.75.
    assert "loses 1 of 2 challenge parts: faint (now found, score 0.6000, threshold 0.5000;" in text
    assert "then missed, score 0.4500, threshold 0.5000)" in text
    assert f"dmdd-edge models use screw {worse.version} --allow-loss" in text
    assert current(good) == good.version
    assert journal() == []
    run("models", "use", "screw", worse.version, "--allow-loss")
    assert current(good) == worse.version
    (line,) = journal()
    assert (line["action"], line["lost"], line["allowed"]) == ("use", ["faint"], True)
    assert (line["before"]["version"], line["before"]["found"], line["found"]) == (good.version, 2, 1)
    assert line["parts"][0]["score"] == pytest.approx(0.45)
    run("models", "use", "screw", good.version)  # the way back loses nothing
    assert [entry["allowed"] for entry in journal()] == [True, False]


def test_a_threshold_that_loses_a_part_is_refused(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    bundle = at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    lines: list[str] = []

    def set_to(value: float, allow_loss: bool = False) -> None:
        options = GateOptions(allow_loss, "cpu", say=lines.append)
        threshold = threshold_from_normals([value])
        write_calibration(bundle, threshold, "x", accept=lambda new: gate_threshold(bundle, new, options))

    with pytest.raises(BundleError, match=r"0\.5000; then missed, score 0\.6000, threshold 0\.7000"):
        set_to(0.7)
    assert read_calibration(bundle) is None
    set_to(0.55)
    set_to(0.7, allow_loss=True)
    calibrated = read_calibration(bundle)
    assert calibrated is not None
    assert calibrated.threshold.image == 0.7
    assert lines == [
        "challenge: 1 of 1 known-bad part found, 1 before",
        "challenge: 0 of 1 known-bad part found, 1 before; lost and allowed: faint",
    ]
    set_to(0.65)  # it is not found now, so it is not lost
    assert lines[-1] == "challenge: 0 of 1 known-bad part found, 0 before; not found, and not lost: faint"
    assert [line["threshold"] for line in journal()] == [0.55, 0.7, 0.65]


def test_the_command_calibrate_and_its_reset_ask_the_set(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    bundle = at_threshold(0.7)
    good = images.parent / "good"
    good.mkdir()
    (images / "clear.png").rename(good / "0.png")
    given = ("calibrate", "--source", good, "--yes", "--backend", "cpu")
    run("challenge", "add", images / "faint.png")  # 0.6, which 0.7 misses and 30 / 255 finds
    run(*given)
    for back in ("--reset", "--undo"):
        with pytest.raises(BundleError, match="not changed: it loses 1 of 1 challenge part") as refused:
            run("calibrate", back)
        assert refused.value.fix == (
            "Keep the threshold in use, or repeat the command with --allow-loss, which records the loss."
        )
    assert calibration_path(bundle).exists()
    run("calibrate", "--reset", "--allow-loss")
    assert not calibration_path(bundle).exists()
    assert [(line["action"], line["allowed"]) for line in journal()] == [
        ("calibrate", False),
        ("calibrate", True),
    ]
    (good / "0.png").unlink()
    high = np.minimum(cv2.imread(str(images / "deep.png")), 204)  # 0.8, which does not find 0.6
    cv2.imwrite(str(good / "0.png"), high)
    run("challenge", "add", images / "faint.png")
    at_threshold(0.5)
    with pytest.raises(BundleError, match=r"faint \(now found.*threshold 0\.8000"):
        run(*given)


def test_a_new_version_stays_out_of_use(at_threshold: AtThreshold, make_bundle: Any, images: Path) -> None:
    old = at_threshold(0.5)
    add_parts(old.path.parent, [images / "faint.png"])
    gated = GateOptions(backend="cpu")
    with pytest.raises(BundleError, match="loses 1 of 1"):
        at_threshold(0.7, accept=lambda bundle: gate_version(bundle, "export", gated))
    assert current(old) == old.version
    (new,) = {path.name for path in old.path.parent.iterdir() if path.is_dir()} - {old.version, "challenge"}
    assert Bundle.load(old.path.parent / new).manifest.threshold.image == 0.7
    better = at_threshold(0.4, accept=lambda bundle: gate_version(bundle, "export", gated))
    assert current(old) == better.version


def test_without_a_set_nothing_is_run(at_threshold: AtThreshold, run: Run, monkeypatch: Any) -> None:
    old, new = at_threshold(0.5), at_threshold(0.7)
    monkeypatch.setattr(gate, "select", None)
    run("models", "use", "screw", old.version)
    assert current(old) == old.version
    assert not (new.path.parent / "challenge").exists()


def test_nothing_passes_where_no_backend_runs(
    at_threshold: AtThreshold, images: Path, run: Run, monkeypatch: Any, journal: Journal
) -> None:
    old = at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    new = at_threshold(0.5)
    run("models", "use", "screw", old.version)

    def none(*_: object) -> object:
        raise BackendError("No backend can run this bundle: cpu: no onnxruntime.", "pip install onnxruntime")

    monkeypatch.setattr(gate, "select", none)
    with pytest.raises(BundleError, match="because its challenge set cannot be run: No backend") as refused:
        run("models", "use", "screw", new.version)
    assert "pip install onnxruntime" in refused.value.fix
    assert current(old) == old.version
    run("models", "use", "screw", new.version, "--allow-loss")
    assert current(old) == new.version
    assert "no onnxruntime" in journal()[-1]["unchecked"]


def test_where_what_is_in_use_cannot_be_run_each_part_must_be_found(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    new, old = at_threshold(0.7), at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    (old.path / "model.fp32.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"faint \(then missed, score 0\.6000, threshold 0\.7000\)"):
        run("models", "use", "screw", new.version)
    third = at_threshold(0.55)
    (old.path.parent / "CURRENT").write_text("gone\n")
    run("models", "use", "screw", third.version)
    assert current(third) == third.version


def test_a_broken_calibration_does_not_hide_a_loss(at_threshold: AtThreshold, images: Path) -> None:
    bundle = at_threshold(0.5)
    add_parts(bundle.path.parent, [images / "faint.png"])
    calibration_path(bundle).write_text("{")
    with pytest.raises(BundleError, match="loses 1 of 1"):
        write_calibration(
            bundle,
            threshold_from_normals([0.7]),
            "x",
            accept=lambda new: gate_threshold(bundle, new, GateOptions(backend="cpu")),
        )
    assert calibration_path(bundle).read_text() == "{"


def test_an_image_that_cannot_be_used_counts_as_lost(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    old, new = at_threshold(0.5), at_threshold(0.5)
    run("challenge", "add", images / "faint.png", images / "deep.png")
    (new.path.parent / "challenge" / "deep.png").unlink()
    with pytest.raises(BundleError, match=r"1 of 2 challenge parts: deep \(its image cannot.*exist"):
        run("models", "use", "screw", old.version)
    assert current(new) == new.version


def test_a_damaged_set_refuses_every_change(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    old, new = at_threshold(0.5), at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    index = new.path.parent / "challenge" / "index.json"
    index.write_text("{}")
    with pytest.raises(BundleError, match=r"is not put to use, because .*index\.json is damaged"):
        run("models", "use", "screw", old.version)
    assert current(new) == new.version
    run("models", "use", "screw", old.version, "--allow-loss")
    assert current(new) == old.version
    assert "damaged" in journal()[-1]["unchecked"]


def test_a_loss_that_cannot_be_recorded_is_not_allowed(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    old, new = at_threshold(0.7), at_threshold(0.5)
    add_parts(new.path.parent, [images / "faint.png"])
    (new.path.parent / "challenge" / "journal.jsonl").mkdir()
    with pytest.raises(BundleError, match="loses 1 of 1"):
        run("models", "use", "screw", old.version)
    with pytest.raises(OSError, match=r"journal\.jsonl cannot be written"):
        run("models", "use", "screw", old.version, "--allow-loss")
    assert current(new) == new.version


def test_an_image_beside_the_set_is_named(at_threshold: AtThreshold, images: Path) -> None:
    old, new = at_threshold(0.5), at_threshold(0.5)
    add_parts(new.path.parent, [images / "faint.png"])
    (images / "deep.png").rename(new.path.parent / "challenge" / "by hand.png")
    lines: list[str] = []
    gate_version(old, "use", GateOptions(backend="cpu", say=lines.append))
    assert "does not list it: by hand.png" in lines[0]
    assert json.loads((new.path.parent / "challenge" / "journal.jsonl").read_text())["total"] == 1


def test_a_loss_is_allowed_by_the_command_alone(
    at_threshold: AtThreshold, images: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good, worse = at_threshold(0.5), at_threshold(0.5, graph=duller_graph(0.75))
    run("models", "use", "screw", good.version)
    run("challenge", "add", images / "faint.png")
    file = tmp_path / "line.toml"
    file.write_text("[models]\nallow_loss = true\n")
    with pytest.raises(OptionError, match="which only the command line can set"):
        run("models", "use", "screw", worse.version, "--config", file)
    monkeypatch.setenv("DMDD_ALLOW_LOSS", "1")
    with pytest.raises(OptionError, match="DMDD_ALLOW_LOSS sets --allow-loss, which only the command"):
        run("models", "use", "screw", worse.version)
    assert current(good) == good.version


def test_an_index_that_lists_nothing_beside_images_is_said(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    bundle = at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    index = bundle.path.parent / "challenge" / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "parts": []}))
    (bundle.path.parent / ".challenge.json").unlink()  # copied without it
    said: list[str] = []
    gate_threshold(bundle, None, GateOptions(say=said.append))
    assert said == [f"challenge: not checked, since the index does not list it: faint.png in {index.parent}"]


def test_a_part_that_is_removed_stays_in_the_journal(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Journal
) -> None:
    at_threshold(0.5)
    run("challenge", "add", images / "faint.png", "--note", "a scratch", "--by", "Ann")
    run("challenge", "remove", "faint")
    (line,) = journal()
    assert (line["action"], line["part"]["name"], line["part"]["note"]) == ("remove", "faint", "a scratch")
    assert line["part"]["by"] == "Ann" != line["by"]
