"""The bundle: the contract between the lab and the line; how it is written, read and verified.

``models/<category>/CURRENT`` names the version in use; ``models/<category>/<version>/`` is a bundle:
a manifest and the files it lists. Nothing that the manifest does not list is ever used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from dmdd_edge.errors import DmddError
from dmdd_edge.manifest import MANIFEST_NAME, Manifest, read_manifest
from dmdd_edge.storage import fsync_path, sha256_of, write_atomically
from dmdd_edge.versions import (
    CURRENT_NAME,
    find_version,
    is_plain_name,
    list_versions,
    next_version_name,
    version_names,
)

__all__ = ["Bundle", "BundleWriter", "check", "list_versions", "use_version"]

FP32_GRAPH, FP16_GRAPH, ENGINES_FOLDER = "model.fp32.onnx", "model.fp16.onnx", "engines"

#: Folders that a writer has not finished start with this; a leading dot is what listings ignore.
UNFINISHED_PREFIX = ".unfinished-"

#: An unlocked unfinished folder is only taken for abandoned at this age, in seconds: its writer may be
#: between making the folder and locking it.
_ABANDONED_AFTER = 60.0

#: What file managers leave behind in folders they show; not part of a bundle and never used.
_LITTER = {"Thumbs.db", "desktop.ini"}

_COPY_AGAIN = "Copy the bundle again from where it was exported, or export it again."


@dataclass(frozen=True)
class Bundle:
    """A bundle on the disk.

    Attributes:
        path: the version's folder.
        manifest: what it says about itself.
    """

    path: Path
    manifest: Manifest

    @property
    def category(self) -> str:
        """The category that the bundle judges."""
        return self.manifest.category

    @property
    def version(self) -> str:
        """The version's name; sorts by time."""
        return self.manifest.version

    @classmethod
    def load(cls, path: Path | str, verify: bool = True) -> Bundle:
        """Open a bundle.

        Args:
            path: a version's folder, or a category's folder, whose ``CURRENT`` then picks the version.
            verify: hash every file; without it only the manifest and the paths are checked.

        Raises:
            DmddError: there is no bundle, its schema is newer, the manifest is malformed, a file is
                missing, cut short, altered or not listed, or a path leaves the folder.
        """
        bundle = cls.open_unverified(path)
        for problem in bundle.problems(hashes=verify):
            raise problem
        return bundle

    @classmethod
    def open_unverified(cls, path: Path | str) -> Bundle:
        """Read a bundle's manifest and nothing else; to look at a bundle, not to run it.

        Args:
            path: as in ``load``.

        Raises:
            DmddError: there is no bundle, its schema is newer, or the manifest is malformed.
        """
        folder = find_version(Path(path))
        return cls(path=folder, manifest=read_manifest(_inside(folder, MANIFEST_NAME)))

    def has(self, name: str) -> bool:
        """Whether the bundle lists a file of this name (a path inside it, with ``/``)."""
        return name in self.manifest.files

    def file(self, name: str) -> Path:
        """Where a listed file lies.

        Args:
            name: its path inside the bundle, with ``/``.

        Raises:
            DmddError: the manifest does not list it, or it leads out of the folder.
        """
        if not self.has(name):
            raise DmddError(
                f"{self.path} has no file `{name}` in its manifest.",
                f"It holds: {', '.join(sorted(self.manifest.files)) or 'nothing'}. Export again to add it.",
            )
        return _inside(self.path, name)

    def problems(self, hashes: bool = True) -> Iterator[DmddError]:
        """Everything that is wrong with the files, one error each; nothing when the bundle is whole.

        Args:
            hashes: compare the contents too, not only the paths and sizes.
        """
        files = self.manifest.files
        if not files:
            yield DmddError(f"{self.path}: the manifest lists no file.", _COPY_AGAIN)
        for name, expected in sorted(files.items()):
            try:
                path = _inside(self.path, name)
            except DmddError as error:
                yield error
                continue
            if not path.is_file():
                yield DmddError(f"{self.path}: the file `{name}` is missing.", _COPY_AGAIN)
                continue
            size, right_size = path.stat().st_size, self.manifest.sizes.get(name)
            if right_size is not None and size < right_size:
                yield DmddError(
                    f"{self.path}: `{name}` was cut short: {size:,} of {right_size:,} bytes.", _COPY_AGAIN
                )
            elif hashes and sha256_of(path) != expected.lower():
                yield DmddError(
                    f"{self.path}: `{name}` was altered: its SHA-256 is not the one in the manifest.",
                    _COPY_AGAIN,
                )
        for name in sorted(set(_listed_files(self.path)) - set(files)):
            yield DmddError(
                f"{self.path}: the file `{name}` is not listed in the manifest.",
                f"Remove it. Nothing is added to a bundle by hand; {_COPY_AGAIN[0].lower()}{_COPY_AGAIN[1:]}",
            )


