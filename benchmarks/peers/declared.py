"""Declarations of the measured anomalib models, and the accuracy that anomalib publishes.

A peer is trained if PyPI has all it needs: models that accept any backbone get dmdd-edge's weights, and
layers with the strides of anomalib's defaults. The others keep anomalib's backbone with random weights: they
are timed, and only their published accuracy is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: dmdd-edge's default backbone under timm's name.
LITE0 = "tf_efficientnet_lite0"
#: Strides 4, 8 and 16 in timm's EfficientNet-Lite0; anomalib's layer1 to layer3 in a ResNet.
STRIDE_4, STRIDE_8, STRIDE_16 = "blocks.1", "blocks.2", "blocks.4"
_RESNET_LAYERS = ["layer1", "layer2", "layer3"]

#: What the worker does before it exports.
#: fit: train. bank: fill PatchCore's memory bank with as many rows as the coreset share requires.
#: none: nothing.
Making = Literal["fit", "bank", "none"]


@dataclass(frozen=True)
class Peer:
    """A variant of one of anomalib's models.

    Attributes:
        model: name of anomalib's class.
        shown: name in a table.
        options: arguments of the class.
        making: what is done before the export.
        size: side of the input, in pixels.
        batch: images per training step.
        trained_for_long: whether the number of epochs affects its accuracy.
        published: name of the variant in anomalib's tables; empty when it publishes no pixel AUROC.
    """

    model: str
    shown: str
    options: Mapping[str, Any] = field(default_factory=dict)
    making: Making = "none"
    size: int = 256
    batch: int = 32
    trained_for_long: bool = False
    published: str = ""

    @property
    def accurate(self) -> bool:
        """Whether its accuracy can be measured: it is trained, on pretrained weights."""
        return self.making == "fit"

    @property
    def per_category(self) -> bool:
        """Whether its file depends on the training images."""
        return self.making != "none"

    @property
    def weights(self) -> str:
        """Origin of its weights."""
        return "pretrained, trained here" if self.accurate else "random: timing only"


#: Peers by their name in the results.
PEERS: dict[str, Peer] = {
    "patchcore": Peer(
        "Patchcore",
        "PatchCore, 1 % coreset, Lite0",
        {"backbone": LITE0, "layers": [STRIDE_8, STRIDE_16], "coreset_sampling_ratio": 0.01},
        making="fit",
    ),
    "padim": Peer(
        "Padim",
        "PaDiM, 100 features, Lite0",
        {"backbone": LITE0, "layers": [STRIDE_4, STRIDE_8, STRIDE_16], "n_features": 100},
        making="fit",
    ),
    "stfpm": Peer(
        "Stfpm",
        "STFPM, Lite0",
        {"backbone": LITE0, "layers": [STRIDE_4, STRIDE_8, STRIDE_16]},
        making="fit",
        trained_for_long=True,
    ),
    "patchcore_resnet18": Peer(
        "Patchcore",
        "PatchCore, 10 % coreset, ResNet18",
        {"backbone": "resnet18", "layers": ["layer2", "layer3"], "coreset_sampling_ratio": 0.1},
        making="bank",
        published="PatchCore, ResNet-18",
    ),
    "patchcore_wide_resnet50": Peer(
        "Patchcore",
        "PatchCore, 10 % coreset, Wide-ResNet50",
        {"backbone": "wide_resnet50_2", "layers": ["layer2", "layer3"], "coreset_sampling_ratio": 0.1},
        making="bank",
        published="PatchCore, Wide ResNet-50",
    ),
    "stfpm_resnet18": Peer(
        "Stfpm",
        "STFPM, ResNet18",
        {"backbone": "resnet18", "layers": _RESNET_LAYERS},
        published="STFPM, ResNet-18",
    ),
    "stfpm_wide_resnet50": Peer(
        "Stfpm",
        "STFPM, Wide-ResNet50",
        {"backbone": "wide_resnet50_2", "layers": _RESNET_LAYERS},
        published="STFPM, Wide ResNet-50",
    ),
    "reverse_distillation": Peer(
        "ReverseDistillation",
        "Reverse Distillation, Wide-ResNet50",
        {"backbone": "wide_resnet50_2", "layers": _RESNET_LAYERS, "pre_trained": False},
        published="Reverse Distillation, Wide ResNet-50",
    ),
    "fastflow_resnet18": Peer(
        "Fastflow",
        "FastFlow, ResNet18",
        {"backbone": "resnet18", "pre_trained": False},
        published="FastFlow, ResNet-18",
    ),
    "fastflow_wide_resnet50": Peer(
        "Fastflow",
        "FastFlow, Wide-ResNet50",
        {"backbone": "wide_resnet50_2", "pre_trained": False},
        published="FastFlow, Wide ResNet50",
    ),
    "fastflow_deit": Peer(
        "Fastflow",
        "FastFlow, DeiT at its only size, 384 px",
        {"backbone": "deit_base_distilled_patch16_384", "pre_trained": False},
        size=384,
        published="FastFlow, DeiT",
    ),
    "efficient_ad": Peer("EfficientAd", "EfficientAD-S", {"model_size": "small"}),
}

#: Pixel AUROC that anomalib publishes; none for EfficientAD. Not all variants are declared above: PaDiM with
#: Wide-ResNet50 has 5 GB of matrices, and CaiT needs 448 px and about 40 transformer blocks.
PUBLISHED_SOURCE = "anomalib 2.7.0, src/anomalib/models/image/*/README.md, Pixel-Level AUC on MVTec AD"
PUBLISHED: dict[str, dict[str, float]] = {
    "PatchCore, ResNet-18": {"screw": 0.991, "bottle": 0.981},
    "PatchCore, Wide ResNet-50": {"screw": 0.989, "bottle": 0.984},
    "PaDiM, ResNet-18": {"screw": 0.978, "bottle": 0.983},
    "PaDiM, Wide ResNet-50": {"screw": 0.988, "bottle": 0.985},
    "STFPM, ResNet-18": {"screw": 0.983, "bottle": 0.971},
    "STFPM, Wide ResNet-50": {"screw": 0.988, "bottle": 0.966},
    "Reverse Distillation, Wide ResNet-50": {"screw": 0.996, "bottle": 0.984},
    "FastFlow, ResNet-18": {"screw": 0.926, "bottle": 0.983},
    "FastFlow, Wide ResNet50": {"screw": 0.966, "bottle": 0.986},
    "FastFlow, DeiT": {"screw": 0.945, "bottle": 0.991},
    "FastFlow, CaiT": {"screw": 0.979, "bottle": 0.984},
}


def published(name: str, category: str) -> float | None:
    """Pixel AUROC (0..1) that anomalib publishes for a peer's variant; None when it publishes none."""
    return PUBLISHED.get(PEERS[name].published, {}).get(category)
