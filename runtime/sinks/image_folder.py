"""Folders of images of frames: overlays, maps, raw frames. One file per frame, never a partial file."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import cv2

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result, utc_time
from dmdd_edge.runtime.sinks.file_options import (
    CannotWriteError,
    FileOptions,
    cannot_write,
    insist,
    is_of_the_volume,
    reason,
)
from dmdd_edge.runtime.sinks.image_names import image_name, other_name, safe_name
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.storage import fsync_path

#: Number of omitted images that are named, each with its reason; the rest are counted.
_NAMED = 5
#: Created and removed when a folder is opened, to check that it can be written.
_PROBE = ".dmdd-edge-probe"


class ImageFolder(ABC):
    """Writes files that mirror the source's folders, so that no two frames share a name.

    A file is written under a name that begins with a dot, then renamed, so that it is complete or absent.
    Earlier files are treated like earlier result files (``FileOptions.existing``): a run over files does not
    start if one of its images exists, a live run writes beside them, and ``replace`` and ``resume`` replace
    them. Two frames of one run never replace each other's image, even if the file system treats their names
    as the same (``A.png`` and ``a.png``): the second gets a digest in its name.

    A full disk affects the run; see ``FileOptions``. Any other error affects one image: a name that the file
    system rejects is shortened (``safe_name``), and an image that still cannot be written is omitted, named
    and counted.

    Args:
        folder: of the images; created if missing.
        source_root: the source's folder; no file is written into it except below ``folder``.
        only_anomalous: omit good frames.
        options: how files are written.

    Attributes:
        suffix: of the files; see ``image_name``.
        option: the option that names the folder, for messages.
        written: number of files written.
        lost: number of files that a live run could not write because the disk was full or missing.
        renamed: number of files with a shortened name.
        left_out: number of files that could not be written for another reason.

    Raises:
        DmddError: the folder cannot be created or written.
    """

    suffix: str
    option: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        source_root: Path,
        only_anomalous: bool = False,
        options: FileOptions = FileOptions(),
    ) -> None:
        self.folder = folder
        self._only_anomalous, self._options = only_anomalous, options
        self.written = self.lost = self.renamed = self.left_out = 0
        self._failing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._opened: int | None = _probe(folder)
        except OSError as error:
            # A disk that is full now may have space when the first image comes. One that is read-only from
            # the start stays so: only a live run, which nobody watches, waits for a change.
            may_pass = folder.is_dir() and error.errno != errno.EROFS
            if not (is_of_the_volume(error) and (options.live or may_pass)):
                if isinstance(error, FileExistsError):  # a file is in the folder's place
                    error.strerror = "it is a file, not a folder"
                raise cannot_write(folder, error, f"Name another folder for {self.option}.") from error
            self._opened = None
        # realpath, since Path.resolve raises RuntimeError for a link that points to itself.
        root = Path(os.path.realpath(source_root))
        inside = Path(os.path.realpath(folder)).is_relative_to(root)
        self._forbidden = None if inside else root
        self._quota, self._ledger = options.keep, None
        if options.keep is not None:
            self._ledger = options.keep.ledger(folder)

    @abstractmethod
    def encode(self, frame: Frame, result: Result) -> bytes:
        """Content of the file of a frame.

        Raises:
            DmddError: this OpenCV cannot write such a file.
        """

    def check_free(self, names: Iterable[str]) -> None:
        """Look for earlier images before the run begins.

        Args:
            names: of the frames to come, as far as they are known.

        Raises:
            DmddError: one exists and ``existing`` is ``refuse``.
        """
        if self._options.existing != "refuse":
            return
        for name in names:
            target = self.folder / image_name(name, self.suffix)
            if os.path.lexists(target):
                raise self._exists(target)

    def result(self, frame: Frame, result: Result) -> None:
        """Write the file of a frame.

        Raises:
            DmddError: it would replace an image of the source or of an earlier run; or, in a run over files,
                the disk rejects it.
        """
        if self._only_anomalous and result.status == "good":
            return
        name = image_name(frame.name or f"frame-{frame.index:06d}", self.suffix)
        try:
            data = self.encode(frame, result)
        except (DmddError, cv2.error) as error:
            self._leave_out(name, error.message if isinstance(error, DmddError) else error.err)
            return
        try:
            self._save(name, data, frame)
        except CannotWriteError:
            raise
        except OSError as error:
            if is_of_the_volume(error):
                self._note_loss(name, error)
                return
            # A file system that rejects the name may accept a plainer one.
            plainer = safe_name(name, self.suffix)
            try:
                self._save(plainer, data, frame)
            except CannotWriteError:
                raise
            except OSError:
                self._leave_out(name, reason(error))
            else:
                self.renamed += 1
                if self.renamed == 1:
                    self._options.note(
                        f"{self.folder / name} cannot be written: {reason(error)}. "
                        f"It is written as {plainer}, and similar names are shortened too."
                    )

    def broken(self, frame: BrokenFrame) -> None:  # noqa: B027 - every sink has it
        """No effect: there is no image."""

    def summary(self, summary: Summary) -> None:  # noqa: B027 - every sink has it
        """No effect: every file is written."""

    def close(self) -> None:
        """Report how many files are missing, if any; the others are written."""
        if self.lost:
            self._options.note(f"{self.folder}: {self.lost} files could not be written and are lost.")
        if self.renamed:
            self._options.note(f"{self.folder}: {self.renamed} files have shortened names.")
        if self.left_out:
            self._options.note(
                f"{self.folder}: {self.left_out} images could not be written and are omitted; "
                "their results are complete."
            )

    def _save(self, name: str, data: bytes, frame: Frame) -> None:
        """Write an image under a free name.

        Raises:
            OSError: any, in a live run; in a run over files, one that affects this image only.
        """

        def write() -> None:
            target = self._place(name, frame)
            if self._forbidden is not None and Path(os.path.realpath(target)).is_relative_to(self._forbidden):
                raise OptionError(
                    f"{target} is inside the folder of the source's images.",
                    f"Name another folder for {self.option}.",
                )
            self._write(target, data)

        if self._options.live:
            write()
        else:
            insist(write, self.folder / name, self._options, is_of_the_volume)
        self.written += 1
        if self._failing:
            self._options.note(f"{self.folder} can be written again; {self.lost} files are lost.")
            self._failing = False

    def _place(self, name: str, frame: Frame) -> Path:
        """Path of an image: under its own name, unless another image has that name.

        Raises:
            OSError: the file system rejects the name, or there is no free one.
        """
        target = self.folder / name
        status = _status(target)
        if status is None:
            return target
        existing = self._options.existing
        # A file of this run is newer than the time at which the folder was opened.
        ours = self.written > 0 and self._opened is not None and status.st_ctime_ns >= self._opened
        if not ours and existing in ("replace", "resume"):
            return target
        if not ours and existing == "refuse" and not self._options.live and not self.written:
            raise self._exists(target)
        mark = "" if ours or existing != "append" else utc_time(frame.time).replace(":", "-")
        other = self.folder / other_name(name, self.suffix, mark)
        if _status(other) is not None and existing not in ("replace", "resume"):
            raise FileExistsError(f"a file of this name exists, and so does {other}")
        return other

    def _exists(self, target: Path) -> DmddError:
        return OptionError(
            f"{target} already exists; {self.option} does not overwrite images.",
            f"Name another folder for {self.option}, add --overwrite to replace them, or add --resume (with "
            "--jsonl or --csv) to continue an earlier run.",
        )

    def _note_loss(self, name: str, error: OSError) -> None:
        """In a live run: the disk is full or missing, and the run continues without images."""
        self.lost += 1
        if not self._failing:
            self._options.note(
                f"{self.folder / name} cannot be written: {reason(error)}. "
                "The run continues without these files."
            )
        self._failing = True

    def _leave_out(self, name: str, why: str) -> None:
        """Name and count an image that cannot be written, and continue."""
        self.left_out += 1
        if self.left_out <= _NAMED:
            more = " Further ones are counted." if self.left_out == _NAMED else ""
            why = why.rstrip(".")
            self._options.note(f"{self.folder / name} cannot be written: {why}. This image is omitted.{more}")

    def _write(self, target: Path, data: bytes) -> None:
        if self._quota is not None:
            self._quota.make_room(len(data), str(target))
        # The same name for the same target, so that the next run overwrites the leftover of a killed one;
        # short, because the target's name may have the maximum length.
        part = target.with_name(f".{zlib.crc32(os.fsencode(target.name)):08x}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            descriptor = os.open(part, flags, 0o666)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(part, flags, 0o666)
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if self._options.fsync == "always":
                    os.fsync(descriptor)
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if self._ledger is not None:
                name = target.relative_to(self.folder).as_posix()
                self._ledger.enter(name, status.st_size, status.st_mtime_ns)
            os.replace(part, target)  # noqa: PTH105 - the one call that replaces atomically, by its name
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        if self._options.fsync == "always":
            with contextlib.suppress(OSError):  # some network shares cannot
                fsync_path(target.parent)


def _probe(folder: Path) -> int:
    """Check that a folder can be written; returns the time by the file system's clock, in nanoseconds.

    Raises:
        OSError: it cannot.
    """
    path = folder / _PROBE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        os.utime(descriptor)
        return os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()


def _status(path: Path) -> os.stat_result | None:
    """Status of a file, links not followed; None if it does not exist."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
