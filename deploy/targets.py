"""The targets of `deploy/targets.toml`, and what they need of pyproject.toml."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"

#: A container shows no windows, and OpenCV's build without them needs no libraries of the system.
_INSTEAD = {"opencv-python": "opencv-python-headless"}
#: The oldest C library whose wheels count.
_OLDEST_GLIBC = 17


@dataclass(frozen=True)
class Target:
    """What a site is built for.

    Attributes:
        name: such as cpu-x86.
        container: its file in `deploy/`.
        python: such as 3.11.
        machine: as `uname -m` prints it.
        glibc: minor version of the C library, 2.x.
        extras: of dmdd-edge.
        has_run: what has been run of it and what has not.
        packages: requirements beside those of the extras.
        on_target: packages that the target brings, with the reason.
        elsewhere: requirements that PyPI cannot meet, with the reason.
    """

    name: str
    container: str
    python: str
    machine: str
    glibc: int
    extras: tuple[str, ...]
    has_run: str
    packages: tuple[str, ...] = ()
    on_target: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    @property
    def left_out(self) -> dict[str, str]:
        """Packages that its wheelhouse does not have, with the reason."""
        return {Requirement(text).name: why for text, why in {**self.on_target, **self.elsewhere}.items()}

    @property
    def platforms(self) -> tuple[str, ...]:
        """The tags of the wheels that its C library can load, newest first."""
        newest_first = range(self.glibc, _OLDEST_GLIBC - 1, -1)
        return (
            *(f"manylinux_2_{minor}_{self.machine}" for minor in newest_first),
            f"manylinux2014_{self.machine}",
        )

    def environment(self, extra: str = "") -> dict[str, str]:
        """What the conditions of a dependency are read for.

        Args:
            extra: the extra of the package that asks.
        """
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def with_extras(self, extras: tuple[str, ...]) -> Target:
        """The same target with other extras of dmdd-edge."""
        return replace(self, extras=extras)

    def with_index(self) -> Target:
        """The same target where NVIDIA's index can be reached: nothing is left to be taken from elsewhere."""
        return replace(self, packages=(*self.packages, *self.elsewhere), elsewhere={})


def targets(path: Path = DEPLOY / "targets.toml") -> dict[str, Target]:
    """All targets by name."""
    return {name: _target(name, table) for name, table in _read(path).items()}


def project_requirements(target: Target, path: Path = ROOT / "pyproject.toml") -> list[Requirement]:
    """What dmdd-edge with the target's extras asks for on the target, without conditions.

    Raises:
        SystemExit: pyproject.toml has no such extra.
    """
    project = _read(path)["project"]
    unknown = [name for name in target.extras if name not in project["optional-dependencies"]]
    if unknown:
        sys.exit(f"pyproject.toml has no extra {', '.join(unknown)}.")
    lines = [*project["dependencies"], *target.packages]
    for extra in target.extras:
        lines += project["optional-dependencies"][extra]
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:  # an extra that is made of others
            inner = replace(target, extras=tuple(sorted(requirement.extras)), packages=())
            found += project_requirements(inner, path)
        elif requirement.marker is None or requirement.marker.evaluate(target.environment()):
            requirement.marker = None
            requirement.name = _INSTEAD.get(requirement.name, requirement.name)
            found.append(requirement)
    return found


def _target(name: str, table: dict[str, Any]) -> Target:
    lists: dict[str, Any] = {key: tuple(table[key]) for key in ("extras", "packages") if key in table}
    return Target(name, **(table | lists))


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
