"""From a finished run to a published bundle, and that a bad graph is never published."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.export import pipeline
from dmdd_edge.export.pipeline import export_run
from dmdd_edge.train.checkpoint import Run


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tiny_export: Any) -> Callable[..., None]:
    """Let exports take the graphs written before, changed if need be: the exporter takes seconds."""

    def use(change: Callable[[onnx.ModelProto], None] = lambda model: None, only: str = "") -> None:
        def write(graph: torch.nn.Module, path: Path, image_size: int) -> onnx.ModelProto:
            model = onnx.load(tiny_export.bundle.file(path.name))
            if only in path.name:
                change(model)
            path.write_bytes(model.SerializeToString())
            return model

        monkeypatch.setattr(pipeline, "write_onnx", write)

    return use


def weights_changed(model: onnx.ModelProto, count: int | None) -> None:
    """Double so many channels of an early convolution of the teacher; None for all of them."""
    convolutions = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    tensor = next(t for t in model.graph.initializer if t.name == convolutions[1])
    values = numpy_helper.to_array(tensor).copy()
    values[:count] *= 2
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def test_the_bundle_lists_its_files_with_their_hashes(tiny_export: Any) -> None:
    path = tiny_export.bundle.path
    manifest = json.loads((path / "manifest.json").read_text())
    assert set(manifest["files"]) == {"model.fp32.onnx", "model.fp16.onnx"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
    assert (path.parent / "CURRENT").read_text().strip() == path.name
    assert Bundle.load(path.parent).version == path.name


def test_the_manifest_tells_what_the_runtime_needs(tiny_export: Any, tiny_outcome: Any) -> None:
    """The names that the design fixes."""
    manifest = json.loads((tiny_export.bundle.path / "manifest.json").read_text())
    assert (manifest["category"], manifest["backbone"]) == ("plate", "timm:test_efficientnet")
    assert manifest["image_size"] == 64
    assert manifest["input"] == {
        "name": "image", "shape": ["N", 64, 64, 3], "dtype": "uint8", "color_order": "BGR"
    }  # fmt: skip
    assert [output["name"] for output in manifest["outputs"]] == ["anomaly_map", "score"]
    assert {"image", "pixel", "alpha", "normals", "attainable"} <= set(manifest["threshold"])
    assert set(manifest["licences"]) == {"code", "weights", "data"}
    assert manifest["created_with"]["torch"] == torch.__version__
    assert (manifest["created_with"]["steps"], manifest["created_with"]["seed"]) == (6, 3)
    assert manifest["metrics"] == tiny_outcome.metrics
    assert manifest["frame_limits"] is not None
    text = json.dumps(manifest)
    assert str(tiny_outcome.run.folder) not in text  # nothing of the machine it was made on


def test_the_threshold_is_of_the_exported_graph_on_the_held_out_normals(
    tiny_export: Any, tiny_outcome: Any
) -> None:
    """The largest of three scores, worked out here with ONNX Runtime alone."""
    images = np.stack([cv2.imread(path) for path in tiny_outcome.run.info["holdout"]])
    session = onnxruntime.InferenceSession(str(tiny_export.bundle.file("model.fp32.onnx")))
    scores = session.run(["score"], {"image": images})[0]
    threshold = tiny_export.bundle.manifest.threshold
    assert threshold.image == pytest.approx(float(scores.max()), abs=1e-6)
    assert sorted(threshold.scores) == pytest.approx(sorted(scores.tolist()), abs=1e-6)
    assert (threshold.normals, threshold.attainable) == (3, 0.25)


def test_parity_is_measured_on_the_test_images_and_kept(tiny_export: Any) -> None:
    rows = {row.artifact: row for row in tiny_export.parity}
    assert set(rows) == {"onnxruntime fp32", "onnxruntime fp16"}
    assert {row.images for row in rows.values()} == {8}
    assert rows["onnxruntime fp32"].map_max < 1e-4
    assert abs(rows["onnxruntime fp32"].image_auroc) < 2e-4
    # Half precision must show in the file that claims it.
    assert rows["onnxruntime fp16"].map_max > rows["onnxruntime fp32"].map_max
    kept = tiny_export.bundle.manifest.parity
    assert kept["onnxruntime fp16"]["map_max"] == rows["onnxruntime fp16"].map_max


@pytest.mark.slow
def test_each_export_is_a_new_version(
    tiny_outcome: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    first = export_run(tiny_outcome.run.folder, tmp_path / "models").bundle
    second = export_run(tiny_outcome.run.folder, tmp_path / "models", alpha=0.2).bundle
    assert first.version != second.version
    assert (tmp_path / "models" / "plate" / "CURRENT").read_text().strip() == second.version
    assert Bundle.load(first.path).manifest.threshold.alpha == 0.01
    assert second.manifest.threshold.alpha == 0.2
    left = [entry.name for entry in (tmp_path / "models" / "plate").iterdir()]
    assert sorted(left) == sorted(["CURRENT", first.version, second.version])


@pytest.mark.slow
@pytest.mark.parametrize(("file", "channels"), [("fp32", 1), ("fp16", None)])
def test_a_changed_weight_is_noticed_and_nothing_is_published(
    file: str, channels: int | None, tiny_outcome: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    good = export_run(tiny_outcome.run.folder, tmp_path / "models").bundle
    written(lambda model: weights_changed(model, channels), only=file)
    with pytest.raises(DmddError) as error:
        export_run(tiny_outcome.run.folder, tmp_path / "models")
    assert f"onnxruntime {file}" in error.value.message
    assert error.value.fix
    folder = tmp_path / "models" / "plate"
    assert (folder / "CURRENT").read_text().strip() == good.version
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(["CURRENT", good.version])


def test_a_graph_that_fails_its_checks_is_not_published(
    tiny_outcome: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    def traced(model: onnx.ModelProto) -> None:
        model.graph.node[3].doc_string = 'File "trainer.py", line 3'

    written(traced)
    with pytest.raises(DmddError, match="static checks"):
        export_run(tiny_outcome.run.folder, tmp_path / "models")
    assert not (tmp_path / "models" / "plate" / "CURRENT").exists()


def test_extra_files_are_part_of_the_bundle(
    tiny_outcome: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    def extra(folder: Path) -> dict[str, Any]:
        (folder / "engines").mkdir()
        (folder / "engines" / "a.engine").write_bytes(b"an engine")
        return {"builder": "of the test"}

    written()
    bundle = export_run(tiny_outcome.run.folder, tmp_path / "models", extras=[extra]).bundle
    assert bundle.manifest.files["engines/a.engine"] == hashlib.sha256(b"an engine").hexdigest()
    assert bundle.manifest.created_with["builder"] == "of the test"


def test_without_the_data_set_the_held_out_images_are_compared(
    copied: Run, written: Callable[..., None], tmp_path: Path
) -> None:
    """The test images are gone, the held-out ones are kept: parity loses its figures, not its point."""
    written()
    shutil.rmtree(copied.config.data / "plate" / "test")
    rows = export_run(copied.folder, tmp_path / "models").parity
    assert {row.images for row in rows} == {3}
    assert {row.image_auroc for row in rows} == {None}


def test_images_that_are_gone_stop_the_export_before_a_graph_is_written(
    copied: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "write_onnx", lambda *args: pytest.fail("a graph was written"))
    Path(copied.info["holdout"][0]).unlink()
    with pytest.raises(DmddError, match="held-out images are missing") as error:
        export_run(copied.folder, tmp_path / "models")
    assert "--data" in error.value.fix
    with pytest.raises(DmddError, match="no such folder"):
        export_run(copied.folder, tmp_path / "models", data=tmp_path / "nowhere")
    assert not (tmp_path / "models").exists()


def test_a_data_set_that_moved_gives_the_same_bundle(
    copied: Run, tiny_export: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    shutil.move(copied.config.data, tmp_path / "elsewhere")
    found = export_run(copied.folder, tmp_path / "models", data=tmp_path / "elsewhere")
    before, after = tiny_export.bundle.manifest, found.bundle.manifest
    assert after.threshold == before.threshold
    assert after.frame_limits == before.frame_limits
    assert {row.images for row in found.parity} == {8}  # the test images were found too


def test_a_run_without_held_out_images_cannot_be_exported(
    copied: Run, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    facts = json.loads((copied.folder / "run.json").read_text())
    (copied.folder / "run.json").write_text(json.dumps({**facts, "holdout": []}))
    with pytest.raises(DmddError, match="no threshold") as error:
        export_run(copied.folder, tmp_path / "models")
    assert "--holdout" in (error.value.fix or "")


def test_an_unfinished_run_cannot_be_exported(copied: Run, tmp_path: Path) -> None:
    (copied.folder / "model.safetensors").unlink()
    with pytest.raises(DmddError, match="not finished"):
        export_run(copied.folder, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_false_alarm_rate_that_cannot_be(
    alpha: float, tiny_outcome: Any, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    with pytest.raises(DmddError, match="false-alarm rate"):
        export_run(tiny_outcome.run.folder, tmp_path / "models", alpha=alpha)


def test_a_training_image_that_broke_since_is_named(
    copied: Run, written: Callable[..., None], tmp_path: Path
) -> None:
    written()
    broken = Path(copied.info["train"][0])
    broken.write_bytes(b"\x89PNG cut off")
    with pytest.raises(DmddError) as error:
        export_run(copied.folder, tmp_path / "models")
    assert str(broken) in error.value.message
