"""Chooses the places that are INT8: as many as the limits allow, within a bounded number of measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dmdd_edge.export.int8.measure import Loss

#: Share of the limits that the choice may use. The images that decide are others than those chosen by.
MARGIN = 0.5


@dataclass(frozen=True)
class Step:
    """One choice that was measured.

    Attributes:
        half: number of places in half precision.
        loss: what it costs.
        holds: whether that is within the limits.
    """

    half: int
    loss: Loss
    holds: bool


def fewest_in_half(
    order: Sequence[str], measure: Callable[[Sequence[str]], tuple[Loss, bool]]
) -> tuple[int, list[Step]]:
    """How many places go back to half precision, from the front of ``order``, until the limits hold.

    First none; then by halving the interval, so about log2(n) measurements. The loss is taken to fall with
    each place that goes back, which holds but for noise.

    Args:
        order: the places, worst first.
        measure: the loss with these places in INT8, and whether it is within the limits.

    Returns:
        the number of places in half, ``len(order)`` where no choice holds; and what was measured.
    """
    steps: list[Step] = []

    def holds(count: int) -> bool:
        loss, fine = measure(order[count:])
        steps.append(Step(count, loss, fine))
        return fine

    if holds(0):
        return 0, steps
    fails, works = 0, len(order)
    while works - fails > 1:
        middle = (fails + works) // 2
        if holds(middle):
            works = middle
        else:
            fails = middle
    return works, steps
