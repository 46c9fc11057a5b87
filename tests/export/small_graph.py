"""A small graph of the deployed kind, for tests: two branches in half, fp32 islands, map and score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn import functional as F

SIZE = 32


class _Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 16, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        low = F.relu(self.stem(x))
        return [low, F.relu(self.deep(low))]


class SmallFused(nn.Module):
    """Teacher, student, two distance maps, a 1x1 head: the deployed graph in miniature."""

    def __init__(self, half: bool, size: int = SIZE, top: int = 100) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.size, self.top = size, top
        self.dtype = torch.float16 if half else torch.float32
        self.teacher, self.student = _Branch().to(self.dtype), _Branch().to(self.dtype)
        self.head = nn.Conv2d(2, 1, 1).to(self.dtype)
        self.register_buffer("mean", torch.tensor([103.5, 116.3, 123.7]).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = (image.float().permute(0, 3, 1, 2) - self.mean) / 58.0
        x = x.to(self.dtype)
        maps = []
        for a, b in zip(self.teacher(x), self.student(x), strict=True):
            difference = _unit(a.float()) - _unit(b.float())
            distance = 0.5 * (difference * difference).sum(1, keepdim=True)
            maps.append(F.interpolate(distance.to(self.dtype), size=(self.size, self.size), mode="bilinear"))
        logits = self.head(torch.cat(maps, 1)).float()
        anomaly_map = torch.sigmoid(logits)[:, 0]
        score = torch.topk(anomaly_map.flatten(1), self.top, dim=1).values.mean(1)
        return anomaly_map, score


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-6)


def write_onnx(module: nn.Module, path: Path, size: int = SIZE) -> Path:
    """Write a fused module the way the export does: opset 18, dynamic batch, one file, no stack traces."""
    program: Any = torch.onnx.export(
        module.eval(),
        (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
        input_names=["image"],
        output_names=["anomaly_map", "score"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=18,
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    graph = model.graph
    for item in [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output]:
        del item.metadata_props[:]
        item.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    onnx.save(model, path)
    return path
