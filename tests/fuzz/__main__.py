"""Fuzz the product at any size.

``python tests/fuzz --trees 5000 --lines 5000 --addresses 2000 --pictures 2000`` prints a line per kind
and every failure with its seed, and exits with 1 when there is one. ``--first`` begins at another seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzzing import LOCALES, Failures, fuzz_addresses, fuzz_command_lines, fuzz_pictures, fuzz_trees
from world import make_world


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in ("trees", "lines", "addresses", "pictures", "first"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    asked = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        folder.chmod(0o755)

        def seeds(count: int) -> range:
            return range(asked.first, asked.first + count)

        def done(kind: str, count: int, began: float, failures: Failures) -> None:
            nonlocal failed
            failed |= bool(failures)
            print(f"{kind}: {count}, {len(failures)} failed, {time.monotonic() - began:.0f} s", flush=True)
            for failure in failures:
                print(f"  {failure}", flush=True)

        if asked.trees:
            began = time.monotonic()
            done("trees", asked.trees, began, fuzz_trees(seeds(asked.trees), folder))
        if asked.pictures:
            began = time.monotonic()
            done("pictures", asked.pictures, began, fuzz_pictures(seeds(asked.pictures), folder))
        if asked.addresses:
            began = time.monotonic()
            done("addresses", asked.addresses, began, fuzz_addresses(seeds(asked.addresses)))
        if asked.lines:
            world = _drawn_world(folder)
            for number, locale in enumerate(LOCALES):
                began = time.monotonic()
                part = seeds(asked.lines)[number :: len(LOCALES)]
                done(
                    f"lines in {locale}",
                    len(part),
                    began,
                    fuzz_command_lines(part, world, locale),
                )
    return int(failed)


def _drawn_world(folder: Path) -> Path:
    """A world around a bundle that the program itself trains and exports, from drawn plates."""
    made = folder / "made"
    program = Path(sys.executable).parent / "dmdd-edge"
    for line in (
        ["sample", made / "data"],
        [
            "train",
            "--data",
            made / "data",
            "--category",
            "plate",
            "--steps",
            "2",
            "--image-size",
            "64",
            "--runs-dir",
            made / "runs",
        ],
        [
            "export",
            "--category",
            "plate",
            "--target",
            "onnx",
            "--runs-dir",
            made / "runs",
            "--models-dir",
            made / "models",
        ],
    ):
        subprocess.run([program, *map(str, line)], check=True, stderr=subprocess.DEVNULL)
    world = folder / "world"
    world.mkdir()
    return make_world(world, made / "runs", made / "models", made / "data")


if __name__ == "__main__":
    sys.exit(main())
