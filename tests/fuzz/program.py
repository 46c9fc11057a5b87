"""The program, loaded once and forked for each command line, which it then runs as if newly started.

Reads one JSON object a line: ``argv``, ``limit`` in seconds, ``nobody`` (without rights and home);
answers with ``code`` (None when it had to be killed), ``out``, ``err`` and ``seconds``.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
import struct
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from typing import Any


def run_line(argv: list[str], limit: float, nobody: bool) -> dict[str, Any]:
    """Run one command line in a child."""
    streams = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - closed below, when they were read
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_program(argv, [stream.fileno() for stream in streams], nobody)
    status = None
    while time.monotonic() - start < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
        status = None
    if status is None:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    texts = []
    for stream in streams:
        stream.seek(0)
        texts.append(stream.read().decode("utf-8", "replace"))
        stream.close()
    code = None if status is None else os.waitstatus_to_exitcode(status)
    return {"code": code, "out": texts[0], "err": texts[1], "seconds": time.monotonic() - start}


def _be_the_program(argv: list[str], streams: list[int], nobody: bool) -> None:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(streams[0], 1)
        os.dup2(streams[1], 2)
        if nobody:
            _give_up_rights()
        sys.argv = ["dmdd-edge", *argv]
        from dmdd_edge.cli.main import main

        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _give_up_rights() -> None:
    """Become a user who may write only what its permissions allow, and who has no home.

    The user's number stays: Python itself may be where no other user may read.
    """
    version_3, mine = 0x20080522, 0
    header = struct.pack("Ii", version_3, mine)
    if ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")
    os.environ.pop("HOME", None)

    def unknown(user: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    pwd.getpwuid = unknown


def serve() -> None:
    """Answer requests until standard input ends."""
    # Loaded before the fork, for all children.
    import cv2
    import onnxruntime  # noqa: F401
    import torch

    import dmdd_edge.cli.main
    import dmdd_edge.export.pipeline
    import dmdd_edge.train.session  # noqa: F401

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Answers go where no child can write.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answers.write(json.dumps(run_line(asked["argv"], asked["limit"], asked["nobody"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
