"""viva's simulated GigE camera as a process: ``viva_camera.py WIDTH HEIGHT FORMAT``; ends at SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
import time

from viva_genicam.testing import FakeGigeCamera


def main() -> None:
    """Serve until SIGTERM, then print what the camera counted."""
    # In every thread, so that none takes it before this one waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    width, height, pixel_format = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    camera = FakeGigeCamera(width=width, height=height, fps=1000, pixel_format=pixel_format)
    deadline = time.monotonic() + 30
    while True:
        try:
            camera.start()
            break
        except Exception:  # the one before may still hold the port
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    print("up", flush=True)
    signal.sigwait({signal.SIGTERM})
    counts = {"software_triggers": camera.software_triggers(), "frames": camera.blocks_sent()}
    print(json.dumps(counts), flush=True)
    camera.stop()


if __name__ == "__main__":
    main()
