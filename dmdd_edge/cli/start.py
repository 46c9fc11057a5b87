"""The program's entry point: Ctrl-C while it is still loading ends it without a traceback."""

from __future__ import annotations

import sys

from dmdd_edge.cli.exit_codes import INTERRUPTED


def main() -> None:
    """Load the program and run it."""
    try:
        from dmdd_edge.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()
