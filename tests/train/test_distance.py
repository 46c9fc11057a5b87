"""The cosine distance and the student's losses against hand-computed values and numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dmdd_edge.train.distance import aim_loss, cosine_distance, ngm_loss, stage_masks


def pixels(*vectors: tuple[float, ...]) -> torch.Tensor:
    """One image, one row: a pixel per vector, 1 x C x 1 x P."""
    return torch.tensor(vectors).T[None, :, None, :]


def test_distance_of_hand_made_vectors() -> None:
    a = pixels((1, 0), (1, 0), (1, 0), (3, 4), (1, 0))
    b = pixels((5, 0), (0, 2), (-1, 0), (4, 3), (1, 1))
    # parallel, orthogonal, opposite, cos = 24 / 25, 45 degrees
    expected = [[[0.0, 1.0, 2.0, 0.04, 1 - 0.5**0.5]]]
    np.testing.assert_allclose(cosine_distance(a, b).numpy(), expected, atol=2e-6)


def test_distance_is_one_minus_the_cosine() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 7, 5, 4))
    cosine = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found = cosine_distance(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    assert found.shape == (3, 5, 4)
    np.testing.assert_allclose(found.numpy(), 1 - cosine, atol=1e-5)


def test_distance_does_not_depend_on_the_vectors_lengths() -> None:
    a, b = torch.randn(2, 1, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(cosine_distance(40.0 * a, 0.5 * b), cosine_distance(a, b), atol=1e-5, rtol=0)


def test_small_angles_keep_their_digits() -> None:
    """1 - cos in float32 would be off by up to a tenth here; distance = angle^2 / 2."""
    angle = 1e-3
    found = cosine_distance(pixels((1.0, 0.0)), pixels((float(np.cos(angle)), float(np.sin(angle)))))
    assert found.item() == pytest.approx(angle**2 / 2, rel=2e-3)


def test_half_precision_features_are_compared_in_float32() -> None:
    # 300^2 * 4 overflows float16.
    a, b = torch.full((2, 1, 4, 1, 1), 300.0, dtype=torch.float16)
    b = b * torch.tensor([1, 1, 1, -1], dtype=torch.float16).view(1, 4, 1, 1)
    found = cosine_distance(a, b)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(0.5, abs=1e-5)  # cos = (3 - 1) / 4


def test_a_zero_vector_gives_a_finite_distance_and_gradient() -> None:
    zero = torch.zeros(1, 3, 1, 1, requires_grad=True)
    distance = cosine_distance(zero, torch.ones(1, 3, 1, 1))
    distance.sum().backward()
    assert torch.isfinite(distance).all()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()


def test_ngm_sums_both_images_and_averages_stages() -> None:
    teacher = [pixels((1, 0), (1, 0)), *(pixels((1, 0)) for _ in range(3))]
    of_normal = [pixels((1, 0), (0, 1)), pixels((-1, 0)), pixels((0, 1)), pixels((2, 0))]
    of_anomalous = [pixels((1, 0), (-1, 0)), pixels((1, 0)), pixels((0, 3)), pixels((1, 0))]
    # Stage 1: mean over two pixels of 0 + 0 and 1 + 2; stage 2: 2 + 0; stage 3: 1 + 1; stage 4: 0.
    expected = (1.5 + 2.0 + 2.0 + 0.0) / 4
    assert ngm_loss(teacher, of_normal, of_anomalous).item() == pytest.approx(expected, abs=1e-5)


def test_aim_wants_near_where_normal_and_far_where_anomalous() -> None:
    teacher = [pixels((1, 0), (1, 0), (1, 0)), pixels((1, 0)), pixels((1, 0)), pixels((1, 0))]
    student = [pixels((1, 0), (0, 1), (-1, 0)), pixels((1, 0)), pixels((0, 1)), pixels((-1, 0))]
    masks = [torch.tensor([[[1.0, 1.0, 1.0]]]), None, torch.ones(1, 1, 1), torch.zeros(1, 1, 1)]
    # Stage 1: |0 - 1|, |1 - 1|, |2 - 1|; stage 2: normal and near: 0; stage 3: |1 - 1|; stage 4: |2 - 0|.
    expected = (2 / 3 + 0.0 + 0.0 + 2.0) / 4
    assert aim_loss(teacher, student, masks).item() == pytest.approx(expected, abs=1e-5)


def test_balanced_aim_weighs_anomalous_and_normal_pixels_alike() -> None:
    teacher = [pixels((1, 0), (1, 0), (1, 0), (1, 0), (1, 0))]
    student = [pixels((1, 0), (0, 1), (1, 0), (0, 1), (-1, 0))]  # distances 0, 1, 0, 1, 2
    masks: list[torch.Tensor | None] = [torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0]]])]
    # One anomalous pixel off by 1; four normal ones off by 1, 0, 1, 2.
    assert aim_loss(teacher, student, masks, balanced=True).item() == pytest.approx((1 + 4 / 4) / 2, abs=1e-5)
    assert aim_loss(teacher, student, masks).item() == pytest.approx((1 + 4) / 5, abs=1e-5)
    # Where a stage's mask came out empty there is no anomalous pixel to average.
    empty: list[torch.Tensor | None] = [torch.zeros(1, 1, 5)]
    assert aim_loss(teacher, student, empty, balanced=True).item() == pytest.approx(0.5 * 4 / 5, abs=1e-5)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0, [1, 1, 1, 1]), (0.25, [0, 1, 1, 1]), (0.3, [0, 1, 1, 1]), (0.5, [0, 0, 0, 1])],
)
def test_a_cell_is_anomalous_above_the_threshold_of_its_area(threshold: float, expected: list[int]) -> None:
    mask = torch.zeros(1, 8, 8)
    mask[0, :2, :2] = 1  # 4 of 16 pixels of the first cell
    mask[0, 0, 4:8] = 1  # 5 of 16 pixels of the second
    mask[0, 1, 4] = 1
    mask[0, 4:6, :4] = 1  # 8 of 16 pixels of the third
    mask[0, 4:, 4:] = 1  # all of the fourth
    [found] = stage_masks(mask, [torch.zeros(1, 9, 2, 2)], threshold)
    assert found.dtype == torch.float32
    assert found[0].flatten().tolist() == expected


def test_stage_masks_follow_each_stages_size() -> None:
    mask = torch.zeros(2, 16, 16)
    mask[1, 4:8, 8:12] = 1
    fine, coarse = stage_masks(mask, [torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 2, 2)], 0.2)
    assert fine.nonzero().tolist() == [[1, 1, 2]]
    assert coarse.nonzero().tolist() == [[1, 0, 1]]
