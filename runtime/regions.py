"""Regions: the connected parts of an anomaly map above the pixel threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.gate import Gate
from dmdd_edge.data.components import windows
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
    if not float(anomaly_map.max(initial=0)) > threshold:
        return ()
    source_pixels = geometry.source_pixels
    found: list[tuple[float, int, list[int]]] = []
    for window in windows(anomaly_map > threshold):
        counted = window.areas * source_pixels
        if gate and not any(map(gate.admits, counted)):
            continue
        peaks = np.zeros(len(counted) + 1, np.float32)
        inside = window.labels > 0
        np.maximum.at(peaks, window.labels[inside], window.of(anomaly_map)[inside])
        found += zip(peaks[1:].tolist(), window.areas.tolist(), window.boxes.tolist(), strict=True)
    # Equal peaks from the top down, and from left to right.
    found.sort(key=lambda item: (-item[0], item[2][1], item[2][0]))
    regions: list[Region] = []
    for peak, pixels, (x, y, w, h) in found:
        area = pixels * source_pixels
        if gate and not gate.admits(area):
            continue
        box = geometry.box_to_source(x, y, w, h)
        regions.append(Region(*box, max(round(area), 1), peak, gate.square_mm(area)))
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
    room = geometry.inspected * geometry.source_pixels
    if gate.admits(room):
        return ""
    return f"no region can have the smallest area {gate.describe()}: {room:.0f}px are inspected"
