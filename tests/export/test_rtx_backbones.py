"""RTX engines of the real deployment graphs, built without a GPU: three backbones, three targets, fp16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dmdd_edge.export.checks import check_graph
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.engines.rtx_target import build_rtx
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.runtime.engines.engine import BatchProfile, read_sidecar
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.model import DMDD

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

#: Sizes of 256 x 256 networks change nothing in the builder's work but its time.
SIZE = 64


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        "efficientnet_lite0",
        pytest.param("resnet18", marks=pytest.mark.long),
        pytest.param("wide_resnet50_2", marks=pytest.mark.long),
    ],
)
def test_every_backbone_becomes_one_engine_for_three_targets(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DMDD(ModelConfig(backbone=backbone, image_size=SIZE, denoise=3.0), pretrained=False).eval()
    if backbone == "efficientnet_lite0":
        model.add_brightness()
        model.add_alignment()  # one of them samples images and maps, too
    graph = tmp_path / "model.fp16.onnx"
    write_onnx(DeploymentGraph(model, half=True), graph, SIZE)
    report = check_graph(graph, "fp16").require()
    assert report.half_share == 1.0
    options = BuildOptions(batch=BatchProfile.parse("1:8"))
    built = build_rtx(graph, tmp_path / "engines", gpus="sm86,sm89,sm120", options=options)
    sidecar = read_sidecar(built.path)
    assert sidecar.sms == ("sm86", "sm89", "sm120")
    assert sidecar.half_share == 1.0
    # Parsed by TensorRT and read by us: the same network.
    assert sidecar.convolutions == report.convolutions > 50
    assert sidecar.island_convolutions == report.island_convolutions
    # The weights are in it, in half: about two bytes each.
    weights = graph.stat().st_size
    assert 0.5 * weights < sidecar.engine_bytes < 2 * weights
