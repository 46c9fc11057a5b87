"""Optional packages of a stage: an error that says what to install when one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dmdd_edge.errors import BackendError


@contextmanager
def need(extra: str) -> Iterator[None]:
    """Wrap the imports of a stage.

    Args:
        extra: the extra that installs what the stage needs.

    Raises:
        BackendError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dmdd_edge"):
            raise
        raise BackendError(
            f"The package {error.name} is needed and not installed here.",
            f"Install it: pip install 'dmdd-edge[{extra}]' (from a clone: pip install '.[{extra}]')",
        ) from None
