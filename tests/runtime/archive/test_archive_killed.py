"""An archive whose writer is killed at any moment holds whole records only."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.room import room_of
from tests.runtime.archive.kept import files_in, image_of, opened

ROOT = Path(__file__).resolve().parents[3]


def test_a_kill_at_any_moment_leaves_whole_records_and_the_next_start_clears_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for attempt in range(5):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.archive.killed_archive", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"started\n"
            time.sleep(0.02 * attempt)
            writer.kill()
        archive = ArchiveFolder(folder)
        names = {path.name for path in (folder / "kept").rglob("*.json") if not path.name.startswith(".")}
        records = list(archive.records())
        assert {f"{record.id}.json" for record in records} == names, "each record can be read"
        for record in records:
            np.testing.assert_array_equal(archive.image(record), image_of(record.index % 7, (64, 64)))
            assert archive.map(record) is not None
        assert len(files_in(folder)) <= 3 * len(records) + 3, "at most one that was being written or deleted"
        opened(folder, archive_size=1_000_000).close()
        assert len(files_in(folder)) == 3 * len(records)
    size = sum(room_of(path.stat().st_size) for path in (folder / "kept").rglob("*") if path.is_file())
    assert 0 < size <= 1_000_000
