"""The operands of ``compare``: a category, one of its versions, or a folder."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.bundle.versions import find_version, match_version
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.backends.selection import AUTO, BACKENDS
from dmdd_edge.workspace import list_bundles

_FORMS = (
    "Give a category, whose version in use is taken (screw), one of its versions or the start of its name "
    "(screw@20261124), or a bundle's folder (models/screw)."
)


def find_operand(text: str, models_dir: Path) -> Path:
    """The folder of the version that an operand names.

    Args:
        text: ``CATEGORY``, ``CATEGORY@VERSION``, or a folder of a version or a category.
        models_dir: where the categories are.

    Raises:
        OptionError: it names none of these.
        BundleError: the category has no such version, or none is in use.
    """
    bundle, separator, version = text.rpartition("@")
    if not separator or Path(text).is_dir():
        bundle, version = text, ""
    elif version in (AUTO, *BACKENDS):
        raise OptionError(
            f"{text}: {version} is a backend, and what follows @ is a version.",
            f"Choose the backend of both versions with --backend {version}.",
        )
    known = list_bundles(models_dir)
    if Path(bundle).is_dir():
        folder = Path(bundle)
    elif bundle in known:
        folder = models_dir / bundle
    else:
        held = ", ".join(known) or "no bundle"
        raise OptionError(f"{text or 'An empty text'} names no bundle ({models_dir}/ holds: {held}).", _FORMS)
    return folder / match_version(folder, version) if version else find_version(folder)
