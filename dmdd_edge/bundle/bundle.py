"""The bundle: the contract between the lab and the line; how it is written, read and verified.

``models/<category>/CURRENT`` names the version in use; ``models/<category>/<version>/`` is a bundle:
a manifest and the files it lists. Files that the manifest does not list are never used.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from dmdd_edge.arguments import checked_path
from dmdd_edge.bundle.files import listed_files, problem_with
from dmdd_edge.bundle.manifest import MANIFEST_NAME, Manifest, parse_manifest, read_manifest
from dmdd_edge.bundle.threshold import require_exceedable
from dmdd_edge.bundle.unfinished import UNFINISHED_PREFIX, remove_abandoned
from dmdd_edge.bundle.versions import (
    CURRENT_NAME,
    OWN_THRESHOLD,
    find_version,
    list_versions,
    match_version,
    next_version_name,
    version_names,
)
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.failures import storage_error
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.outside_files import COPY_AGAIN, inside
from dmdd_edge.storage import publish_folder, sha256_of, write_atomically
from dmdd_edge.strict_json import explain

__all__ = ["Bundle", "BundleWriter", "check", "list_versions", "use_version"]

FP32_GRAPH, FP16_GRAPH, INT8_GRAPH = "model.fp32.onnx", "model.fp16.onnx", "model.int8.onnx"
ENGINES_FOLDER = "engines"
#: A write that found no room, or none that this user may have.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: The graph of each precision.
GRAPHS = {"fp32": FP32_GRAPH, "fp16": FP16_GRAPH, "int8": INT8_GRAPH}


@dataclass(frozen=True)
class Bundle:
    """A bundle on the disk.

    Attributes:
        path: the version's folder.
        manifest: what it says about itself.
        precision: with a separate threshold, which the manifest then has as its ``threshold``;
            empty for the others.
    """

    path: Path
    manifest: Manifest
    precision: str = ""

    def __repr__(self) -> str:
        return f"<Bundle {self.category} {self.version} at {self.path}>"

    @property
    def category(self) -> str:
        """The category of the parts that the bundle inspects."""
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
            BundleError: there is no bundle, its schema is newer, the manifest is malformed, a file is
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
            BundleError: there is no bundle, its schema is newer, or the manifest is malformed.
        """
        folder = find_version(checked_path("path", path))
        return cls(path=folder, manifest=read_manifest(inside(folder, MANIFEST_NAME)))

    def at(self, precision: str) -> Bundle:
        """The bundle as it decides when this precision runs: with its threshold, and its calibration.

        Args:
            precision: ``fp32``, ``fp16`` or ``int8``.

        Raises:
            BundleError: the precision needs a separate threshold, which the bundle lacks.
        """
        if precision not in OWN_THRESHOLD:
            return self
        own = next((each for name, each in self.manifest.thresholds.items() if name == precision), None)
        if own is None:
            raise BundleError(
                f"{self.category} {self.version} has no threshold for {precision}, whose scores are not "
                "those of the other precisions.",
                f"Export it: {command('export', category=self.category, precision=precision)}",
            )
        manifest = self.manifest.model_copy(update={"threshold": own})
        return replace(self, manifest=manifest, precision=precision)

    def has(self, name: str) -> bool:
        """Whether the bundle lists a file of this name (a path inside it, with ``/``)."""
        return name in self.manifest.files

    def file(self, name: str) -> Path:
        """Path of a listed file.

        Args:
            name: its path inside the bundle, with ``/``.

        Raises:
            DmddError: the manifest does not list it, or it leads out of the folder.
        """
        if not self.has(name):
            raise BundleError(
                f"{self.path} has no file `{name}` in its manifest.",
                f"It holds: {', '.join(sorted(self.manifest.files)) or 'nothing'}. Export again to add it.",
            )
        return inside(self.path, name)

    def problems(self, hashes: bool = True) -> Iterator[DmddError]:
        """All faults of the files, one error each; empty when the bundle is complete.

        Args:
            hashes: compare the contents too, not only the paths and sizes.
        """
        files = self.manifest.files
        if not files:
            yield BundleError(f"{self.path}: the manifest lists no file.", COPY_AGAIN)
        for name, expected in sorted(files.items()):
            try:
                path = inside(self.path, name)
            except DmddError as error:
                yield error
                continue
            problem = problem_with(self.path, path, name, expected, self.manifest.sizes.get(name), hashes)
            if problem is not None:
                yield problem
        try:
            extra = sorted(set(listed_files(self.path)) - set(files))
        except DmddError as error:
            yield error
            return
        except OSError as error:
            yield BundleError(
                f"{self.path} cannot be listed: {error.strerror or error} ({error.filename}).",
                "Make it readable for the user who runs this.",
            )
            return
        for name in extra:
            yield BundleError(
                f"{self.path}: the file `{name}` is not listed in the manifest.",
                "Remove it, or copy the whole bundle again; a bundle must not be edited by hand.",
            )


