"""Run the code of an earlier commit of this clone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common

#: The commit whose figures were the first to be published.
FIRST = "362b35b"
_FOLDERS = ("dmdd_edge", "train", "export", "runtime", "benchmarks")


def check_out(commit: str, folder: Path) -> None:
    """Extract the code of a commit with the layout of the installed package.

    Exits with a message when the clone does not contain the commit.
    """
    archive = subprocess.run(
        ["git", "archive", commit, *_FOLDERS], cwd=common.ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        sys.exit(
            f"This clone does not contain commit {commit}.\nFetch the whole history: git fetch --unshallow"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        # The first releases of 3.10 and 3.11 have no filters; the archive is the clone's own.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        files.extractall(folder, **safely)
    for name in ("train", "export", "runtime"):
        inside = folder / "dmdd_edge" / name
        if not inside.is_symlink():  # older code has no links to its stages
            (folder / name).rename(inside)


def run_code(code: Path, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python command with the code that ``check_out`` extracted, including its benchmarks.

    Args:
        code: folder of the code.
        command: the interpreter and its arguments.
        options: of ``subprocess.run``.
    """
    path = os.pathsep.join([str(code), str(code / "benchmarks")])
    # Python searches the working folder first; in the clone that would be the current code.
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=code, text=True, check=False, **options
    )
