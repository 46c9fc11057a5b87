"""Write the tables of README and docs from benchmarks/results, in place.

    python docs/make_results.py           write
    python docs/make_results.py --check   exit with 1 when a table is out of date

A table is placed between `<!-- table: NAME -->` and `<!-- end -->`; the rest of a page is written by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from results_tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """The pages that may hold a table."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str, tables: dict[str, Callable[[], str]] = TABLES) -> str:
    """A page's text with every marked table made again.

    Raises:
        KeyError: a marker names an unknown table.
    """
    return MARKED.sub(lambda match: f"{match[1]}\n{tables[match[2]]()}\n{match[4]}", text)


def main() -> int:
    """Write or check the tables of every page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 on a difference")
    check = parser.parse_args().check
    old = [path for path in pages() if filled(text := path.read_text(encoding="utf-8")) != text]
    for path in old:
        print(f"{'out of date' if check else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
