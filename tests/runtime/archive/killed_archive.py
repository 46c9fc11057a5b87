"""Keeps images without end, for a test that kills it: ``python killed_archive.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runtime.archive.kept import image_of, judged, opened

if __name__ == "__main__":
    sink = opened(Path(sys.argv[1]), live=False, archive_size=1_000_000, archive_sample=0.5)
    number = 0
    while True:
        number += 1
        sink.result(*judged(0.9 if number % 2 else 0.1, index=number, image=image_of(number % 7, (64, 64))))
        if number == 20:
            print("started", flush=True)
