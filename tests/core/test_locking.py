"""One writer a folder; readers together; a lock goes with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.locking import locked

HOLDER = """
import sys
from pathlib import Path
from dmdd_edge.errors import DmddError
from dmdd_edge.locking import locked
with locked(Path(sys.argv[1]), DmddError, shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


def busy(holder: str) -> DmddError:
    return DmddError(f"in use by {holder}.")


def hold(folder: Path, how: str) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_second_writer_is_turned_away_until_the_first_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    with hold(folder, "alone") as holder:
        for shared in (False, True):
            with (
                pytest.raises(DmddError, match=f"in use by process {holder.pid} on "),
                locked(folder, busy, shared=shared),
            ):
                pass
        holder.kill()
    with locked(folder, busy):
        pass
    assert not folder.exists()


def test_readers_share_and_keep_a_writer_out(tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    with hold(folder, "shared") as holder:
        with locked(folder, busy, shared=True):
            pass
        with pytest.raises(DmddError, match="in use by another process"), locked(folder, busy):
            pass
        holder.kill()


def test_a_lock_does_not_outlive_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "plate", busy):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [".plate.lock"]


def test_a_reader_needs_no_folder_that_can_be_written(tmp_path: Path) -> None:
    with locked(tmp_path / "gone" / "plate", busy, shared=True):
        pass
    with pytest.raises(DmddError, match="cannot be written"), locked(tmp_path / "gone" / "plate", busy):
        pass
