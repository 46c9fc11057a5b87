"""What is wrong with a station file: every problem of it at once, each with its line, key and fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import command


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        place: the file and the line.
        key: what it is about, such as ``inspections.lid.camera``; empty for the file as a whole.
        message: what is wrong.
        fix: what to do about it.
    """

    place: str
    key: str
    message: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """The fields of ``--json``."""
        return {"place": self.place, "key": self.key, "message": self.message, "fix": self.fix}


class StationFileError(OptionError):
    """A station file has problems.

    Attributes:
        problems: each of them, in the order of the file.
    """

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            (only,) = self.problems
            super().__init__(f"{only.place}: {only.message}", only.fix)
            return
        lines = [f"{path} has {len(self.problems)} problems."]
        for problem in self.problems:
            lines += [f"  {problem.place}: {problem.message}", f"    {problem.fix}"]
        again = command("station", "check", path)
        super().__init__("\n".join(lines), f"Correct them, then run: {again}")
