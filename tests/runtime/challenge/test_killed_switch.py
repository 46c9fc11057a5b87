"""A change of version that is killed, at each step: the version in use is the one before or the new one."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.challenge.parts import read_set
from tests.runtime.forked import CODE, Forked

#: Runs the program, and kills it at its first access to a file of this name that comes after another one.
KILLED = """
import os, signal, sys
after, at = sys.argv.pop(1), sys.argv.pop(1)
seen = not after
def hook(event, arguments):
    global seen
    text = " ".join(map(str, arguments[:2]))
    if event in ("open", "os.rename", "os.remove", "os.chmod", "os.truncate"):
        if seen and at in f"{event} {text}":
            os.kill(os.getpid(), signal.SIGKILL)
        seen = seen or after in text
sys.addaudithook(hook)
from dmdd_edge.cli.main import main
main()
"""
#: The steps of an accepted change: what was accessed before, and what is accessed then.
STEPS = {
    "": "challenge/index.json",
    "index.json": "challenge/faint.png",
    "faint.png": "challenge/journal.jsonl",
    "journal.jsonl": ".CURRENT-",
    ".CURRENT-": "os.rename",
}


@pytest.mark.slow
@pytest.mark.parametrize("allow", [[], ["--allow-loss"]], ids=["refused", "allowed"])
def test_a_kill_leaves_the_version_before_in_use(
    at_threshold: Callable[..., Bundle], images: Path, tmp_path: Path, forked: Forked, allow: list[str]
) -> None:
    worse, good = at_threshold(0.7), at_threshold(0.5)
    folder = good.path.parent
    add_parts(folder, [images / "faint.png"])
    words = ["models", "use", "screw", worse.version, *allow]

    def call(code: str, *steps: str) -> subprocess.CompletedProcess[str]:
        return forked.run([*steps, *words], tmp_path, 120, code)

    def state() -> tuple[str, list[str], list[Any]]:
        current = (folder / "CURRENT").read_text().strip()
        parts = [part.name for part in read_set(folder).parts if read_set(folder).problem(part) is None]
        journal = folder / "challenge" / "journal.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return current, parts, [json.loads(line)["lost"] for line in lines]

    killed = 0
    for after, at in STEPS.items():
        done = call(KILLED, after, at)
        killed += done.returncode == -signal.SIGKILL
        current, parts, lost = state()
        assert current == good.version
        assert parts == ["faint"]
        # Recorded before it is done: a loss without its line cannot be.
        assert all(line == ["faint"] for line in lost)
        assert not lost or allow
    assert killed == (len(STEPS) if allow else 2)  # a refused change accesses nothing after the images
    done = call(CODE)
    assert done.returncode == (0 if allow else 1), done.stderr
    assert state()[0] == (worse if allow else good).version
    assert not list(folder.glob(".CURRENT*")) or allow
    Bundle.load(folder)
