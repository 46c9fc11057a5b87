"""Folders of pictures about frames: overlays, maps. One file a frame, never half a file."""

from __future__ import annotations

import contextlib
import os
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import ClassVar

from dmdd_edge.errors import DmddError
from dmdd_edge.images import IMAGE_SUFFIXES
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions, insist, reason
from dmdd_edge.runtime.sinks.syncing import sync_folder
from dmdd_edge.runtime.summary import Summary


class PictureFolder(ABC):
    """Writes files that mirror the source's folders, so that no two frames share a name.

    A file is written under a name that begins with a dot, then renamed, so that it is seen whole or not at
    all. It replaces an older one of the same name. Of a full disk see ``FileOptions``.

    Args:
        folder: where they go; made when missing.
        source_root: the source's folder; nothing is ever written into it but below ``folder``.
        only_anomalous: leave good frames out.
        options: how files are written.

    Attributes:
        suffix: of the files; see ``picture_name``.
        option: which option names the folder, for messages.
        written: how many were written.
        lost: how many a live run could not write.

    Raises:
        DmddError: the folder cannot be made.
    """

    suffix: ClassVar[str]
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
        self.written = self.lost = 0
        self._away = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DmddError(
                f"{folder} cannot be made: {error}.", f"Name another folder for {self.option}."
            ) from error
        root = source_root.resolve()
        self._forbidden = None if folder.resolve().is_relative_to(root) else root
        self._keep, self._ledger = options.keep, None
        if options.keep is not None:
            self._ledger = options.keep.ledger(folder)

    @abstractmethod
    def encode(self, frame: Frame, result: Result) -> bytes:
        """The content of the file about a frame.

        Raises:
            DmddError: this OpenCV cannot write such files.
        """

    def result(self, frame: Frame, result: Result) -> None:
        """Write the file of a frame.

        Raises:
            DmddError: it would lie among the source's images; or of a run over files, it cannot be written.
        """
        if self._only_anomalous and result.status == "good":
            return
        target = self.folder / picture_name(frame.name or f"frame-{frame.index:06d}", self.suffix)
        if self._forbidden is not None and target.resolve().is_relative_to(self._forbidden):
            raise DmddError(
                f"{target} would be written among the source's images.",
                f"Name another folder for {self.option}.",
            )
        data = self.encode(frame, result)
        if self._options.live:
            self._try(target, data)
        else:
            insist(lambda: self._write(target, data), target, self._options)
            self.written += 1

    def broken(self, frame: BrokenFrame) -> None:  # noqa: B027 - every sink has it
        """Nothing: there is no picture."""

    def summary(self, summary: Summary) -> None:  # noqa: B027 - every sink has it
        """Nothing: every file is written."""

    def close(self) -> None:
        """Say how many files are missing, if any; every other one is written."""
        if self.lost:
            self._options.note(f"{self.folder}: {self.lost} files could not be written and are lost.")

    def _try(self, target: Path, data: bytes) -> None:
        """Of a live run: write it, or do without it."""
        try:
            self._write(target, data)
        except OSError as error:
            self.lost += 1
            if not self._away:
                self._options.note(
                    f"{target} cannot be written: {reason(error)}. The run goes on without such files."
                )
            self._away = True
            return
        self.written += 1
        if self._away:
            self._options.note(f"{self.folder} can be written again; {self.lost} files are lost.")
        self._away = False

    def _write(self, target: Path, data: bytes) -> None:
        if self._keep is not None:
            self._keep.make_room(len(data), str(target))
        # The same name for the same target, so that a rest of a killed run is used up by the next; short,
        # since the target's may be as long as a name can be.
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
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if self._ledger is not None:
                name = target.relative_to(self.folder).as_posix()
                self._ledger.enter(name, found.st_size, found.st_mtime_ns)
            os.replace(part, target)  # noqa: PTH105 - the one call that replaces atomically, by its name
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        if self._options.fsync == "always":
            sync_folder(target.parent, "always")


def picture_name(name: str, suffix: str) -> str:
    """The relative path of the picture of a frame: ``a/000.png`` -> ``a/000`` + suffix; others get it added.

    ``a/000.jpg`` gives ``a/000.jpg`` + suffix. No two names of frames give the same: what ends in .png and
    would look like such an addition (``000.jpg.png``) gets one more.

    Args:
        name: a frame's name, a relative path with ``/``.
        suffix: of the picture, for example ``.png``.
    """
    path = PurePosixPath(name)
    looks_added = path.stem.lower().endswith(IMAGE_SUFFIXES)
    plain = path.suffix == ".png" and not looks_added
    return path.with_suffix(suffix).as_posix() if plain else f"{name}{suffix}"
