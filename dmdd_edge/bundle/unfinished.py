"""Folders of versions that were being written when their writer was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

#: Folders that a writer has not finished start with this; a leading dot is what listings ignore.
UNFINISHED_PREFIX = ".unfinished-"

#: An unlocked unfinished folder is only taken for abandoned at this age, in seconds: its writer may be
#: between making the folder and locking it.
_ABANDONED_AFTER = 60.0


def remove_abandoned(folder: Path) -> None:
    """Remove what writers left behind that were killed."""
    for entry in folder.glob(f"{UNFINISHED_PREFIX}*"):
        try:
            if time.time() - entry.stat().st_mtime < _ABANDONED_AFTER:
                continue
            handle = os.open(entry, os.O_RDONLY)
        except OSError:
            continue  # gone meanwhile, or not ours to touch
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry, ignore_errors=True)
        except OSError:
            pass  # its writer is alive
        finally:
            os.close(handle)
