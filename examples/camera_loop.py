"""Inspect a camera until Ctrl-C: ``python camera_loop.py models/screw /dev/video0``.

The source is anything that ``dmdd-edge run --source`` accepts: a camera, rtsp://, http://, a video, a folder.
The stream delivers the newest frame; frames that arrive while one is processed are dropped and counted. A
camera that is unplugged is opened again when it is back.
"""

import contextlib
import logging
import sys

from dmdd_edge import Detector, SourceError


def main(bundle: str, source: str) -> int:
    """Print a line per frame; returns the exit code."""
    logging.basicConfig()  # prints when the camera is lost and when it is back
    counts: dict[str, int] = {"good": 0, "anomalous": 0, "unreliable": 0}
    with Detector.load(bundle) as detector, contextlib.suppress(KeyboardInterrupt):
        try:
            for result in detector.stream(source):
                # With a band, see calibrate --suspect-rate, there are suspect frames too.
                counts[result.status] = counts.get(result.status, 0) + 1
                note = f", {result.dropped} frames dropped before it" if result.dropped else ""
                print(f"{result.status}: {result.score:.3f} in {result.timings.total:.0f} ms{note}")
        except SourceError as error:
            print(error, file=sys.stderr)
            return 1
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python camera_loop.py BUNDLE SOURCE")
    sys.exit(main(sys.argv[1], sys.argv[2]))
