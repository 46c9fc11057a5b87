"""Other maps from finished networks: lengths against numpy, mixes against the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accuracy.lengths import lengths
from accuracy.other_maps import Mixer, error
from torch import Tensor

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.distance import cosine_distance
from dmdd_edge.train.head import ScaledHead

SIZE = 64


def pair(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    teacher = 4 + torch.randn(2, 3, 4, 4, generator=generator) * torch.tensor([1.0, 5.0, 0.5])[:, None, None]
    return teacher, teacher + 0.5 + torch.randn(2, 3, 4, 4, generator=generator)


def rows(feature: Tensor) -> np.ndarray:
    return feature.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()


def test_lengths_by_hand() -> None:
    good, (teacher, student) = [pair(1), pair(2)], pair(3)
    made = lengths(good)
    seen = np.concatenate([rows(t) for t, _ in good])
    differences = np.concatenate([rows(t - s) for t, s in good])
    new = rows(teacher - student)

    def shrunk(values: np.ndarray) -> np.ndarray:
        covariance = np.cov(values, rowvar=False, bias=True)
        return covariance + 0.01 * np.trace(covariance) / 3 * np.eye(3)

    away = new - differences.mean(0)
    expected = {
        "squared difference": (new**2).mean(1),
        "scaled by the teacher's deviations": (new**2 / shrunk(seen).diagonal()).mean(1),
        "scaled by the difference's deviations": (away**2 / shrunk(differences).diagonal()).mean(1),
        "Mahalanobis, covariance of the teacher": np.einsum(
            "ni,ij,nj->n", new, np.linalg.inv(shrunk(seen)), new
        )
        / 3,
        "Mahalanobis, covariance of the difference": np.einsum(
            "ni,ij,nj->n", away, np.linalg.inv(shrunk(differences)), away
        )
        / 3,
    }
    torch.testing.assert_close(made["cosine"](teacher, student), cosine_distance(teacher, student))
    assert set(made) == {"cosine", *expected}
    for name, values in expected.items():
        np.testing.assert_allclose(made[name](teacher, student).flatten().numpy(), values, rtol=1e-4)


def stacks(seed: int, count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    names = {"normality cosine": 4, "abnormality cosine": 4, "density": 3}
    return {name: torch.rand(count, maps, 16, 16, generator=generator) for name, maps in names.items()}


def test_a_mix_of_the_heads_own_maps_is_the_heads_map() -> None:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=SIZE, density="auto"))
    head.drop_lengths()
    good, new = stacks(1, 6), stacks(2, 3)
    head.fit(head.peaks(torch.cat(list(good.values()), 1)))
    head.weigh((1.0, 1.0, 0.5, 0.0), 0.6, 0.25)
    cosine = [("normality cosine", 1.0), ("abnormality cosine", 1.0)]
    mixer = Mixer(head, good)
    mixed = mixer.mix(new, cosine, ((1.0, 1.0, 0.5, 0.0), 0.6, 0.25))
    expected = head.map(torch.cat(list(new.values()), 1))[:, 0]
    torch.testing.assert_close(mixed / (mixed + 2.0), expected)
    halves = [(name, 0.5) for name, _ in cosine * 2]
    torch.testing.assert_close(mixer.mix(new, halves, ((1.0, 1.0, 0.5, 0.0), 0.6, 0.25)), mixed)


def test_the_error_counts_each_kind_equally() -> None:
    kinds = {"spot": [0.7, 0.99, 0.97], "warp": [0.9, 0.9, 0.74]}  # 0.04 and 0.36
    assert error(kinds) == pytest.approx(0.12, abs=1e-5)
