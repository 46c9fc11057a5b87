"""An export of a detector of drawn plates that loses a challenge part does not come into use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import Detector, DmddError, ExportOptions, export_bundle
from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.challenge.edit import add_parts


@pytest.mark.slow
def test_an_export_that_loses_a_part_is_refused_and_stays_a_version(
    tiny_outcome: Any, tiny_export: Any, plates: Path, tmp_path: Path
) -> None:
    defects = sorted(path for path in plates.rglob("test/*/*.png") if path.parent.name != "good")
    with Detector.load(tiny_export.bundle.path, "cpu") as detector:
        scores = {path: detector(path).score for path in defects}
        exported = detector.threshold.image
    faint = min(scores, key=lambda path: scores[path])
    assert scores[faint] <= exported  # the run of a few steps does not find it
    # In use is a version whose threshold finds each of them.
    manifest = tiny_export.bundle.manifest
    models = tmp_path / "models"
    with BundleWriter(models, "plate") as writer:
        shutil.copy(tiny_export.bundle.path / FP32_GRAPH, writer.path)
        fields = {name: getattr(manifest, name) for name in type(manifest).model_fields}
        for name in ("schema_version", "category", "version", "files", "sizes"):
            fields.pop(name)
        fields["threshold"] = threshold_from_normals([scores[faint] * 0.9])
        good = writer.commit(**fields)
    add_parts(models / "plate", [faint], name="faint scratch")
    options = {"category": "plate", "runs_dir": tiny_outcome.run.folder.parent, "models_dir": models}
    with pytest.raises(DmddError, match=r"loses 1 of 1 challenge part: faint scratch \(now found") as refused:
        export_bundle(ExportOptions(**options, target="onnx"))
    assert f"{scores[faint]:.4f}, threshold {exported:.4f}" in str(refused.value)
    assert Bundle.load(models / "plate").version == good.version
    versions = {path.parent.name for path in models.rglob("manifest.json")}
    assert len(versions) == 2
    assert not (models / "plate" / "challenge" / "journal.jsonl").exists()
    allowed = export_bundle(ExportOptions(**options, target="onnx", allow_loss=True))
    assert Bundle.load(models / "plate").version == allowed.bundle.version
    (line,) = (models / "plate" / "challenge" / "journal.jsonl").read_text().splitlines()
    assert (json.loads(line)["action"], json.loads(line)["lost"]) == ("export", ["faint scratch"])
