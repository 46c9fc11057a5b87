"""Code of an earlier commit comes from the repository's history, importable like the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import common
import pytest
from past_code import FIRST, check_out


def known(commit: str) -> bool:
    command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, cwd=common.ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("commit", ["HEAD", FIRST])
def test_code_of_a_commit_is_imported_instead_of_todays(tmp_path: Path, commit: str) -> None:
    if not known(commit):
        pytest.skip(f"this clone lacks the commit {commit}")
    check_out(commit, tmp_path)
    printed = subprocess.run(
        [sys.executable, "-c", "import dmdd_edge.train.config as c; print(c.__file__)"],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(printed.stdout.strip()) == tmp_path / "dmdd_edge" / "train" / "config.py"


def test_a_clone_without_the_commit_names_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="fetch"):
        check_out("0" * 40, tmp_path)
