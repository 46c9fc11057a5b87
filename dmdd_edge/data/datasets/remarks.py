"""Lines about files that were not used, or used with a reservation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def summarize(files: Sequence[tuple[Path, str]], shown: int = 3) -> str:
    """Files that were skipped or noted, in one clause: the count, the first few names, their reasons."""
    listed = ", ".join(f"{_short(path)} ({reason})" for path, reason in files[:shown])
    more = f" and {len(files) - shown} more" if len(files) > shown else ""
    return f"{count(len(files), 'file')}: {listed}{more}"


def grouped(files: Sequence[tuple[Path, str]], shown: int = 3) -> list[str]:
    """One line per reason: how many files it concerns and the first few of their names."""
    reasons: dict[str, list[Path]] = {}
    for path, reason in files:
        reasons.setdefault(reason, []).append(path)
    lines = []
    for reason, paths in reasons.items():
        more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
        names = ", ".join(_short(path) for path in paths[:shown])
        lines.append(f"{count(len(paths), 'file')}: {reason}: {names}{more}")
    return lines


def count(number: int, noun: str) -> str:
    """The number with its noun, in the plural where there are several."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
