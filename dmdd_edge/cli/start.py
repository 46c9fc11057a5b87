"""The program's entry point: Ctrl-C while it is still loading ends it without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import MutableMapping

from dmdd_edge.cli.exit_codes import INTERRUPTED

#: The narrowest and the widest line that the variables of ``usable_width`` may set.
_NARROWEST, _WIDEST, _USUAL = 20, 1000, 80


def usable_width(environment: MutableMapping[str, str]) -> None:
    """Correct a width of the terminal in which no help, error or table can be read, such as COLUMNS=0.

    Args:
        environment: the variables of the process; rich and typer read them.
    """
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and _NARROWEST <= int(text[:9]) <= _WIDEST):
            environment[name] = str(_USUAL)


def main() -> None:
    """Load the program and run it."""
    usable_width(os.environ)
    if sys.argv[1:3] == ["station", "run"] and hasattr(signal, "SIGHUP"):
        # It loads the bundles anyway; the station listens for the next SIGHUP.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        from dmdd_edge.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()
