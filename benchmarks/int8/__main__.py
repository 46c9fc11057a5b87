"""`python benchmarks/int8`: see ``command.py``."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python adds this folder to the path, not its parent.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    importlib.import_module("int8.command").main()
