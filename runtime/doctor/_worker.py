"""The subprocess of ``subprocess_call.call``: calls one function and writes its result.

python -m dmdd_edge.runtime.doctor._worker MODULE:FUNCTION ARGUMENTS HANDLE
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from dmdd_edge.errors import DmddError


def reply(function: str, arguments: list[Any]) -> dict[str, Any]:
    """Call a function and return the fields of a ``Reply``.

    Args:
        function: ``module:name``.
        arguments: what to call it with.
    """
    module, _, name = function.partition(":")
    try:
        return {"value": getattr(importlib.import_module(module), name)(*arguments)}
    except DmddError as error:
        return {"failure": error.message, "kind": type(error).__name__, "fix": error.fix}
    except (Exception, SystemExit) as error:  # broken packages raise anything, and some of them exit
        kind = type(error).__name__
        first = (str(error) or kind).strip().splitlines()[0]
        return {"failure": f"{kind}: {first}", "kind": kind}


def main() -> None:
    """Reply to ``sys.argv``: MODULE:FUNCTION, its arguments as JSON, the file handle to write to."""
    function, arguments, handle = sys.argv[1:]
    written = json.dumps(reply(function, json.loads(arguments)))
    with os.fdopen(int(handle), "w", encoding="utf-8") as file:
        file.write(written)
        file.flush()
        # A library that crashes while it is unloaded has already replied, so that is not a failure.
        os._exit(0)
