"""A job as a process: events, errors, and its end when the process that started it is gone."""

from __future__ import annotations

import os
import queue
import sys
from typing import Any

from dmdd_edge.jobs.process import JobProcess

WORKER = """
import json, os, signal, sys
work = json.loads(sys.stdin.readline())
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
print("no event", flush=True)
print(json.dumps({"event": "progress", "phase": work["say"]}), flush=True)
sys.stderr.write("the last line\\n"); sys.stderr.flush()
if work["say"] == "wait":
    while os.read(0, 100): pass
    print(json.dumps({"event": "alone"}), flush=True)
sys.exit(work["code"])
"""


def start(say: str, code: int = 0) -> tuple[JobProcess, queue.Queue[dict[str, Any]]]:
    events: queue.Queue[dict[str, Any]] = queue.Queue()
    words = [sys.executable, "-I", "-S", "-c", WORKER]
    return JobProcess(words, {"say": say, "code": code}, os.environ, events.put), events


def test_events_and_the_end_are_reported_with_what_was_written() -> None:
    _, events = start("hello", code=3)
    assert events.get(timeout=20) == {"event": "progress", "phase": "hello"}
    assert events.get(timeout=20) == {"event": "ended", "code": 3, "text": "the last line"}


def test_stop_asks_and_kill_ends() -> None:
    process, events = start("wait")
    events.get(timeout=20)
    process.stop()
    assert events.get(timeout=20)["code"] == 7
    process.stop()  # it is gone: nothing happens
    process, events = start("wait")
    events.get(timeout=20)
    process.kill()
    assert events.get(timeout=20)["code"] == -9


def test_a_job_sees_that_its_parent_is_gone() -> None:
    process, events = start("wait")
    events.get(timeout=20)
    stdin = process._process.stdin
    assert stdin is not None
    stdin.close()  # as the system does for a process that is killed
    assert events.get(timeout=20) == {"event": "alone"}
    assert events.get(timeout=20)["code"] == 0
