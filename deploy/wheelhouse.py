"""Fetch every wheel that a target needs, for a site without internet.

    python deploy/wheelhouse.py cpu-x86            into build/wheelhouse/cpu-x86
    make wheelhouse TARGET=cpu-x86                 the same

The folder gets the wheels, dmdd-edge's own among them, and `requirements.txt` with one version and one
SHA-256 each.
On the target, without a network:

    pip install --no-index --find-links FOLDER --no-deps --require-hashes -r FOLDER/requirements.txt

`deploy/targets.toml` describes the targets. pip resolves for the target's processor, Python and C library. It
reads the conditions of a dependency (such as python_version < "3.11") for the Python that it runs in itself.
So what the wheels ask for is read again for the target, and fetched until nothing is missing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from targets import ROOT, Target, project_requirements, targets

from dmdd_edge.storage import sha256_of

#: Rounds of fetching what the wheels of the round before ask for.
_ROUNDS = 5


@dataclass(frozen=True)
class Wheel:
    """A fetched wheel.

    Attributes:
        path: the file.
        name: canonical, such as paho-mqtt.
        version: as its file name has it.
        requires: its dependencies, with their conditions.
    """

    path: Path
    name: str
    version: str
    requires: tuple[Requirement, ...]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """What a wheel says of itself."""
        name, version, _, _ = parse_wheel_filename(path.name)
        with ZipFile(path) as archive:
            (metadata,) = (
                entry
                for entry in archive.namelist()
                if entry.endswith(".dist-info/METADATA") and entry.count("/") == 1
            )
            headers = HeaderParser().parsestr(archive.read(metadata).decode())
        requires = tuple(Requirement(text) for text in headers.get_all("Requires-Dist", []))
        return cls(path, name, str(version), requires)

    @property
    def pinned(self) -> str:
        """Its line of the requirements."""
        return f"{self.name}=={self.version} --hash=sha256:{sha256_of(self.path)}"


def missing(wanted: Sequence[Requirement], wheels: Sequence[Wheel], target: Target) -> list[Requirement]:
    """What is asked for on the target and not there, or there in a version that does not fit.

    Args:
        wanted: asked for from outside, without conditions.
        wheels: what is there.
        target: the conditions are read for it; what it has or takes from elsewhere is not missing.
    """
    there = {wheel.name: wheel for wheel in wheels}
    unread, seen, absent = [*wanted], set(), {}
    while unread:
        requirement = unread.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras), str(requirement.specifier))
        if key in seen or name in target.left_out:
            continue
        seen.add(key)
        wheel = there.get(name)
        if wheel is None or not requirement.specifier.contains(wheel.version, prereleases=True):
            absent[str(requirement)] = requirement
            continue
        for extra in ("", *requirement.extras):
            for asked in wheel.requires:
                if asked.marker is None or asked.marker.evaluate(target.environment(extra)):
                    plain = Requirement(str(asked))
                    plain.marker = None
                    unread.append(plain)
    return [absent[text] for text in sorted(absent)]


def fetch(requirements: Sequence[Requirement], target: Target, folder: Path, more: Sequence[str]) -> None:
    """Let pip resolve and fetch for a target; its messages go to standard error.

    Raises:
        SystemExit: pip finds no fitting wheel.
    """
    platforms = [word for tag in target.platforms for word in ("--platform", tag)]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", target.python, *platforms, *more),
        *(str(requirement) for requirement in requirements),
    ]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"pip finds no wheels for {target.name}; its message is above.")


def build(target: Target, folder: Path) -> None:
    """Build dmdd-edge's own wheel from this clone."""
    # An old build folder may hold modules that are gone.
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"pip cannot build dmdd-edge for {target.name}; its message is above.")


def wheels_in(folder: Path) -> list[Wheel]:
    """The wheels of a folder, by name."""
    return sorted((Wheel.read(path) for path in folder.glob("*.whl")), key=lambda wheel: wheel.name)


def write_requirements(target: Target, folder: Path, wheels: Sequence[Wheel]) -> Path:
    """Write the pinned and hashed list of all wheels."""
    head = [
        f"# {target.name}: Python {target.python}, {target.machine}, glibc 2.{target.glibc} or newer.",
        "# pip install --no-index --find-links . --no-deps --require-hashes -r requirements.txt",
        *(f"# Not in this list: {name}: {reason}" for name, reason in target.left_out.items()),
    ]
    path = folder / "requirements.txt"
    path.write_text("\n".join([*head, *(wheel.pinned for wheel in wheels), ""]), encoding="utf-8")
    return path


def make(target: Target, folder: Path, more: Sequence[str] = ()) -> list[Wheel]:
    """Fill a folder for a target, which replaces what is there.

    Args:
        target: what for.
        folder: becomes the wheelhouse.
        more: further arguments of `pip download`, such as an index.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = project_requirements(target)
    asked = wanted
    for _ in range(_ROUNDS):
        fetch(asked, target, folder, more)
        for wheel in wheels_in(folder):
            if wheel.name in target.left_out:
                wheel.path.unlink()
        # What is missing is asked for together with the rest, so that the versions fit each other.
        absent = missing(wanted, wheels_in(folder), target)
        if not absent:
            break
        asked = [*wanted, *absent]
    else:
        sys.exit(f"{target.name} still lacks {', '.join(map(str, absent))}.")
    build(target, folder)
    wheels = wheels_in(folder)
    if len({wheel.name for wheel in wheels}) != len(wheels):
        sys.exit(f"{folder} has two versions of a package; remove the folder and run this again.")
    write_requirements(target, folder, wheels)
    return wheels


def main() -> None:
    """Make one wheelhouse and say what it has."""
    known = targets()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=known)
    parser.add_argument("--into", type=Path, help="folder; build/wheelhouse/TARGET if absent")
    parser.add_argument("--extras", help="extras instead of the target's, separated by commas")
    parser.add_argument(
        "--index", action="append", default=[], help="a further package index, such as NVIDIA's"
    )
    options = parser.parse_args()
    target = known[options.target]
    if options.extras is not None:
        target = target.with_extras(tuple(filter(None, options.extras.split(","))))
    if options.index:
        target = target.with_index()
    folder = options.into or ROOT / "build" / "wheelhouse" / target.name
    wheels = make(target, folder, [word for url in options.index for word in ("--extra-index-url", url)])
    total = sum(wheel.path.stat().st_size for wheel in wheels)
    print(f"{len(wheels)} wheels, {total / 1e6:.0f} MB, in {folder}")
    for name, reason in target.left_out.items():
        print(f"not among them: {name}: {reason}")
    print(target.has_run)
    print(f"next: copy {folder} to the target and install it: docs/guides/deploy.md")


if __name__ == "__main__":
    main()
