"""What a training step costs: a measurement in a process of its own gives numbers that can be true."""

from __future__ import annotations

import pytest

training_cost = pytest.importorskip("training_cost", reason="needs torch")


@pytest.mark.slow
@pytest.mark.long
def test_a_backbone_without_its_weights_is_measured() -> None:
    arguments = ["--image-size", "64", "--batch-size", "1", "--steps", "3", "--device", "cpu"]
    found = training_cost.apart("resnet18", arguments)
    assert 0 < found["seconds_per_step"]["low"] <= found["seconds_per_step"]["median"] < 60
    assert found["minutes_of_default_training"] == pytest.approx(
        20 * found["seconds_per_step"]["median"], abs=0.1
    )
    assert found["peak_mib"] > 100
    assert found["features_mib_per_100_images"] > 0
    assert found["device"] == "cpu"


def test_a_failed_measurement_is_told() -> None:
    with pytest.raises(SystemExit, match="resnet18: the measurement failed"):
        training_cost.apart("resnet18", ["--no-such-option"])
