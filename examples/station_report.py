"""Run a station, and react to each part in Python, beside what its file says.

usage: python station_report.py STATION.toml [PARTS]

Ends after so many parts, or with Ctrl-C.
"""

import sys

from dmdd_edge import PartResult, run_station

if len(sys.argv) < 2:
    sys.exit("usage: python station_report.py STATION.toml [PARTS]")
most = int(sys.argv[2]) if len(sys.argv) > 2 else None
seen: list[int] = []


def report(part: PartResult) -> None:
    """Called after the verdict went to the PLC, in order, from a separate thread."""
    seen.append(part.trigger.part_id)
    worst = max(
        part.inspections, key=lambda each: 1.0 if each.result is None else each.result.normalized_score
    )
    verdict = "passes" if part.passed else f"is a reject: {worst.name} is {part.status}"
    print(f"part {part.trigger.part_id} of recipe {part.trigger.recipe} {verdict}", flush=True)


try:
    summary = run_station(sys.argv[1], on_part=report, stop=lambda: most is not None and len(seen) >= most)
    print(f"{summary.parts.passed} of {summary.parts.total} passed")
except KeyboardInterrupt:
    pass
