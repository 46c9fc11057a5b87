"""JSON lines: one line per frame or part, the summary last; to a stream or to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.line_file import LineFile
from dmdd_edge.runtime.sinks.line_stream import LineStream
from dmdd_edge.runtime.summary import Summary


class JsonLines(LineStream):
    """Writes to an open text stream, which stays open; see ``LineStream``.

    Args:
        stream: for example standard output.
        options: of the run.
    """

    def __init__(self, stream: TextIO, options: FileOptions = FileOptions()) -> None:
        super().__init__(stream, options)

    def result(self, frame: Frame, result: Result) -> None:
        """Write a line of type ``result``."""
        self.write(_encode(result.to_json()))

    def broken(self, frame: BrokenFrame) -> None:
        """Write a line of type ``error``."""
        self.write(_encode(error_line(frame)))

    def line(self, fields: dict[str, Any]) -> None:
        """Write a line of another type."""
        self.write(_encode(fields))

    def summary(self, summary: Summary) -> None:
        """Write the line of type ``summary``."""
        self.write(_encode(summary.to_json()))


class JsonLinesFile(LineFile):
    """Writes the same lines to a file; see ``LineFile`` and ``FileOptions``.

    Example:
        >>> from pathlib import Path
        >>> from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
        >>> sink = JsonLinesFile(Path("out/results.jsonl"))  # doctest: +SKIP

    Args:
        path: the file; its folder is created.
        options: how it is written.

    Raises:
        DmddError: as of ``LineFile``.
    """

    def __init__(self, path: Path, options: FileOptions = FileOptions()) -> None:
        super().__init__(path, JsonFormat(), options)
        # A run that is resumed after its end adds nothing, not even another summary.
        self._has_summary = bool(self.done) and _type_of(self.last) == "summary"

    def result(self, frame: Frame, result: Result) -> None:
        """Write a line of type ``result``, unless the file has it."""
        if not self.done.ignores(frame.index):
            self._write(result.to_json())

    def broken(self, frame: BrokenFrame) -> None:
        """Write a line of type ``error``, unless the file has it."""
        if not self.done.ignores(frame.index):
            self._write(error_line(frame))

    def line(self, fields: dict[str, Any]) -> None:
        """Write a line of another type."""
        self._write(fields)

    def summary(self, summary: Summary) -> None:
        """Write the line of type ``summary``, unless no line was written since an earlier one."""
        if not self._has_summary:
            self._write(summary.to_json())

    def _write(self, line: dict[str, Any]) -> None:
        self._has_summary = False
        self.write(_encode(line))


class JsonFormat:
    """The lines above, read back."""

    header = b""
    opening = b'{"type": "'

    def is_first(self, line: bytes) -> bool:
        """Whether it is an object of one of the types that a run writes."""
        return _type_of(line) in ("result", "error", "summary", "part", "missed", "drift", "challenge")

    def read_back(self, source: str) -> str:
        """Unchanged: JSON keeps every character."""
        return source

    def frame_of(self, line: bytes) -> tuple[str, str] | None:
        """Source and status of a line of type ``result`` or ``error``."""
        try:
            fields = json.loads(line)
            kind = fields["type"]
            if kind in ("result", "error"):
                return str(fields["source"]), "error" if kind == "error" else str(fields["status"])
        except (ValueError, TypeError, KeyError):
            pass
        return None


def check_same_strips(path: Path, overlap: int | None) -> None:
    """Refuse to continue results of strips that overlap otherwise: rows between two of them would be in none.

    Args:
        path: a file of JSON lines.
        overlap: of this run, in rows; None without strips.

    Raises:
        OptionError: the last result of the file has another one.
    """
    last = b""
    with path.open("rb") as stream:
        for line in stream:
            if line.startswith(b'{"type": "result"') and line.endswith(b"\n"):
                last = line
    if _type_of(last) != "result":
        return
    strip = json.loads(last).get("strip")
    earlier = strip.get("overlap") if isinstance(strip, dict) else None
    if earlier != overlap:
        given = "without --strip" if overlap is None else f"with --strip {overlap}"
        raise OptionError(
            f"{path} holds results {'without --strip' if earlier is None else f'of --strip {earlier}'}; "
            f"continued {given}, rows of the web would be in no strip.",
            "Give the same --strip, or name another file.",
        )


def error_line(frame: BrokenFrame) -> dict[str, Any]:
    """Fields of the line about a frame that could not be read."""
    return {
        "type": "error",
        "source": frame.source,
        "index": frame.index,
        "message": frame.error.message,
        "fix": frame.error.fix,
    }


def _encode(line: dict[str, Any]) -> bytes:
    # A file name that is not UTF-8 has characters that only an escape can represent; JSON restores them.
    text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _type_of(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["type"])
    except (ValueError, TypeError, KeyError):
        return None
