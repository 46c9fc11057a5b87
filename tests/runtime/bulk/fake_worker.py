"""A process that answers shards without a detector; a name can end it."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import At, Done, Failed, Ready, Task


def answer(pipe: Connection, task: Task) -> None:
    """The data of a shard are its names.

    The name ``once:PATH`` ends the process if the file of that path is not there yet, ``always`` ends it each
    time, and ``refuse`` is an error that a user can fix.
    """
    pipe.send(Ready({"pid": os.getpid()}, "none", []))
    while True:
        try:
            shard: Shard = pipe.recv()
        except EOFError:
            return
        names = []
        for index, name in enumerate(shard.names, shard.first):
            if index in shard.fatal:
                names.append(shard.fatal[index])
                continue
            pipe.send(At(index, len(names)))
            if name == "refuse":
                pipe.send(Failed("The GPU is gone.", "Check it."))
                return
            if name.startswith("once:") and not Path(name[5:]).exists():
                Path(name[5:]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "always":
                os.kill(os.getpid(), signal.SIGKILL)
            names.append(name)
        pipe.send(Done(len(names), "\n".join(names).encode(), {}))
