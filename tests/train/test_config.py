"""Recipes, lengths and what is said of values that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.train.config import TrainConfig, make_config


def make(recipe: Any = "edge", **values: Any) -> TrainConfig:
    return make_config(recipe, **{"data": Path("data"), "category": "screw", **values})


def test_the_paper_recipe_is_the_papers() -> None:
    """What the method's page says the paper fixes."""
    config = make("paper")
    assert (config.lr, config.betas, config.batch_size) == (0.005, (0.5, 0.999), 16)
    assert config.schedule == "constant"
    assert config.head_phase == "epoch"
    assert config.epochs is not None
    assert 100 <= config.epochs <= 400
    assert config.steps is None
    model = config.model
    assert model.image_size == 256
    assert (model.branches, model.pmn, model.head) == ("both", "full", "msn")
    assert model.pyramid_upsampling
    assert model.multi_perception
    assert (model.head_stride, model.smoothing, model.top_k) == (1, 0.0, 100)
    synthesis = config.synthesis
    assert synthesis.fas
    assert not synthesis.margin
    assert synthesis.beta == (0.0, 0.8)
    assert (synthesis.perlin_octave, synthesis.perlin_threshold) == (5, 0.5)
    assert not synthesis.own_textures
    assert not synthesis.match_grey
    assert not config.balanced_aim
    assert not model.residual
    assert not model.frozen_norm


def test_the_default_backbone_is_lite0() -> None:
    assert make().model.backbone == make("paper").model.backbone == "efficientnet_lite0"


@pytest.mark.parametrize("recipe", ["edge", "paper"])
def test_values_given_replace_the_recipes(recipe: Any) -> None:
    config = make(recipe, model={"image_size": 128, "pmn": None}, synthesis={"fas": False}, lr=0.1, seed=None)
    assert config.model.image_size == 128
    assert config.model.pmn == make(recipe).model.pmn
    assert not config.synthesis.fas
    assert config.lr == 0.1
    assert config.seed == 0


@pytest.mark.parametrize("recipe", ["edge", "paper"])
@pytest.mark.parametrize("given", [{"steps": 7}, {"epochs": 3.0}, {"max_minutes": 2.0}])
def test_a_length_given_replaces_the_recipes(recipe: Any, given: dict[str, Any]) -> None:
    config = make(recipe, **given)
    found = {name: getattr(config, name) for name in ("steps", "epochs", "max_minutes")}
    assert {name: value for name, value in found.items() if value is not None} == given


def test_a_time_limit_goes_with_a_length() -> None:
    config = make(steps=7, max_minutes=2.0)
    assert (config.steps, config.epochs, config.max_minutes) == (7, None, 2.0)


def test_steps_and_epochs_together_are_refused() -> None:
    with pytest.raises(DmddError) as error:
        make(steps=7, epochs=2.0)
    assert "--steps" in error.value.message
    assert "--epochs" in error.value.message
    assert error.value.fix


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": {"image_size": 100}}, ["image_size", "100", "multiple of 32"]),
        ({"model": {"image_size": 32}}, ["image_size", "32", "64"]),
        ({"model": {"pmn": "outer"}}, ["pmn", "'outer'", "'inner'", "'full'"]),
        ({"model": {"branch": "both"}}, ["branch", "is unknown"]),
        ({"model": {"head_stride": 2}}, ["head_stride", "2"]),
        ({"model": {"top_k": 3841}}, ["top_k", "3841", "3840"]),
        ({"synthesis": {"foreground": "magic"}}, ["foreground", "'magic'", "'otsu'"]),
        ({"steps": 0}, ["steps", "0", "1"]),
        ({"lr": -1.0}, ["lr", "-1.0", "greater than 0"]),
        ({"holdout": 1.0}, ["holdout", "less than 1"]),
        ({"amp": "fp8"}, ["amp", "'fp8'", "'bf16'"]),
        ({"step": 3}, ["step", "is unknown"]),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_can(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DmddError) as error:
        make(**values)
    assert [word for word in words if word not in error.value.message] == []
    assert error.value.fix


def test_a_configuration_survives_its_file() -> None:
    config = make("paper", weights=Path("w.pth"), synthesis={"textures": Path("dtd")}, model={"head": "sum"})
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
