"""The table of whole stations: under triggers, under too many of them, and under faults."""

from __future__ import annotations

from common import markdown_table
from results_files import result


def station() -> str:
    """What was counted at the PLC, in the files and in the station, and how long things took."""
    triggers, over = result("station_triggers")["figures"], result("station_overload")["figures"]
    chaos, four = result("station_chaos")["figures"], result("station_processes")["figures"]
    recipes = result("station_recipes")["figures"]
    gige = triggers["viva, modbus"]
    rest, graph = gige["neither_camera_nor_graph_ms"], gige["graph_ms"]
    growth, shown = over["memory_growth_mib"], over["memory_mib_by_second"]
    lines = [
        [
            f"GigE camera, {gige['triggers']} triggers over Modbus",
            f"{gige['parts_in_the_summary']} parts, {gige['missed']} missed",
        ],
        [
            "neither camera nor graph in a part, median and p90",
            f"{rest['p50']:.1f} and {rest['p90']:.1f} ms, beside a graph of {graph['p50']:.0f} ms",
        ],
        [
            f"{over['triggers']} triggers in a minute",
            f"{over['answered']['plc']} answered, {over['refused']['plc']} refused and reported",
        ],
        [
            "memory in that minute, at 10, 30 and 60 s",
            " ".join(f"{size:.0f}" for size in shown.values()) + " MiB",
        ],
        ["its growth from 10 s on", f"{growth:.1f} MiB"],
        *(
            [
                f"{what}, {scene[times]} times",
                f"{scene['violations']} wrong answers of {scene['answers_checked']}" + _back(scene.get(back)),
            ]
            for what, scene, times, back in (
                ("station killed", chaos["kill"], "killed", "ready_after_start_s"),
                # Of a short loss, Ready does not fall: the time until it is back would be flattery.
                ("camera gone or frozen", chaos["camera"], "camera_gone", ""),
                ("PLC gone", chaos["plc"], "plc_gone", "back_after_s"),
                ("disk full", chaos["disk"], "disk_full", "back_after_s"),
            )
        ),
        [
            f"{recipes['changes']} changes of recipe under triggers",
            f"{recipes['parts_judged_by_another_recipe']} of {recipes['parts']} parts judged by another one",
        ],
        ["four bundles in one process, memory against four processes", f"{four['memory_ratio']:.2f} times"],
        ["the same, throughput", f"{four['throughput_ratio']:.2f} times"],
    ]
    return markdown_table(["measure", "value"], lines, left=2)


def _back(seconds: dict[str, float] | None) -> str:
    """When the station was ready again."""
    return (
        "" if seconds is None else f"; ready after {seconds['p50']:.1f} s, at most {seconds['largest']:.1f} s"
    )
