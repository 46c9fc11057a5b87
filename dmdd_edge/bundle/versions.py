"""The versions in a category's folder: their names, the one in use, and the name of the next."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

from dmdd_edge.bundle.manifest import MANIFEST_NAME, Manifest, OwnThreshold, read_manifest
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.failures import storage_errors, unreadable
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.outside_files import inside, read_bounded

CURRENT_NAME = "CURRENT"

#: Bytes: a name and a line break.
_LONGEST_CURRENT = 1024

#: The precisions with a separate threshold, and so with a separate calibration.
OWN_THRESHOLD: tuple[str, ...] = get_args(OwnThreshold)

#: Folders in which versions are removed; a leading dot is what listings ignore.
REMOVED_PREFIX = ".removed-"

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class VersionInfo:
    """One version in a listing.

    Attributes:
        name: the version's name.
        path: its folder.
        in_use: whether CURRENT names it.
        manifest: None when it cannot be read.
        error: why it cannot be read; empty when it can.
    """

    name: str
    path: Path
    in_use: bool
    manifest: Manifest | None
    error: str = ""


def read_current(category_folder: Path) -> str | None:
    """The version that ``CURRENT`` names, or None when there is no such file.

    Raises:
        DmddError: it is not a regular file, a link out of the folder, too large, or holds something that
            cannot be a version's name.
    """
    choose = f"Choose one: {_use(category_folder)}"
    try:
        name = read_bounded(inside(category_folder, CURRENT_NAME), _LONGEST_CURRENT).decode("utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(error, category_folder / CURRENT_NAME, choose) from error
    except UnicodeDecodeError:
        raise BundleError(f"{category_folder / CURRENT_NAME} is not UTF-8 text.", choose) from None
    if not is_plain_name(name):
        raise BundleError(
            f"{category_folder / CURRENT_NAME} holds {name[:80]!r}, which is not a version's name.",
            choose,
        )
    return name


def _use(category_folder: Path) -> str:
    """The command that chooses the version in use."""
    return command("models", "use", category_folder.name, "VERSION", models_dir=category_folder.parent)


def version_names(category_folder: Path) -> list[str]:
    """The versions in a category's folder, oldest first; unfinished ones are left out."""
    with storage_errors(category_folder, "read"):
        if not category_folder.is_dir():
            return []
        return sorted(
            entry.name
            for entry in category_folder.iterdir()
            if is_plain_name(entry.name) and (entry / MANIFEST_NAME).is_file()
        )


def find_version(path: Path) -> Path:
    """The version's folder at ``path``: the path itself, or the version that its ``CURRENT`` names.

    Raises:
        DmddError: there is neither a manifest nor a usable CURRENT.
    """
    if (path / MANIFEST_NAME).is_file():
        return path
    if not path.is_dir():
        raise BundleError(
            f"There is no bundle at {path}.",
            f"List the bundles: {command('models', models_dir=path.parent)}",
        )
    name = read_current(path)
    versions = version_names(path)
    choose = f"Choose one of {', '.join(versions)}: {_use(path)}"
    if name is None:
        if versions:
            raise BundleError(f"{path} has no {CURRENT_NAME} file that names the version in use.", choose)
        raise BundleError(
            f"{path} is not a bundle: it has neither {MANIFEST_NAME} nor {CURRENT_NAME}.",
            "Name a folder that `dmdd-edge export` wrote, or export again.",
        )
    if name not in versions:
        raise BundleError(
            f"{path / CURRENT_NAME} names the version {name}, which does not exist.",
            choose if versions else "Copy the bundle again, or export it again.",
        )
    return inside(path, name)


def list_versions(models_dir: Path | str, category: str) -> list[VersionInfo]:
    """The versions of a category, oldest first; those that cannot be read carry the reason."""
    folder = Path(models_dir) / category
    try:
        current = read_current(folder)
    except DmddError:
        current = None
    versions: list[VersionInfo] = []
    for name in version_names(folder):
        path, manifest, error = folder / name, None, ""
        try:
            manifest = read_manifest(inside(inside(folder, name), MANIFEST_NAME))
        except DmddError as reason:
            error = reason.message
        versions.append(VersionInfo(name, path, name == current, manifest, error))
    return versions


def match_version(category_folder: Path, start: str) -> str:
    """The only version whose name is ``start`` or begins with it.

    Raises:
        DmddError: no version matches, or several do.
    """
    names = version_names(category_folder)
    if start in names:
        return start
    matching = [name for name in names if start and name.startswith(start)]
    if len(matching) != 1:
        what = "several versions start with" if matching else "there is no version"
        raise BundleError(f"{category_folder.name}: {what} {start!r}.", f"Name one of {', '.join(names)}.")
    return matching[0]


def remove_version(category_folder: Path, start: str) -> str:
    """Remove a version that is not in use, with its calibration.

    Args:
        category_folder: the category's folder.
        start: the version's name, or the start of it.

    Returns:
        The version's name.

    Raises:
        DmddError: there is no such version, it is in use, or it cannot be removed.
    """
    name = match_version(category_folder, start)
    version, current = category_folder / name, read_current(category_folder)
    # Another name may lead to the same folder: a version that is a link to it.
    if current == name or (current and (category_folder / current).resolve() == version.resolve()):
        other = "" if current == name else f", as {current}"
        raise BundleError(
            f"{category_folder.name}: {name} is in use{other}.",
            f"Choose another version first: {_use(category_folder)}",
        )
    with storage_errors(version, "removed"):
        if version.is_symlink():  # only the link, since its target is not part of this folder
            version.unlink()
        else:
            # Hidden before it is emptied, so that a listing or a starting run never sees a partial version.
            # In a separate folder, independent of what an earlier removal left behind.
            hidden = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=category_folder))
            version.rename(hidden / name)
            shutil.rmtree(hidden)
        names = [make(name, of) for make in (calibration_name, history_name) for of in ("", *OWN_THRESHOLD)]
        for beside in names:
            (category_folder / beside).unlink(missing_ok=True)
    return name


def calibration_name(version: str, precision: str = "") -> str:
    """The name of a version's calibration, in the category's folder.

    Args:
        precision: one with a separate threshold; empty for the others.
    """
    return f"calibration-{version}{_of(precision)}.json"


def history_name(version: str, precision: str = "") -> str:
    """The name of the file with a version's earlier calibrations, in the category's folder."""
    return f"calibrations-{version}{_of(precision)}.json"


def _of(precision: str) -> str:
    return f"-{precision}" if precision else ""


def next_version_name(folder: Path, files: dict[str, str]) -> str:
    """A name for a new version, as ``20261124T081500Z-1f0c9a2b``: the time in UTC and a hash of its files.

    It sorts after every existing version, even when the clock was set back.

    Args:
        folder: the category's folder.
        files: path -> SHA-256 of the new version's files.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    for name in version_names(folder):
        try:
            before = datetime.strptime(name.split("-")[0], _STAMP).replace(tzinfo=timezone.utc)
        except ValueError:
            continue  # a folder that somebody named by hand
        now = max(now, before + timedelta(seconds=1))
    digest = hashlib.sha256("".join(f"{name}{value}" for name, value in sorted(files.items())).encode())
    return f"{now.strftime(_STAMP)}-{digest.hexdigest()[:8]}"
