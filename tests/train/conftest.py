"""What the tests of trainings share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmdd_edge.train import scales


@pytest.fixture(scope="module", autouse=True)
def few_damaged_images() -> Iterator[None]:
    """Choose the weights of a scaled head by few damaged images: they take most of a short training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scales, "_COUNT", scales._LEAST)
        yield
