"""Finds image files with identical content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from dmdd_edge.data.datasets.category import Category
from dmdd_edge.data.datasets.remarks import count

#: Bytes compared before a whole file is read.
_START = 1 << 16
#: Size of files that are read whole for their fingerprint.
_WHOLE = 4 << 20


def repeats(category: Category) -> list[str]:
    """Lines on images that occur more than once, one per kind.

    Files are compared by size, then by their beginning, and read as a whole only where both are equal.
    """
    train = set(category.train)
    tests = {item.path for item in category.test}
    lines = []
    twins = same_content([*category.train, *tests])
    again = sum(max(0, sum(path in train for path in group) - 1) for group in twins)
    if again:
        have = "has" if again == 1 else "have"
        lines.append(
            f"{again} of {count(len(train), 'training image')} {have} the same content as another one; "
            "a copy teaches nothing new, and makes the threshold too low where it is held out"
        )
    leaked = sorted(
        path for group in twins if any(path in train for path in group) for path in group if path in tests
    )
    if leaked:
        are = "is" if len(leaked) == 1 else "are"
        first = f"{leaked[0].parent.name}/{leaked[0].name}"
        lines.append(
            f"{count(len(leaked), 'test image')} {are} also among the training images (the first: {first}), "
            "so the figures are better than on new parts"
        )
    return lines


def same_content(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files with the same content, at least two each; a file that cannot be read is in none."""
    keys: tuple[Callable[[Path], Hashable], ...] = (
        lambda path: path.stat().st_size,
        lambda path: _digest(path, _START),
        lambda path: _digest(path, -1),
    )
    groups = [list(paths)]
    for key in keys:
        groups = [part for group in groups for part in _split(group, key)]
    return groups


def _split(paths: list[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    parts: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            parts[key(path)].append(path)
        except OSError:  # gone or unreadable: named where it is read
            continue
    return [part for part in parts.values() if len(part) > 1]


def digest_of(path: Path) -> str:
    """What a file's content is known by, in hex; empty when it cannot be read."""
    try:
        return _digest(path, -1).hex()
    except OSError:
        return ""


def fingerprint_of(path: Path) -> str:
    """What tells a file from others: its content, of a large one its size, beginning, middle and end.

    Empty when it cannot be read.
    """
    try:
        size = path.stat().st_size
        if size <= _WHOLE:
            return digest_of(path)
        digest = hashlib.blake2b(str(size).encode(), digest_size=16)
        with path.open("rb") as file:
            for start in (0, (size - _START) // 2, size - _START):
                file.seek(start)
                digest.update(file.read(_START))
    except OSError:
        return ""
    return digest.hexdigest()


def _digest(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(most), digest_size=16).digest()
