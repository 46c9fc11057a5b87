"""Names of the images that a run writes: they mirror the source, never repeat, and fit the file system."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePosixPath

from dmdd_edge.data.images import IMAGE_SUFFIXES

#: A component of a shortened name has at most this many bytes. Encrypted home folders allow 143.
_LONGEST_PART = 120
#: A shortened name has at most this many bytes in all; a longer one loses its folders.
_LONGEST_NAME = 1000


def image_name(name: str, suffix: str) -> str:
    """Relative path of the image of a frame: ``a/000.png`` -> ``a/000`` + suffix.

    The suffix is added to other names: ``a/000.jpg`` -> ``a/000.jpg`` + suffix. Different frame names never
    give the same result: a .png name that looks like such an addition (``000.jpg.png``) gets one more.

    Args:
        name: a frame's name, a relative path with ``/``.
        suffix: of the image, for example ``.png``.
    """
    path = PurePosixPath(name)
    looks_added = path.stem.lower().endswith(IMAGE_SUFFIXES)
    plain = path.suffix == ".png" and not looks_added
    return path.with_suffix(suffix).as_posix() if plain else f"{name}{suffix}"


def safe_name(name: str, suffix: str) -> str:
    """Name for an image whose own name the file system rejects: too long, or with unsupported bytes.

    Each component that is longer than 120 bytes or has characters other than letters, digits and ``._-`` is
    replaced by its readable beginning and a digest of it, so different names stay different. The same name
    always gives the same result. A name that is still too long loses its folders.

    Args:
        name: from ``image_name``.
        suffix: of the image; it is kept.
    """
    *folders, file = name.split("/")
    safe = "/".join([*(_shortened(folder, folder) for folder in folders), _shortened(file, file, suffix)])
    return _with_digest(file, name, suffix) if len(safe) > _LONGEST_NAME else safe


def other_name(name: str, suffix: str, mark: str = "") -> str:
    """Another name in the same folder, for an image whose own name is taken.

    Args:
        name: from ``image_name``.
        suffix: of the image; it is kept.
        mark: added to the name; empty for a digest of the name.
    """
    folder, slash, file = name.rpartition("/")
    if mark:
        return f"{folder}{slash}{file.removesuffix(suffix)}-{mark}{suffix}"
    return f"{folder}{slash}{_with_digest(file, name, suffix)}"


def _shortened(part: str, whole: str, suffix: str = "") -> str:
    safe = part.isascii() and all(_is_safe(letter) for letter in part)
    return part if safe and len(part) <= _LONGEST_PART else _with_digest(part, whole, suffix)


def _with_digest(part: str, whole: str, suffix: str) -> str:
    """The readable beginning of a component, a digest of ``whole``, and the suffix."""
    digest = hashlib.blake2b(os.fsencode(whole), digest_size=8).hexdigest()
    readable = "".join(letter if _is_safe(letter) else "_" for letter in part.removesuffix(suffix))
    return f"{readable[: _LONGEST_PART - len(digest) - len(suffix) - 1]}-{digest}{suffix}"


def _is_safe(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in "._-")
