from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from dmdd_edge.runtime.bench.statistics import Spread, above, fewest
from dmdd_edge.runtime.latencies import FEWEST_FRAMES


@pytest.mark.parametrize(("share", "count"), [(0.9, 64), (0.99, 662), (0.999, 6636)])
def test_mlperfs_published_minimum_counts(share: float, count: int) -> None:
    assert fewest(share) == count


def test_the_same_counts_as_the_summary_of_a_run() -> None:
    assert {name: FEWEST_FRAMES[name] for name in ("p90", "p99")} == {"p90": fewest(0.9), "p99": fewest(0.99)}


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_the_minimum_is_where_one_exceeding_value_becomes_rare(share: float) -> None:
    def all_but_one_below(count: int) -> float:
        return math.fsum(math.comb(count, k) * (1 - share) ** k * share ** (count - k) for k in (0, 1))

    assert all_but_one_below(fewest(share)) <= 0.01 < all_but_one_below(fewest(share) - 1)


@pytest.mark.parametrize("count", [5, 64, 100, 1000, 20_000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_the_bounds_rank_against_scipys_binomial(count: int, share: float) -> None:
    rare = np.flatnonzero(binom.cdf(np.arange(count), count, 1 - share) <= 0.01)
    assert above(count, share) == (rare.max() if len(rare) else 0)


def test_percentiles_are_values_that_were_seen() -> None:
    spread = Spread.of(np.random.default_rng(0).permutation(np.arange(1.0, 701.0)))
    assert spread.percentiles == {"p50": 350, "p90": 630, "p95": 665, "p99": 693, "p99.9": None}
    assert (spread.count, spread.mean, spread.low, spread.high) == (700, 350.5, 1, 700)
    assert spread.median == 350


def test_the_rank_of_an_exact_product_is_not_rounded_up() -> None:
    # 0.9 * 70 is a hair more than 63 in floating point.
    assert Spread.of(np.arange(1.0, 71.0)).percentiles["p90"] == 63


def test_too_few_values_give_no_percentile() -> None:
    spread = Spread.of([3.0] * 63)
    assert spread.percentiles == {"p50": 3, "p90": None, "p95": None, "p99": None, "p99.9": None}
    assert Spread.of([3.0] * 10).median is None
    assert spread.as_dict() == {
        "p50": 3, "p90": None, "p95": None, "p99": None, "p99.9": None,
        "mean": 3, "min": 3, "max": 3, "count": 63,
    }  # fmt: skip


def test_a_bound_is_the_largest_value_at_the_minimum_count_and_holds() -> None:
    assert Spread.of(np.arange(64.0)).bounds["p90"] == 63
    rng, true = np.random.default_rng(1), -math.log(0.1)
    held = [Spread.of(rng.exponential(size=300)).bounds["p90"] >= true for _ in range(500)]
    assert np.mean(held) > 0.98
