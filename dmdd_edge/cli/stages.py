"""Loading a stage, with an error that says what to install when its packages are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dmdd_edge.errors import DmddError


@contextmanager
def need(extra: str) -> Iterator[None]:
    """Wrap the imports of a stage.

    Args:
        extra: the extra of the package that installs what the stage needs.

    Raises:
        DmddError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dmdd_edge"):
            raise
        raise DmddError(
            f"this command needs the package {error.name}, which is not installed here",
            fix=f"pip install 'dmdd-edge[{extra}]' (from a clone: pip install '.[{extra}]')",
        ) from None
