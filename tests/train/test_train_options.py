"""The options of a training check themselves, whoever builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.train.options import TrainOptions

DATA = Path("data")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pyramid_upsampling": False}, "--pu has no effect without --head msn"),
        ({"recipe": "paper", "head": "sum", "multi_perception": True}, "--mm has no effect without"),
        ({"head_steps": 5}, "--head-steps has no effect without --head msn"),
        ({"fas": False, "foreground": "otsu"}, "--foreground has no effect with --no-fas"),
        ({"recipe": "magic"}, "--recipe 'magic' is unknown"),
        ({"steps": "many"}, '--steps is "many"; it must be a whole number'),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"device": "typo"}, "--device 'typo' is unknown."),
        ({"steps": 0}, "--steps is 0; it must be at least 1."),
        ({"image_size": 2048}, "--image-size is 2048; it must be at most 1024."),
        ({"image_size": 100}, "--image-size is 100; it must be a multiple of 32."),
        ({"rotate": 45}, "--rotate is 45; it must be one of 0, 90, 180, 270."),
        ({"bits": 8}, "--bits is 8; it must be one of 10, 12, 14, 16."),
        ({"backbone": "resnet19"}, "--backbone 'resnet19' is unknown."),
        ({"seed": -1}, "--seed is -1; it must be at least 0."),
    ],
)
def test_an_option_that_is_wrong_or_without_effect_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DmddError) as caught:
        TrainOptions(data=DATA, **values)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    "values",
    [
        {"recipe": "paper", "pyramid_upsampling": False},
        {"head": "msn", "head_steps": 5},
        {"resume": True, "head_steps": 5},
    ],
)
def test_an_option_with_its_companion_is_accepted(values: dict[str, Any]) -> None:
    assert TrainOptions(data=DATA, **values).given() == {"data", *values}


TYPO = """
import sys
from pathlib import Path
from dmdd_edge import OptionError, TrainOptions, train_detector
try:
    train_detector(TrainOptions(data=Path("x"), backbone="resnet19"))
except OptionError as error:
    print(error.message)
print(sorted({"torch", "torchvision", "timm"} & set(sys.modules)))
"""


def test_a_typo_is_found_before_torch_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", TYPO], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["--backbone 'resnet19' is unknown.", "[]"]
