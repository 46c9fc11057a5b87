"""Weights chosen by known-bad parts: only where parts that did not choose them gain by the margin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.known_bad_choice import Choice, choose_by_known_bad, cross_validated, describe
from dmdd_edge.train.scales import MapChoice

Values = NDArray[np.float64]


def share_below(bad: float, good: Values) -> float:
    return float(np.mean([(each < bad) + 0.5 * (each == bad) for each in good]))


def by_hand(bad: Values, good: Values) -> tuple[int, float, float]:
    """Leave-one-out, written out."""
    candidates, parts = bad.shape
    listed = [[share_below(bad[c, p], good[c]) for p in range(parts)] for c in range(candidates)]
    shares = np.round(np.array(listed), 12)  # of exactly equal candidates the first is taken
    after = []
    for part in range(parts):
        others = np.round(np.delete(shares, part, axis=1).sum(1), 9)
        after.append(shares[int(others.argmax()), part])
    return int(np.round(shares.sum(1), 9).argmax()), float(shares[0].mean()), float(np.mean(after))


def test_cross_validation_is_that_of_leaving_one_out() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        bad, good = rng.integers(0, 12, (4, 9)).astype(float), rng.integers(0, 9, (4, 13)).astype(float)
        best, before, after, error = cross_validated(bad, good)
        assert (best, pytest.approx(before), pytest.approx(after)) == by_hand(bad, good)
        assert error >= 0


def test_candidates_that_fit_single_parts_gain_nothing() -> None:
    """Each candidate sees one part and no other: chosen by the others, it is of no use to that part."""
    parts = 8
    bad, good = np.zeros((parts + 1, parts)), np.full((parts + 1, 10), 0.5)
    bad[0] = 0.6
    bad[np.arange(1, parts + 1), np.arange(parts)] = 1.0
    best, before, after, _ = cross_validated(bad, good)
    assert (best, before, after) == (0, 1.0, 1.0)


def head() -> ScaledHead:
    made = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64))
    made.fit(torch.rand(6, made.channels) * 0.2 + 0.9)
    return made


def stacked(count: int, seen_by: int | None, generator: torch.Generator) -> torch.Tensor:
    """Maps of noise; one of them is high in a spot."""
    maps = torch.rand(count, 8, 16, 16, generator=generator) * 0.1 + 0.9
    if seen_by is not None:
        maps[:, seen_by, 4:9, 4:9] += 0.5
    return maps


CHOSEN = MapChoice((1.0, 1.0, 2.0, 0.5), 0.3, [], 0)


def test_a_branch_that_alone_finds_the_parts_gets_more_weight() -> None:
    generator, made = torch.Generator().manual_seed(1), head()
    made.weigh(CHOSEN.stages, CHOSEN.abnormality)
    # Noise in the other maps hides what the finest map of the abnormality branch finds.
    bad, good = stacked(12, 4, generator), stacked(12, None, generator)
    for maps in (bad, good):
        maps[:, 3] += torch.rand(12, 1, 1, generator=generator) * 1.5
    choice = choose_by_known_bad(made, [bad[:5], bad[5:]], [good], CHOSEN)
    said = choice.known_bad["score"]
    assert said["changed"]
    assert said["after"] - said["before"] >= 0.02
    assert said["stages"][3] < CHOSEN.stages[3] or said["abnormality"] > CHOSEN.abnormality
    assert "share" in {name for name, _ in made.named_buffers()} & set(made.state_dict())
    torch.testing.assert_close(made.share, made.score_share(said["stages"], said["abnormality"], 0.0))
    share = made.map_weights(choice.stages, choice.abnormality, 0.0, 0.0)
    torch.testing.assert_close(made.map_share, share)


def test_parts_like_good_ones_change_nothing() -> None:
    generator, made = torch.Generator().manual_seed(2), head()
    made.weigh(CHOSEN.stages, CHOSEN.abnormality)
    before = made.share.clone(), made.map_share.clone()
    bad, good = stacked(10, None, generator), stacked(40, None, generator)
    choice = choose_by_known_bad(made, [bad], [good], CHOSEN)
    assert not choice.known_bad["score"]["changed"]
    assert not choice.known_bad["map"]["changed"]
    assert (choice.stages, choice.abnormality) == (CHOSEN.stages, CHOSEN.abnormality)
    torch.testing.assert_close(made.share, before[0])
    torch.testing.assert_close(made.map_share, before[1])
    assert "share" not in made.state_dict()  # it is that of the configuration


def test_weights_that_the_configuration_sets_stay() -> None:
    generator = torch.Generator().manual_seed(1)
    set_by_hand = (1.0, 2.0, 3.0, 4.0)
    made = ScaledHead(
        ModelConfig(
            backbone="timm:test_efficientnet",
            image_size=64,
            stage_weights=set_by_hand,
            abnormality_weight=0.5,
        )
    )
    made.fit(torch.rand(6, made.channels) * 0.2 + 0.9)
    before = made.share.clone(), made.map_share.clone()
    # The one map that finds the parts has little weight, so another choice would be better.
    bad, good = stacked(12, 0, generator), stacked(12, None, generator)
    for maps in (bad, good):
        maps[:, 3] += torch.rand(12, 1, 1, generator=generator) * 1.5
    chosen = MapChoice(set_by_hand, 0.5, [], 0)
    choice = choose_by_known_bad(made, [bad], [good], chosen)
    assert (choice.stages, choice.abnormality) == (set_by_hand, 0.5)
    assert not any(said["changed"] for said in choice.known_bad.values())
    torch.testing.assert_close(made.share, before[0])
    torch.testing.assert_close(made.map_share, before[1])


def test_the_line_for_a_person() -> None:
    facts = {
        **vars(Choice(False, 0.5, 0.515, 0.1, (1.0, 1.0, 2.0, 0.5), 0.3)),
        "stages": [1.0, 1.0, 2.0, 0.5],
    }
    assert describe("score", facts) == (
        "weights of the score: those of synthetic damage stay (50.0 % of good parts score lower than a "
        "known-bad part; with weights chosen by the others 51.5 %)"
    )
    assert describe("map", {**facts, "changed": True}).startswith(
        "weights of the map, chosen by known-bad parts: stages 1, 1, 2, 0.5; abnormality branch 0.3 ("
    )
