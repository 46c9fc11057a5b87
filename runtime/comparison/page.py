"""The page of a comparison: one HTML file with the images that two versions decide differently."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.rule import ORIGINS
from dmdd_edge.data.images import read_image
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.comparison.outcome import SIDES, Comparison, Pair
from dmdd_edge.runtime.comparison.words import headline, lines
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.sinks.closeups import places, sheet
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay
from dmdd_edge.storage import make_folder, write_atomically

#: Images on the page at most, and the longest side of each drawing in pixels: three drawings per image
#: of about 20 kB each keep the page below 6 MB.
MOST_IMAGES = 80
_LONGEST, _QUALITY = 320, 80
#: Regions of a large image that are shown at full resolution, and the side of each in pixels.
_CLOSEUPS, _CLOSEUP = 2, 148

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem }
body { padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border: 1px solid #ccc; text-align: left }
figure { margin: 1rem 0; border-left: .3rem solid #7a7 } figure.worse { border-color: #c33 }
figure div { display: flex; gap: .5rem; flex-wrap: wrap; padding-left: .6rem }
figure img { max-width: 100%; display: block } figcaption { padding-left: .6rem }
p.pictured { margin: 0; font-size: .85rem; color: #555 }
"""
#: What makes a difference worse, for its color.
_WORSE = ("no longer found", "newly rejected")


def write_page(path: Path, found: Comparison, old: Detector, new: Detector) -> Path:
    """Write the page; the detectors infer the shown images again, for their maps.

    Args:
        path: the HTML file; its folder is created if needed.
        found: what is shown.
        old, new: open detectors of the two versions.

    Returns:
        the file.

    Raises:
        StorageError: it cannot be written.
        BackendError: a backend failed.
    """
    differing = found.differing
    shown = [_figure(pair, old, new) for pair in differing[:MOST_IMAGES]]
    more = len(differing) - len(shown)
    title = f"{found.new.category}: {found.old.name} and {found.new.name}"
    page = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p><strong>{escape(headline(found))}</strong></p>",
        "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines(found)) + "</ul>",
        _versions(found),
        f"<h2>Decided differently: {len(differing)} of {len(found.pairs)}</h2>",
        *shown,
        f"<p>{more} more are not shown; compare --json lists all.</p>" if more else "",
        "" if differing else "<p>Both versions decide the same on every image.</p>",
        "</body></html>\n",
    ]
    make_folder(path.parent)
    write_atomically(path, "\n".join(page))
    return path


def _versions(found: Comparison) -> str:
    rows = "".join(
        f"<tr><th>{side}</th><td>{escape(version.name)}{' (in use)' if version.in_use else ''}</td>"
        f"<td>{version.threshold:.4f} ({ORIGINS[version.origin]})</td><td>{escape(version.backend)}</td></tr>"
        for side, version in zip(SIDES, (found.old, found.new), strict=True)
    )
    return f"<table><tr><th></th><th>version</th><th>threshold</th><th>backend</th></tr>{rows}</table>"


def _figure(pair: Pair, old: Detector, new: Detector) -> str:
    caption = f"{pair.kind}: {pair.group}/{pair.path.name}"
    kind = ' class="worse"' if pair.kind in _WORSE else ""
    try:
        pictures = _pictures(pair, old, new)
    except DmddError:  # the file is gone since it was judged
        pictures = "<p>The image can no longer be read.</p>"
    return f"<figure{kind}><figcaption>{escape(caption)}</figcaption><div>{pictures}</div></figure>"


def _pictures(pair: Pair, old: Detector, new: Detector) -> str:
    image = read_image(pair.path, old.bundle.manifest.preprocess.bits)
    scale = min(1.0, _LONGEST / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown = [_picture(small, "image", pair.path.name)]
    for side, detector, verdict in ((SIDES[0], old, pair.old), (SIDES[1], new, pair.new)):
        result = detector(str(pair.path))
        drawn = draw_overlay(image, result, longest=_LONGEST, caption=False, enlarge=False)
        text = (
            f"{side}: {verdict.status}, score {verdict.score:.4f}, threshold {detector.threshold.image:.4f}"
        )
        shown.append(
            _picture(drawn, text + (f" ({verdict.reason})" if verdict.reason else ""), f"map, {side}")
        )
        if found := places(image.shape, result, _LONGEST)[:_CLOSEUPS]:
            row = sheet(image, found, _LONGEST, _CLOSEUP)
            shown.append(_picture(row, f"{side}: regions at full resolution", f"regions, {side}"))
    return "".join(shown)


def _picture(image: NDArray[np.uint8], text: str, alt: str) -> str:
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded
    source = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return f'<div><img src="{source}" alt="{escape(alt)}"><p class="pictured">{escape(text)}</p></div>'
