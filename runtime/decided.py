"""The result of one frame, from its map and its score."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import normalized_score
from dmdd_edge.runtime.regions import find_regions, lacks_room
from dmdd_edge.runtime.result import Region, Result, Status, Timings
from dmdd_edge.runtime.strips import keep_own, rows_not_inspected, score_of_whole

if TYPE_CHECKING:
    from dmdd_edge.runtime.steps import Prepared


def decided(
    item: Prepared,
    raw_map: NDArray[np.float32],
    score: float,
    infer_ms: float,
    threshold: EffectiveThreshold,
    bundle: Bundle,
    inspected: float = 1.0,
    precision: str = "",
) -> Result:
    """Decide on a frame.

    Args:
        item: the frame, as it was prepared.
        raw_map: its map, float32 rows x columns of the view; joined where the category is tiled.
        score: of the graph, or of the joined map; of a strip the score is that of what it owns.
        infer_ms: time of the graph.
        threshold: in use.
        bundle: the frame was prepared for, with region of interest, rotation, tiles and mask.
        inspected: share of its tiles that were inspected; below 1 it was ended early, as anomalous.
        precision: that the backend runs.
    """
    start = time.perf_counter()
    geometry = item.geometry
    # A copy, unless it was joined: a result must not hold its whole batch in memory.
    anomaly_map = np.array(raw_map) if geometry.tiling is None else raw_map
    reason, frame, limit = item.reason, item.frame, threshold.image
    if not (math.isfinite(score) and math.isfinite(float(anomaly_map.max()))):
        # A comparison with not-a-number is false, and false would read as good.
        reason, score = "the model returned NaN or infinity", math.nan
        anomaly_map = np.nan_to_num(anomaly_map, nan=0.0, posinf=1.0, neginf=0.0)
    if geometry.ignored is not None and geometry.tiling is None:  # a joined map is 0 there
        anomaly_map[geometry.ignored] = 0
    if geometry.inspected == 0:
        reason = "nothing is inspected: the ignore mask covers the whole region"
    if frame.strip is not None:
        lowest = threshold.pixel if threshold.suspect_pixel is None else threshold.suspect_pixel
        of_whole = score_of_whole(score, anomaly_map, geometry)
        anomaly_map, own_score = keep_own(anomaly_map, geometry, frame.strip, min(lowest, threshold.pixel))
        score = score if math.isnan(score) else max(own_score, of_whole)
        reason = reason or rows_not_inspected(frame.strip, geometry) or None
    # Otherwise every part would pass, whatever its score.
    reason = reason or lacks_room(threshold.gate, geometry) or None

    @cache
    def regions_above(level: float) -> tuple[Region, ...]:
        found = find_regions(anomaly_map, level, geometry, threshold.gate)
        return found if frame.strip is None else frame.strip.along_web(found, threshold.gate.mm_per_px)

    judgment = threshold.decide(score, lambda level: bool(regions_above(level)))
    if inspected < 1 and judgment != "anomalous" and not reason:
        reason = "the inspection was ended early, at a threshold that was raised since"
    status: Status = "unreliable" if reason else judgment
    lower = threshold.suspect_pixel if status == "suspect" else None
    return Result(
        source=frame.source,
        index=frame.index,
        status=status,
        time=frame.time,
        score=score,
        normalized_score=math.nan if math.isnan(score) else normalized_score(score, limit),
        threshold=limit,
        is_anomalous=judgment == "anomalous",
        anomaly_map=anomaly_map,
        regions=regions_above(threshold.pixel if lower is None else lower),
        timings=Timings(frame.capture_ms, item.prepare_ms, infer_ms, 1000 * (time.perf_counter() - start)),
        dropped=frame.dropped,
        reason=reason or "",
        pixel_threshold=threshold.pixel,
        preprocess=bundle.manifest.preprocess,
        geometry=geometry,
        frame_id=frame.frame_id,
        device_time_ns=frame.device_time_ns,
        category=bundle.category,
        version=bundle.version,
        precision=precision,
        look=item.look,
        strip=frame.strip,
        mm_per_px=threshold.gate.mm_per_px,
        suspect_threshold=threshold.suspect,
        stopped_early=inspected < 1,
        inspected=inspected,
        gated=not reason and score > limit and judgment != "anomalous",
    )
