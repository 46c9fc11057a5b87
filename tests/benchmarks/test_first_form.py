"""The first form's code comes from the repository's history, laid out as it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import common
import pytest

first_form = pytest.importorskip("first_form", reason="needs onnx, torch and ONNX Runtime")


def known(commit: str) -> bool:
    asked = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(asked, cwd=common.ROOT, capture_output=True, check=False).returncode == 0


def test_code_of_a_commit_is_imported_instead_of_todays(tmp_path: Path) -> None:
    if not known("HEAD"):
        pytest.skip("not a clone")
    first_form.check_out("HEAD", tmp_path)
    found = subprocess.run(
        [sys.executable, "-c", "import dmdd_edge.train.config as c; print(c.__file__)"],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == tmp_path / "dmdd_edge" / "train" / "config.py"


def test_a_clone_without_the_commit_is_told_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="fetch"):
        first_form.check_out("0" * 40, tmp_path)
