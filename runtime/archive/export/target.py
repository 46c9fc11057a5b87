"""The folder of an export: whole or not there, and never in place of somebody else's files."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.storage import make_folder, require_writable

#: File in every export; only a folder with it is ever overwritten.
MARKER = "export.json"


@contextmanager
def fresh_folder(target: Path, overwrite: bool) -> Iterator[Path]:
    """An empty folder that becomes ``target`` when the block ends well.

    Args:
        target: missing, empty, or an earlier export.
        overwrite: replace an earlier export.

    Raises:
        OptionError: it holds something else, or an earlier export that must not be replaced.
        StorageError: it cannot be written.
    """
    _check(target, overwrite)
    require_writable(target.parent, "--export")
    make_folder(target.parent)
    with storage_errors(target):
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=target.parent))
    try:
        yield draft
        with storage_errors(target):
            (draft / MARKER).write_text(
                json.dumps({"exported_by": f"dmdd-edge {__version__}"}) + "\n", encoding="utf-8"
            )
            draft.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check(target: Path, overwrite: bool) -> None:
    with storage_errors(target, "used"):
        if not target.exists():
            return
        if not target.is_dir():
            raise OptionError(f"{target} is a file, not a folder.", "Name another folder: --export DIR.")
        if not any(target.iterdir()):
            return
        if not (target / MARKER).is_file():
            raise OptionError(
                f"{target} exists and was not exported by this command, so it is not changed.",
                "Name another folder: --export DIR.",
            )
        if not overwrite:
            raise OptionError(
                f"{target} already exists.", "Replace it with --overwrite, or name another folder."
            )
