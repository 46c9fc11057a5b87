"""The process that ``isolate.ask`` starts: calls one function and writes what it returned.

python -m dmdd_edge.runtime.doctor.child MODULE:FUNCTION ARGUMENTS HANDLE
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def answer(question: str, arguments: list[Any]) -> dict[str, Any]:
    """Call the function; the fields of an ``Answer``.

    Args:
        question: ``module:function``.
        arguments: what to call it with.
    """
    module, _, function = question.partition(":")
    try:
        return {"value": getattr(importlib.import_module(module), function)(*arguments)}
    except (Exception, SystemExit) as error:  # broken packages raise what they like, and some of them exit
        kind = type(error).__name__
        message = str(getattr(error, "message", "") or error) or kind
        first = message.strip().splitlines()[0]
        failure = first if kind == "DmddError" else f"{kind}: {first}"
        return {"failure": failure, "kind": kind, "fix": str(getattr(error, "fix", ""))}


def main() -> None:
    """Answer the question in ``sys.argv``: MODULE:FUNCTION, its arguments as JSON, the handle to write to."""
    question, arguments, handle = sys.argv[1:]
    written = json.dumps(answer(question, json.loads(arguments)))
    with os.fdopen(int(handle), "w", encoding="utf-8") as file:
        file.write(written)
        file.flush()
        # Libraries that crash while they are unloaded have given their answer; that is no failure of theirs.
        os._exit(0)
