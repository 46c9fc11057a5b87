"""How the report writes numbers and settings."""

from __future__ import annotations

from typing import Any


def percent(ratio: float | None) -> str:
    """A ratio of 0..1 in percent, as the command line prints it; a dash where it is undefined."""
    return "–" if ratio is None else f"{100 * ratio:.2f}"


def flattened(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted names, in order."""
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            pairs += flattened(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", "–" if value is None else value))
    return pairs
