"""The steps of a container file, for a script that does them without a container engine.

    python deploy/steps.py deploy/cpu.Dockerfile TARGET=cpu-x86

prints a line for each step, tab-separated: the stage's number, the kind (`network`, `offline`, `copy` or
`stage`) and the text. RUN (`offline` with --network=none) and COPY are steps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_OFFLINE = "--network=none "


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        stage: number of the stage, from 0.
        kind: `network` or `offline` for a command, `copy` for files of the clone, `stage` for files of an
            earlier stage.
        text: the command, or `SOURCE TARGET`.
    """

    stage: int
    kind: str
    text: str


def instructions(text: str) -> list[tuple[str, str]]:
    """Name and text of each instruction; continued lines are joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def steps(text: str, arguments: Mapping[str, str]) -> list[Step]:
    """The steps of a container file in their order.

    Args:
        text: of the file.
        arguments: values of its ARGs.

    Raises:
        SystemExit: an ARG has no value, or an instruction is unknown.
    """
    found: list[Step] = []
    stage, values = -1, dict(arguments)
    for name, rest in instructions(text):
        if name == "FROM":
            stage += 1
        elif name == "ARG":
            argument, _, default = rest.partition("=")
            values.setdefault(argument, default)
        elif name == "RUN":
            kind = "offline" if rest.startswith(_OFFLINE) else "network"
            found.append(Step(stage, kind, rest.removeprefix(_OFFLINE)))
        elif name == "COPY":
            for argument, value in values.items():
                rest = rest.replace(f"${{{argument}}}", value)
            if "$" in rest:
                sys.exit(f"COPY {rest}: an argument has no value.")
            from_stage = rest.startswith("--from=")
            copied = rest.partition(" ")[2] if from_stage else rest
            found.append(Step(stage, "stage" if from_stage else "copy", copied))
        elif name not in ("ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"):
            sys.exit(f"{name} is an instruction that the script does not know.")
    return found


def main() -> None:
    """Print the steps of a file."""
    path, *pairs = sys.argv[1:]
    arguments = dict(pair.split("=", 1) for pair in pairs)
    for step in steps(Path(path).read_text(encoding="utf-8"), arguments):
        print(step.stage, step.kind, step.text, sep="\t")


if __name__ == "__main__":
    main()
