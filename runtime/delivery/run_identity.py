"""Identity of a run over files: it stays the same when the run is killed and resumed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.storage import write_atomically

_FORM = re.compile(r"[0-9a-f]{32}")
_LONGEST = 200  # bytes


@dataclass(frozen=True)
class RunIdentity:
    """Prefix of the ids of a run's messages.

    Attributes:
        name: globally unique; the same in each start of a resumed run.
        path: hidden file beside the results file that stores the name.
    """

    name: str
    path: Path

    def keep(self) -> None:
        """Store the name, once the results file belongs to this run.

        Raises:
            OSError: it cannot be written.
        """
        if self.path.parent.is_dir():
            write_atomically(self.path, self.name + "\n")


def run_identity(results: Path, resumed: bool) -> RunIdentity:
    """The identity of the run that writes a results file.

    Args:
        results: ``--jsonl`` or ``--csv``.
        resumed: the run continues an earlier one, whose name is used if it is known.
    """
    real = Path(os.path.realpath(results))
    # The hidden name must fit too if that of the results file has the maximum length.
    long = len(os.fsencode(real.name)) > _LONGEST
    path = real.with_name(f".{frame_key(real.name, '') if long else real.name}.dmdd-edge-run")
    if resumed:
        with contextlib.suppress(OSError, ValueError):
            name = path.read_text("ascii")[:64].strip()
            if _FORM.fullmatch(name):
                return RunIdentity(name, path)
    return RunIdentity(uuid.uuid4().hex, path)


def frame_key(source: str, name: str) -> str:
    """Unique key of a frame in a run over files, stable when files are added between two starts.

    Args:
        source: as in ``Frame.source``.
        name: as in ``Frame.name``; the index of a frame that could not be read.
    """
    text = f"{source}\0{name}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=12).hexdigest()
