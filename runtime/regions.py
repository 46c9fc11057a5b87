"""Regions: the connected parts of an anomaly map above the pixel threshold."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.gate import Gate
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.runtime.result import Region

#: Largest number of regions that are reported, for example of a map full of noise; highest peaks first.
MOST_REGIONS = 100


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    geometry: Geometry,
    gate: Gate = Gate(),
) -> tuple[Region, ...]:
    """The 8-connected parts of a map above a threshold, in source pixels, highest peak first.

    Args:
        anomaly_map: float32 rows x columns of the view, 0..1.
        threshold: a pixel belongs to a region if its value is greater.
        geometry: between the source image and the map; reversed for the boxes.
        gate: what a region needs besides; smaller regions are left out.
    """
    above = (anomaly_map > threshold).view(np.uint8)
    if not above.any():
        return ()
    count, components, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    labels: NDArray[np.int32] = np.asarray(components, dtype=np.int32)
    source_pixels = geometry.source_pixels
    if gate:
        areas = stats[:, cv2.CC_STAT_AREA] * source_pixels
        if not any(map(gate.admits, areas[1:])):
            return ()
    peaks = np.zeros(count, np.float32)
    marked = above.view(np.bool_)
    np.maximum.at(peaks, labels[marked], anomaly_map[marked])
    regions: list[Region] = []
    # Label 0 is the part below the threshold; its peak is 0, so it sorts last and is cut off.
    for label in np.argsort(-peaks, kind="stable")[: count - 1]:
        x, y, w, h, pixels = (int(value) for value in stats[label])
        area = pixels * source_pixels
        if gate and not gate.admits(area):
            continue
        box = geometry.box_to_source(x, y, w, h)
        peak, square_mm = float(peaks[label]), gate.square_mm(area)
        regions.append(Region(*box, max(round(area), 1), peak, square_mm))
        if len(regions) == MOST_REGIONS:
            break
    return tuple(regions)


def lacks_room(gate: Gate, geometry: Geometry) -> str:
    """Why no region of an image can be as large as a gate requires; empty if one can.

    Args:
        gate: what a region needs.
        geometry: of the image.
    """
    if not gate:
        return ""
    ignored = geometry.ignored
    rows, columns = geometry.shape
    pixels = rows * columns if ignored is None else int(np.count_nonzero(~ignored))
    room = pixels * geometry.source_pixels
    if gate.admits(room):
        return ""
    return f"no region can have the smallest area {gate.describe()}: {room:.0f}px are inspected"