class BundleWriter:
    """Writes a new version of a category's bundle, so that a crash leaves the old one in use.

    Files are written to ``path``, a folder beside the versions that listings ignore. ``commit`` hashes
    them, writes the manifest last, waits until all is on the disk, renames the folder to the version's
    name and replaces CURRENT. Leaving the context without ``commit`` removes what was written.

        with BundleWriter(Path("models"), "screw") as writer:
            export_to(writer.path / "model.fp32.onnx")
            bundle = writer.commit(backbone="efficientnet_lite0", image_size=256, ...)

    Args:
        models_dir: the folder of all categories; made when missing.
        category: the category's name.

    Raises:
        DmddError: the category's name cannot name a folder, or the folder cannot be written.
    """

    def __init__(self, models_dir: Path | str, category: str) -> None:
        if not is_plain_name(category):
            raise DmddError(f"{category!r} cannot name a category.", "Use letters, digits, - and _.")
        self.category = category
        self.folder = Path(models_dir) / category
        self._lock: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.folder)
            self.path = Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=self.folder))
            self.path.chmod(0o755)
            # The lock goes with the process, however it ends: an unlocked folder is an abandoned one.
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DmddError(
                f"{self.folder} cannot be written: {error}.", "Name another --models-dir."
            ) from error

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was not committed and let the lock go."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def commit(self, **fields: Any) -> Bundle:
        """Make what was written the version in use.

        Args:
            fields: the manifest's fields but ``schema_version``, ``category``, ``version``, ``files``
                and ``sizes``, which are worked out here.

        Returns:
            The new bundle, at its final place.

        Raises:
            DmddError: a field is unknown, missing or wrong, nothing was written, or the disk refuses.
        """
        unknown = sorted(set(fields) - set(Manifest.model_fields))
        if unknown:
            raise DmddError(
                f"the manifest has no field {', '.join(unknown)}.",
                f"Its fields: {', '.join(Manifest.model_fields)}.",
            )
        names = _listed_files(self.path)
        if not names:
            raise DmddError(f"nothing was written to {self.path}; a bundle without a graph is none.")
        files = {name: sha256_of(self.path / name) for name in names}
        version = next_version_name(self.folder, files)
        try:
            manifest = Manifest(
                category=self.category,
                version=version,
                files=files,
                sizes={name: (self.path / name).stat().st_size for name in names},
                **fields,
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DmddError(f"the manifest's field `{where}`: {first['msg']}.") from error
        try:
            return self._publish(manifest)
        except OSError as error:
            raise DmddError(
                f"the bundle cannot be written to {self.folder}: {error}.",
                "Free some space or name another --models-dir; the version in use is unchanged.",
            ) from error

    def _publish(self, manifest: Manifest) -> Bundle:
        for name in manifest.files:
            fsync_path(self.path / name)
        write_atomically(self.path / MANIFEST_NAME, manifest.to_json())
        for folder, _, _ in os.walk(self.path, topdown=False):
            fsync_path(Path(folder))
        target = self.folder / manifest.version
        os.rename(self.path, target)  # noqa: PTH104 - the step that makes the version appear whole
        fsync_path(self.folder)
        write_atomically(self.folder / CURRENT_NAME, manifest.version + "\n")
        return Bundle(path=target, manifest=manifest)


def use_version(models_dir: Path | str, category: str, version: str) -> Bundle:
    """Make ``version`` the one in use, once it has been verified.

    Args:
        version: its name; the start of one is enough when only one version starts so.

    Raises:
        DmddError: there is no such category or version, or it does not verify; CURRENT then stays.
    """
    folder = Path(models_dir) / category
    names = version_names(folder)
    if not names:
        raise DmddError(f"there is no bundle of {category} in {models_dir}.", "See: dmdd-edge models")
    matching = (
        [version] if version in names else [name for name in names if version and name.startswith(version)]
    )
    if len(matching) != 1:
        what = "several versions start with" if matching else "there is no version"
        raise DmddError(f"{category}: {what} {version!r}.", f"Name one of {', '.join(names)}.")
    bundle = Bundle.load(folder / matching[0])
    write_atomically(folder / CURRENT_NAME, matching[0] + "\n")
    return bundle


def check(path: Path | str) -> list[DmddError]:
    """Everything that is wrong with a bundle, not only the first; empty when it is whole.

    Args:
        path: a version's folder, or a category's folder.
    """
    try:
        bundle = Bundle.open_unverified(path)
    except DmddError as error:
        return [error]
    return list(bundle.problems())


def _listed_files(folder: Path) -> list[str]:
    """The paths of a bundle's files (with ``/``) but the manifest and what file managers leave behind."""
    names: list[str] = []
    for root, _, files in os.walk(folder):
        for file in files:
            name = (Path(root) / file).relative_to(folder).as_posix()
            if name != MANIFEST_NAME and not file.startswith(".") and file not in _LITTER:
                names.append(name)
    return sorted(names)


def _inside(folder: Path, name: str) -> Path:
    """``folder / name`` when that stays in the folder, symbolic links followed."""
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name:
        raise DmddError(f"{folder}: the manifest's path `{name}` leaves the bundle's folder.", _COPY_AGAIN)
    path = folder / parts
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DmddError(
            f"{folder}: `{name}` is a link that leaves the bundle's folder.",
            "Replace the link by the file itself; a bundle must be whole to be copied.",
        )
    return path


def _remove_abandoned(folder: Path) -> None:
    """Remove what writers left behind that were killed."""
    for entry in folder.glob(f"{UNFINISHED_PREFIX}*"):
        try:
            if time.time() - entry.stat().st_mtime < _ABANDONED_AFTER:
                continue
            handle = os.open(entry, os.O_RDONLY)
        except OSError:
            continue  # gone meanwhile, or not ours to touch
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry, ignore_errors=True)
        except OSError:
            pass  # its writer is alive
        finally:
            os.close(handle)
