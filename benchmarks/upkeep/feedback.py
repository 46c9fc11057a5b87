"""The feedback loop: false alarms marked good by a script that knows the truth, and the threshold set again.

    python benchmarks/upkeep/feedback.py --models models --data DIR --cache DIR

For each category the good images of both folders and the defective ones are scored under a changed line:
darker, softer, JPEG. Then, for each of 50 seeds, three quarters of the good images and half of the defective
ones pass the line in random order, until there are 30 false alarms. The archive that a run would leave is:
every alarm, a random sample of the passing parts, counts. A script marks each kept part as it is. The
threshold from that archive is tried on the images that the line has not seen. The promise is also checked
against drawn scores whose true rate is known, over thousands of archives.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from common import begin, parser, write_result
from numpy.typing import NDArray

from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Record
from dmdd_edge.runtime.recalibration.evidence import read_evidence
from dmdd_edge.runtime.recalibration.proposal import propose
from upkeep.feedback_drawn import CASES, measure
from upkeep.feedback_scores import CHANGE, line_scores

Scores = NDArray[np.float64]

SEEDS = 50
#: Share of the good images that pass the line; sampling rate; false alarms that end it.
ON_LINE, SAMPLE, FALSE_ALARMS = 0.75, 0.2, 30
RATES = (0.01, 0.05)
_TIME = "2026-11-01T06:00:00Z"


def main() -> None:
    """Score, pass the line, set the threshold again, write the result."""
    made = parser(__doc__, "upkeep_feedback")
    made.add_argument("--models", type=Path, required=True, help="folder of the bundles")
    made.add_argument("--data", type=Path, required=True, help="folder of the categories, in MVTec's layout")
    made.add_argument("--cache", type=Path, required=True, help="folder where scores are kept")
    made.add_argument("--categories", nargs="+", default=["bottle", "screw"])
    made.add_argument("--archives", type=int, default=2000, help="drawn archives of each case")
    options = made.parse_args()
    machine = begin()
    figures: dict[str, Any] = {"loop": {}, "drawn": []}
    for number, case in enumerate(CASES):
        figures["drawn"].append(measure(case, options.archives, number))
        print(figures["drawn"][-1])
    for category in options.categories:
        scored = line_scores(options.models / category, options.data / category, options.cache)
        figures["loop"][category] = loop(category, scored)
        print(category, json.dumps(figures["loop"][category]))
    settings = {
        "seeds": SEEDS,
        "on_line": ON_LINE,
        "sample": SAMPLE,
        "false_alarms": FALSE_ALARMS,
        "change": CHANGE,
    }
    write_result(options.out, machine, settings, figures, ["numpy", "opencv-python", "onnxruntime"])


def loop(category: str, scored: dict[str, Any]) -> dict[str, Any]:
    """False alarms and finds before and after, on images that the line has not seen, over all seeds."""
    good, bad = (np.array([score for score in scored[name] if score is not None]) for name in ("good", "bad"))
    old, version = scored["threshold"], scored["version"]
    rows: dict[float, list[dict[str, float]]] = {alpha: [] for alpha in RATES}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        on_line, unseen = _split(good, ON_LINE, rng)
        bad_on_line, bad_unseen = _split(bad, 0.5, rng)
        stream = _until(on_line, bad_on_line, old, rng)
        with tempfile.TemporaryDirectory() as place:
            write_archive(Path(place) / "archive", category, version, old, stream, rng)
            evidence = read_evidence(ArchiveFolder(Path(place) / "archive"), category, version)
        for alpha in RATES:
            found = propose(evidence, alpha, old)
            rows[alpha].append(
                {
                    "threshold": found.new,
                    "parts": evidence.good,
                    "alarms": evidence.alarms_good,
                    "promised": max(alpha, found.attainable),
                    "before": float((unseen > old).mean()),
                    "after": float((unseen > found.new).mean()),
                    "found_before": float((bad_unseen > old).mean()),
                    "found_after": float((bad_unseen > found.new).mean()),
                }
            )
    result: dict[str, Any] = {"good": len(good), "bad": len(bad), "unseen": len(unseen), "old": round(old, 4)}
    for alpha, found_rows in rows.items():
        columns = {name: np.array([row[name] for row in found_rows]) for name in found_rows[0]}
        means = {name: round(float(column.mean()), 4) for name, column in columns.items()}
        error = float(columns["after"].std(ddof=1) / np.sqrt(SEEDS))
        result[f"{alpha:g}"] = {**means, "after_error": round(error, 4)}
    return result


def write_archive(
    path: Path,
    category: str,
    version: str,
    threshold: float,
    stream: list[tuple[float, bool]],
    rng: np.random.Generator,
) -> None:
    """The archive that a run would leave after these parts, without images; each kept part has a verdict.

    Args:
        stream: score of each part, and whether it is good.
        rng: of the random sample.
    """
    ArchiveFolder.make(path)
    day = path / "kept" / "2026-11-01"
    day.mkdir(parents=True)
    judged = {"category": category, "version": version, "threshold": threshold, "sample_rate": SAMPLE}
    verdicts: list[str] = []
    above = sampled = 0
    for index, (score, is_good) in enumerate(stream):
        alarm = score > threshold
        above += alarm
        chosen = not alarm and rng.random() < SAMPLE
        sampled += chosen
        if not (alarm or chosen):
            continue
        record = Record.model_validate(
            {
                **judged,
                "id": f"20261101T060000-{index:08d}",
                "time": _TIME,
                "status": "anomalous" if alarm else "good",
                "score": score,
                "kept": "anomalous" if alarm else "sample",
                "sampled": chosen,
                "pixel_threshold": threshold,
                "image": "kept/2026-11-01/none.png",
            }
        )
        (day / f"{record.id}.json").write_text(record.model_dump_json())
        verdicts.append(Feedback.on(record, "good" if is_good else "bad", "script").model_dump_json())
    (path / "feedback.jsonl").write_text("".join(f"{line}\n" for line in verdicts))
    counts = Counts.model_validate(
        {
            **judged,
            "since": _TIME,
            "until": _TIME,
            "good": len(stream) - above,
            "anomalous": above,
            "sampled": sampled,
        }
    )
    (path / "counts.jsonl").write_text(counts.model_dump_json() + "\n")


def _split(scores: Scores, share: float, rng: np.random.Generator) -> tuple[Scores, Scores]:
    order = rng.permutation(scores)
    at = round(share * len(scores))
    return order[:at], order[at:]


def _until(good: Scores, bad: Scores, old: float, rng: np.random.Generator) -> list[tuple[float, bool]]:
    """Good and bad parts in random order, ended by the last of the false alarms."""
    parts = [(float(score), True) for score in good] + [(float(score), False) for score in bad]
    stream, false_alarms = [], 0
    for at in rng.permutation(len(parts)):
        score, is_good = parts[at]
        stream.append((score, is_good))
        false_alarms += is_good and score > old
        if false_alarms == FALSE_ALARMS:
            break
    return stream


if __name__ == "__main__":
    main()