class BundleWriter:
    """Writes a new version of a category's bundle, so that a crash leaves the old one in use.

    Files are written to ``path``, a folder beside the versions that listings ignore. ``commit`` hashes
    them, writes the manifest last, waits until all is on the disk, renames the folder to the version's
    name and replaces CURRENT. Leaving the context without ``commit`` removes what was written; where the disk
    refused a file of it, that is a ``BundleError``.

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
            raise BundleError(f"{category!r} cannot name a category.", "Use letters, digits, - and _.")
        self.category = category
        self.folder = Path(models_dir) / category
        self._lock: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.folder)
            self.path = Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=self.folder))
            self.path.chmod(0o755)
            # The lock goes with the process, however it ends: an unlocked folder is an abandoned one.
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise storage_error(error, self.folder, "written", "Name another --models-dir.") from error

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, OSError) and not isinstance(error, DmddError) and self._concerns(error):
            raise self._refusal(error) from error

    def _concerns(self, error: OSError) -> bool:
        """Whether it is about a file of the new version; a full disk names no file while it is written to."""
        if error.filename is None:
            return error.errno in _NO_SPACE
        return isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(self.path)

    def close(self) -> None:
        """Remove what was not committed and let the lock go."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def commit(
        self,
        *,
        accept: Callable[[Bundle], object] = lambda bundle: None,
        use: bool = True,
        **fields: Any,
    ) -> Bundle:
        """Make what was written a version, and put it into use.

        Args:
            accept: called with the new version before it is put to use; when it raises, the version stays
                beside the one in use.
            use: False leaves the version beside the one in use; ``accept`` is not called then.
            fields: the manifest's fields but ``schema_version``, ``category``, ``version``, ``files``
                and ``sizes``, which are worked out here.

        Returns:
            The new bundle, at its final place.

        Raises:
            DmddError: a field is unknown, missing or wrong, no score would exceed the threshold, nothing was
                written, or the disk refuses. Also whatever ``accept`` raises.
        """
        if unknown := sorted(set(fields) - set(Manifest.model_fields)):
            raise BundleError(
                f"the manifest has no field {', '.join(unknown)}.",
                f"Its fields: {', '.join(Manifest.model_fields)}.",
            )
        names = listed_files(self.path)
        if not names:
            raise BundleError(f"nothing was written to {self.path}; a bundle without a graph is none.")
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
            # What cannot be read back must not be published, such as a metric that is not a number.
            parse_manifest(manifest.to_json().encode())
        except ValidationError as error:
            raise BundleError(f"the manifest's {explain(error)}.") from error
        except ValueError as error:  # NotStrict, or JSON's for a number that is not finite
            raise BundleError(f"the manifest: {error}.") from error
        for threshold in (manifest.threshold, *manifest.thresholds.values()):
            require_exceedable(threshold.image, "The bundle was not published: its threshold")
        with self._refusals():
            bundle = self._publish(manifest)
        if use:
            accept(bundle)
            with self._refusals():
                write_atomically(self.folder / CURRENT_NAME, manifest.version + "\n")
        return bundle

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> BundleError:
        found = storage_error(error, self.folder, "written")
        return BundleError(
            f"the bundle cannot be written to {self.folder}: {found.strerror}.",
            f"{found.fix} Then export again; the version in use is unchanged.".lstrip(),
        )

    def _publish(self, manifest: Manifest) -> Bundle:
        write_atomically(self.path / MANIFEST_NAME, manifest.to_json())
        target = self.folder / manifest.version
        publish_folder(self.path, target)
        return Bundle(path=target, manifest=manifest)


def use_version(
    models_dir: Path | str,
    category: str,
    version: str,
    accept: Callable[[Bundle], object] = lambda bundle: None,
) -> Bundle:
    """Make ``version`` the one in use, once it has been verified.

    Args:
        version: its name; the start of one is enough when only one version starts so.
        accept: called with the version before it is put to use; raises to refuse it.

    Raises:
        DmddError: there is no such category or version, or it does not verify; CURRENT then stays. Also
            whatever ``accept`` raises.
    """
    folder = Path(models_dir) / category
    if not is_plain_name(category) or not version_names(folder):
        raise BundleError(
            f"there is no bundle of {category} in {models_dir}.",
            f"See what there is: {command('models', models_dir=models_dir)}",
        )
    chosen = match_version(folder, version)
    bundle = Bundle.load(inside(folder, chosen))
    if (folder / CURRENT_NAME).is_dir():
        raise BundleError(
            f"{folder / CURRENT_NAME} is a folder; it must be a file that names the version in use.",
            f"Remove it: rm -r {shlex.quote(str(folder / CURRENT_NAME))}",
        )
    accept(bundle)
    write_atomically(folder / CURRENT_NAME, chosen + "\n")
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
