"""What the cells of a drawn panel hold: holes, a label, slots, screws, a pocket, a scale, or nothing.

Each function draws one cell with its upper left corner at ``at``, in pixels of the part; ``number`` is the
cell's, which decides what is the same in all parts, and the generator draws what varies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmdd_edge.sample.panel_layers import NEUTRAL, Layers, Pen, rounded

#: Side of a cell, in pixels.
CELL = 256

At = tuple[float, float]


def holes(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """Rows of countersunk holes 14 pixels wide."""
    for step_y in range(7):
        for step_x in range(7):
            jitter = rng.normal(0, 0.4, 2)
            center = at[0] + 32 * (step_x + 1) + jitter[0], at[1] + 32 * (step_y + 1) + jitter[1]
            pen.circle(layers.relief, center, 9.5, NEUTRAL - 40)
            pen.circle(layers.solid, center, 7 + rng.normal(0, 0.15), 0)


def label(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """A printed label: lines of digits, the same in all parts, and the part's serial number."""
    pen.area(layers.ink, rounded(at[0] + 20, at[1] + 40, 216, 176, 8), 186)
    fixed = np.random.default_rng(number)
    for line in range(6):
        digits = "".join(map(str, (rng if line == 5 else fixed).integers(0, 10, 16)))
        pen.number(layers.ink, digits, (at[0] + 34, at[1] + 54 + 26 * line), 16, 50)


def slots(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """Louvers: narrow slots with a raised edge."""
    for index in range(9):
        x = at[0] + 24 + 24 * index + rng.normal(0, 0.3)
        pen.area(layers.relief, rounded(x - 3, at[1] + 29, 14, 198, 7), NEUTRAL + 45)
        pen.area(layers.solid, rounded(x, at[1] + 32, 8, 192, 4), 0)


def screws(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """A screw at any angle among four rivets."""
    middle = at[0] + CELL / 2, at[1] + CELL / 2
    pen.circle(layers.relief, middle, 44, NEUTRAL + 30)
    pen.circle(layers.ink, middle, 36, 84)
    turn = rng.uniform(0, np.pi / 2)
    arm = 22 * np.array([np.cos(turn), np.sin(turn)])
    for direction in (arm, arm[::-1] * (-1, 1)):
        pen.lines(layers.ink, [np.array([middle - direction, middle + direction])], 34, 7)
    for x in (48, CELL - 48):
        for y in (48, CELL - 48):
            spot = at[0] + x + rng.normal(0, 0.4), at[1] + y + rng.normal(0, 0.4)
            for radius in (12, 10, 8):
                pen.circle(layers.relief, spot, radius, NEUTRAL + 6 * (14 - radius))


def pocket(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """A milled pocket with tool marks 6 pixels apart, whose phase varies."""
    pen.area(layers.relief, rounded(at[0] + 24, at[1] + 24, 208, 208, 30), NEUTRAL - 50)
    phase = rng.uniform(0, 6)
    angle = np.linspace(0, 2 * np.pi, 49)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    middle = np.array([at[0] + CELL / 2, at[1] + CELL / 2])
    rings = [middle + (6 * index + phase) * circle for index in range(2, 16)]
    pen.lines(layers.relief, rings, NEUTRAL - 42, 2)


def scale(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """An engraved scale: ticks 8 pixels apart with numbers."""
    for row in range(3):
        y = at[1] + 48 + 64 * row
        ticks = [
            np.array([[x, y], [x, y + (20 if index % 5 == 0 else 11)]])
            for index, x in enumerate(at[0] + 24 + 8.0 * np.arange(27))
        ]
        for layer, value in ((layers.relief, NEUTRAL - 60), (layers.ink, 96)):
            pen.lines(layer, ticks, value)
        for index in range(0, 27, 5):
            text = f"{(5 * index + 30 * row + 7 * number) % 100:02d}"
            pen.number(layers.ink, text, (at[0] + 18 + 8 * index, y + 26), 11, 84)


def plain(layers: Layers, pen: Pen, at: At, number: int, rng: np.random.Generator) -> None:
    """Bare metal."""


CELLS: tuple[Callable[[Layers, Pen, At, int, np.random.Generator], None], ...] = (
    holes,
    label,
    slots,
    screws,
    plain,
    pocket,
    scale,
)
