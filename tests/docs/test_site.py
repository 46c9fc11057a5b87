"""The site is built strictly: a broken link, anchor or reference fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="no MkDocs Material here (pip install '.[dev]')")
    pytest.importorskip("mkdocstrings", reason="no mkdocstrings here (pip install '.[dev]')")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    page = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert 'id="dmdd-edge-train"' in page
    assert "--false-alarm-rate" in page
