"""Make the images of README and docs from the drawn plates of `make demo`.

    make demo
    python docs/make_images.py

`parts.webp` shows a good part, a defective part and its overlay. `live-page.webp` is a screenshot of the live
page, taken with Chromium while a replayed camera delivers the test images; without Chromium it is kept.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PROGRAM = (sys.executable, "-c", "from dmdd_edge.cli.main import main; main()")
GOOD, DEFECTIVE = "good/000.png", "scratch/000.png"
SIDE, GAP = 384, 12
#: Frames per second of the replayed camera, good frames per defective one, and seconds before the screenshot.
RATE, GOOD_PER_DEFECTIVE, SECONDS = 4, 3, 25
#: Longest wait for the live page, in seconds.
PATIENCE = 60.0

Image = NDArray[np.uint8]


def parts(test: Path, bundle: list[str], scratch: Path) -> Image:
    """A good part, a defective part and the defective part's overlay, side by side.

    Returns:
        uint8 BGR, ``SIDE`` pixels high.
    """
    overlays = scratch / "overlays"
    command = [*PROGRAM, "run", *bundle, "--source", str(test / DEFECTIVE), "--quiet"]
    subprocess.run([*command, "--save", str(overlays), "--no-save-caption"], check=True)
    (overlay,) = overlays.rglob("*.png")
    tiles = [square(read(path)) for path in (test / GOOD, test / DEFECTIVE, overlay)]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    return np.hstack([tiles[0], gap, tiles[1], gap, tiles[2]])


def live_page(test: Path, bundle: list[str], scratch: Path, browser: str, port: int) -> Image:
    """A screenshot of the live page while a replayed camera delivers the test images.

    Returns:
        uint8 BGR.
    """
    sys.path.insert(0, str(ROOT))
    from tests.runtime.page.chromium import Chromium

    shot, address = scratch / "page.png", f"127.0.0.1:{port}"
    write_video(scratch / "camera.avi", frames(test))
    source = f"replay:camera.avi?fps={RATE}&loop=1"
    command = [*PROGRAM, "run", *bundle, "--source", source, "--serve", address, "--quiet"]
    run = subprocess.Popen(command, cwd=scratch)
    try:
        wait_until_served(f"http://{address}/healthz")
        with closing(Chromium(browser)) as chromium, chromium.tab() as window:
            window.resize(1280, 1130)
            window.call("Emulation.setScrollbarsHidden", hidden=True)
            window.open(f"http://{address}/")
            time.sleep(SECONDS)  # so that the chart shows some frames
            # A frame whose defect is plain to see: far above the threshold.
            window.until("parseFloat(document.querySelector('#verdict-score').innerText) > 0.8")
            window.screenshot(shot, whole=False)
    finally:
        run.terminate()
        run.wait(PATIENCE)
    return read(shot)


def frames(test: Path) -> list[Path]:
    """Good test images with a defective one after every ``GOOD_PER_DEFECTIVE`` of them."""
    good = sorted((test / "good").glob("*.png"))
    defective = sorted(path for path in test.glob("*/*.png") if path.parent.name != "good")
    mixed = []
    for index, path in enumerate(defective):
        first = index * GOOD_PER_DEFECTIVE
        mixed += [good[number % len(good)] for number in range(first, first + GOOD_PER_DEFECTIVE)]
        mixed.append(path)
    return mixed


def write_video(path: Path, images: list[Path]) -> None:
    """Write images of one size as a lossless video; compression would raise the scores."""
    height, width = read(images[0]).shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), RATE, (width, height))
    for image in images:
        writer.write(read(image))
    writer.release()


def wait_until_served(url: str) -> None:
    """Wait until an address answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def read(path: Path) -> Image:
    """An image, uint8 BGR."""
    image = cv2.imread(str(path))
    if image is None:
        sys.exit(f"{path} is missing or unreadable; run `make demo` first.")
    return image.astype(np.uint8, copy=False)


def square(image: Image) -> Image:
    """An image resized to ``SIDE`` x ``SIDE`` pixels."""
    way = cv2.INTER_AREA if image.shape[0] > SIDE else cv2.INTER_LINEAR
    return cv2.resize(image, (SIDE, SIDE), interpolation=way).astype(np.uint8, copy=False)


def write(name: str, image: Image) -> None:
    """Write an image into docs/images."""
    path = IMAGES / name
    cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, 82])
    print(f"wrote {path} ({path.stat().st_size // 1000} kB)")


def main() -> None:
    """Make every image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("demo/data/plate"), help="drawn category")
    parser.add_argument("--models-dir", type=Path, default=Path("demo/models"), help="folder of its bundle")
    parser.add_argument("--port", type=int, default=8765, help="free port for the live page")
    chosen = parser.parse_args()
    test = chosen.data / "test"
    bundle = ["--category", "plate", "--models-dir", str(chosen.models_dir.resolve())]
    IMAGES.mkdir(exist_ok=True)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder:
        write("parts.webp", parts(test, bundle, Path(folder)))
        if browser is None:
            print("live-page.webp is left as it is: no Chromium on PATH")
        else:
            write("live-page.webp", live_page(test, bundle, Path(folder), browser, chosen.port))


if __name__ == "__main__":
    main()
