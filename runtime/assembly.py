"""A run from its options, for the command line and for Python: opens the source, the bundle and the sinks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dmdd_edge.arguments import check_instance
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.callbacks import CallbackSink, Caller
from dmdd_edge.runtime.challenge.report import ChallengeReport
from dmdd_edge.runtime.challenge.start import challenge_at_start, publish, remark
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.hints import FirstFrames, options_of
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.opened import Opened
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.run import RunOptions
from dmdd_edge.runtime.outputs import Outputs, Producer, open_outputs
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sinks.json_lines import JsonLines, check_same_strips
from dmdd_edge.runtime.sources import Source, open_source, open_sources
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.runtime.verdict import Verdict, reach_verdict
from dmdd_edge.runtime.version_watch import VersionWatch
from dmdd_edge.workspace import find_bundle

if TYPE_CHECKING:
    from dmdd_edge.runtime.archive.sink import ArchiveSink
    from dmdd_edge.runtime.page import Page

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunOutcome:
    """What a run did.

    Attributes:
        summary: counts, latency, throughput.
        verdict: whether everything was processed and is good.
        written: what was written: of what, where, and how many.
        resumed: how many frames an earlier run had finished; None when the run did not resume one.
        live: whether the source is a camera or a stream.
        lost: of a live source: a sentence about what was wrong when the run ended; empty when nothing was.
        archive: what kept images, with their number by reason; None without an archive.
    """

    summary: Summary
    verdict: Verdict
    written: tuple[tuple[str, Path, int], ...] = ()
    resumed: int | None = None
    live: bool = False
    lost: str = ""
    archive: ArchiveSink | None = None


def run_source(
    options: RunOptions,
    *,
    sinks: Sequence[Sink] = (),
    on_result: Callable[[Frame, Result], None] | None = None,
    on_error: Callable[[BrokenFrame], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    say: Say = logging.getLogger("dmdd_edge").info,
) -> RunOutcome:
    """Process every frame of a source with a bundle; nothing is printed.

        from pathlib import Path
        from dmdd_edge import RunOptions, run_source

        options = RunOptions(source="parts/", category="screw", jsonl=Path("results.jsonl"))
        outcome = run_source(options, on_result=lambda frame, result: print(frame.name, result.status))
        print(outcome.summary.anomalous, outcome.verdict.passed)

    Reading, inference and writing work at the same time. For a loop that only needs results,
    ``Detector.stream`` is simpler.

    Args:
        options: what is processed, with which bundle, and where results go.
        sinks: the caller's own sinks; each result reaches them after the files that the options name.
        on_result: called with each frame (uint8 H x W x 3, BGR) and its result, in order, from one thread,
            after it is in the files that the options name.
        on_error: called with each frame that could not be read.
        stop: polled twenty times per second; true ends the run after the frames that are in progress.
        say: receives what a person should know, one line each; default: Python's log.

    Raises:
        DmddError: the source, the bundle, the backend or an output fails, or no frame could be judged.
            Also whatever a callback raises, which ends the run.
    """
    check_instance("options", options, RunOptions, "RunOptions")
    check_instance("sinks", sinks, (list, tuple), "a list of sinks")
    caller, callbacks = Caller(stop, say), CallbackSink(on_result, on_error)
    with AssembledRun(options, say=caller.say, stopping=caller.stop) as assembled:
        outcome = assembled.process(last=[*sinks, callbacks])
    caller.check()
    for problem in (outcome.verdict.nothing, outcome.verdict.no_frame if outcome.live else None):
        if problem is not None:
            raise problem
    return outcome


class AssembledRun(Opened):
    """A run whose parts are open; to be used in a ``with`` block, and processed once.

    Args:
        options: what is processed, with which bundle, and where results go.
        say: receives what a person should know, one line each.
        stopping: whether the user wants the run to end.
        reloading: whether the user wants the bundle loaded again; true once for each wish.
        prepare: called with the bundle's folder and the backend's options before the bundle is loaded.

    Attributes:
        source: where frames come from.
        detector: what the run starts with.
        endless: whether the source continues until the user ends the run.
        total: how many frames this run will process; None when that is not known.
        outputs: the open sinks.
    """

    source: Source
    detector: Detector
    outputs: Outputs

    def __init__(
        self,
        options: RunOptions,
        say: Say,
        stopping: Callable[[], bool] = lambda: False,
        reloading: Callable[[], bool] = lambda: False,
        prepare: Callable[[Path, BackendOptions], None] = lambda path, options: None,
    ) -> None:
        super().__init__()
        self._options, self._say = options, say
        self._stopping, self._reloading, self._prepare = stopping, reloading, prepare

    def _open(self, stack: ExitStack) -> None:
        options = self._options
        path = find_bundle(options.category, options.model, options.models_dir)
        # The source before the graph: a wrong path should not wait for that to load.
        self.source = _open_source(options)
        stack.callback(self.source.stop)
        self.source.say = self._say
        self.endless = self.source.live or options.watch is not None
        # Frames that come at their own pace are processed one at a time, which has the shortest delay.
        slots = 1 if self.endless or self.source.total == 1 else 2
        backend_options = options.pick(BackendOptions, slots=slots)
        self._prepare(path, backend_options)

        def load() -> Detector:
            return Detector.load(
                path,
                options.backend,
                options=backend_options,
                **options.given_limits(),
                stop_early=options.stop_early,
                strip=options.strip,
                say=lambda line: self._say(f"warning: {line}"),
            )

        self.detector = load()
        changed = options.threshold is not None and not options.challenge
        if changed and (about := remark(self.detector.bundle, self.detector.threshold.image)):
            self._say(about)
        self._control = RunControl(self.detector, self.source, load, self._say)
        stack.callback(lambda: self._control.detector.close())
        self._versions = VersionWatch(path, self._control.version)
        # A resumed run counts against --limit only what it processes itself.
        self.total = self.source.total
        if self.total is not None and options.limit is not None and not options.resume:
            self.total = min(self.total, options.limit)

    def process(
        self, first: Sequence[Sink] = (), last: Sequence[Sink] = (), lines: TextIO | None = None
    ) -> RunOutcome:
        """Open the outputs and process every frame.

        Args:
            first: sinks that receive a result before all others.
            last: sinks that receive it after all others.
            lines: a text stream that receives the JSON lines, such as standard output; it stays open.
        """
        options, source = self._options, self.source
        challenge = challenge_at_start(self.detector) if options.challenge else None
        outputs = self.outputs = open_outputs(
            options, _producer(self._control, source, self.endless), self._stack, self._stopping, self._say
        )
        if outputs.archive is not None:
            self._control.statistics.archive = outputs.archive.figures
        if lines is not None:
            last = [JsonLines(lines, outputs.files), *last]
        known = [count for count in (self.total, options.limit) if count is not None]
        hints = FirstFrames(self._control, min(known) if known else None, self._say)
        if outputs.resume is not None:
            if options.jsonl is not None and options.jsonl.is_file():
                check_same_strips(options.jsonl, options.strip)
            source.skip = outputs.resume.skip
        watched = _drift(options, self._control, [*outputs.sinks, *last], self._say)
        sinks = [*first, hints, *watched, *outputs.sinks, *last]
        if challenge is not None:
            publish(challenge, sinks, self._say)
        summary = run_frames(self.detector, source, sinks, options.limit, self._ended(), self._control)
        state = source.state()
        before = Counter[str]() if outputs.resume is None else outputs.resume.skipped
        return RunOutcome(
            summary,
            _with_challenge(reach_verdict(summary, state, self.endless, before), challenge),
            tuple(outputs.written()),
            None if outputs.resume is None else before.total(),
            source.live,
            f"{state.name} was lost when the run ended: {state.message}"
            if source.live and state.message
            else "",
            outputs.archive,
        )

    def _ended(self) -> Callable[[], bool]:
        """Whether the run is to end now; also what asks for another bundle."""
        duration, window = self._options.duration, self.outputs.window
        deadline = None if duration is None else time.monotonic() + duration

        def ended() -> bool:
            if self._reloading() or self._versions.changed():
                self._control.request_reload()
            out_of_time = deadline is not None and time.monotonic() >= deadline
            return self._stopping() or out_of_time or (window is not None and window.ended)

        return ended


def _with_challenge(verdict: Verdict, challenge: ChallengeReport | None) -> Verdict:
    """The verdict on a run whose detector was seen to miss known-bad parts: it passes nothing."""
    if challenge is None or challenge.passed:
        return verdict
    return replace(verdict, failed={**verdict.failed, "known-bad parts not found": len(challenge.lost)})


def _drift(options: RunOptions, control: RunControl, sinks: Sequence[Sink], say: Say) -> list[Sink]:
    if not options.drift:
        return []
    from dmdd_edge.runtime.drift.sink import RunDrift

    bundle = control.detector.bundle
    precision = bundle.precision or None
    calibrate = command("calibrate", **options_of(bundle), precision=precision, source="GOOD_PARTS")
    return [RunDrift(control, options.drift_frames, options.drift_state, sinks, say, calibrate)]


def _producer(control: RunControl, source: Source, endless: bool) -> Producer:
    def page(address: str, token: str | None, archive: Path | None) -> Page:
        from dmdd_edge.runtime.page import open_page

        return open_page(address, control, token, archive)

    return Producer(
        page,
        {"category": control.category, "version": lambda: control.version},
        live=source.live,
        endless=endless,
        root=source.root,
        names=lambda: getattr(source, "names", ()),
        fps=None if source.live else source.state().fps,
        counted=source.total is not None,
    )


def _open_source(options: RunOptions) -> Source:
    settings = options.pick(
        SourceOptions,
        watch=options.watch is not None,
        # What was dropped while nobody watched is owed too; the results say what has been processed.
        watch_existing=options.watch_existing or (options.resume and options.watch is not None),
    )
    if options.sources:
        return open_sources(options.sources, settings)
    name = options.watch if options.watch is not None else options.source
    assert name is not None  # the options need one of the two
    return open_source(name, settings)
