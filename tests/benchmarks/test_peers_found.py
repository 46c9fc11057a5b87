"""What is found among anomalib's models and ours, and how it is shown."""

from __future__ import annotations

from typing import Any

from peers import as_good, declared, table


def test_what_is_declared_has_its_published_figure() -> None:
    for name, peer in declared.PEERS.items():
        assert not peer.published or peer.published in declared.PUBLISHED, name
        assert peer.accurate == (peer.making == "fit")
    assert declared.published("reverse_distillation", "screw") == 0.996
    assert declared.published("efficient_ad", "screw") is None
    assert declared.published("reverse_distillation", "plate") is None


def row(ratio: float, measured: float | None = None, published: float | None = None) -> dict[str, Any]:
    figures = {"image_auroc": 0.5, "pixel_auroc": measured, "pro": 0.25}
    return {
        "shown": f"peer of {ratio:g}",
        "epochs": 30 if measured else 0,
        "accuracy": None if measured is None else figures,
        "published": "",
        "published_pixel_auroc": published,
        "latency_ms": {"p50": 10 * ratio, "p90": 11 * ratio},
        "ratio": ratio,
        "low": ratio - 0.1,
        "high": ratio + 0.1,
        "peak_resident_mib": 99.6,
        "file_bytes": 1_260_000,
        "train_seconds": 90 if measured else None,
        "not_reliable_because": [],
    }


def category(own: float, **peers: dict[str, Any]) -> dict[str, Any]:
    ours = {**row(1.0, own), "shown": "dmdd-edge, lite", "epochs": 1, "ratio": None, "train_seconds": 600}
    return {"own": ours, "peers": peers, "not_measured": {"glass": "no module"}}


FIGURES = {
    "screw": category(0.9904, rd=row(13, None, 0.996), patch=row(2, 0.98), small=row(3, None, 0.986)),
    "bottle": category(0.99, rd=row(12, None, 0.984), patch=row(2, 0.991), small=row(4, None, 0.986)),
}


def test_the_fastest_whose_published_figure_is_as_good() -> None:
    """What is measured here has no say in it; 0.990 is as good as 0.9904, as published figures go."""
    assert as_good.find(FIGURES, ["screw"], 0.0)["as_good"] == ["rd"]
    assert as_good.find(FIGURES, ["screw"], 0.005)["as_good"] == ["small", "rd"]
    assert as_good.find(FIGURES, ["bottle"], 0.0)["as_good"] == []
    both = as_good.find(FIGURES, ["screw", "bottle"], 0.006)
    assert (both["fastest"], both["ratio"], both["as_good"]) == ("small", 3, ["small", "rd"])
    assert as_good.find(FIGURES, ["screw", "bottle"], 0.0)["fastest"] is None
    rounded = {"screw": category(0.9904, even=row(2, None, 0.990))}
    assert as_good.find(rounded, ["screw"], 0.0)["fastest"] == "even"


def test_what_was_found_in_words() -> None:
    lines = as_good.sentences(FIGURES, as_good.all_findings(FIGURES))
    assert lines[0] == (
        "screw: dmdd-edge against peer of 2: I-AUROC +0.00, P-AUROC +1.04, PRO +0.00 points; "
        "the other takes 2.00 times as long."
    )
    assert "P-AUROC -0.10" in lines[1]
    assert lines[2] == (
        "screw: published P-AUROC as good as dmdd-edge's: the fastest is peer of 13; "
        "it takes 13.0 times as long."
    )
    assert "as good as dmdd-edge's or at most 0.5 points below: the fastest is peer of 3;" in lines[3]
    assert lines[4] == ("bottle: published P-AUROC as good as dmdd-edge's: none of the timed variants.")
    assert lines[6].startswith("every category: ")
    assert lines[-1].startswith("Published, but not timed: PatchCore, ResNet-18;")


def test_the_table_in_markdown() -> None:
    lines = table.markdown("screw", FIGURES["screw"]).splitlines()
    assert lines[0] == "### screw"
    assert lines[2].startswith("| model | I-AUROC | P-AUROC | PRO |")
    assert lines[4] == (
        "| dmdd-edge, lite | 50.00 | 99.04 | 25.00 |  | 10.00 | 11.00 | 1 | 100 | 1.3 | 10.0 |"
    )
    assert lines[5].startswith(
        "| peer of 2, 30 epochs | 50.00 | 98.00 | 25.00 |  | 20.00 | 22.00 | 2.00 (1.9"
    )
    assert lines[6].startswith(f"| peer of 3 | {table.NOT_MEASURED} |  |  | 98.6 | 30.00 |")
    assert lines[-1] == "Not measured: glass: no module"


def test_a_row_that_cannot_be_relied_on_says_so() -> None:
    found = category(0.9, loud={**row(2), "not_reliable_because": ["others took 40 %"]})
    assert "2.00 (1.90 to 2.10) (unreliable)" in table.markdown("screw", found)


def test_the_table_for_a_screen_is_aligned() -> None:
    lines = table.plain("screw", FIGURES["screw"]).splitlines()[1:5]
    medians = ("10.00", "20.00", "30.00", "130.00")
    ends = {line.index(f" {text} ") + len(text) for line, text in zip(lines, medians, strict=True)}
    assert len(ends) == 1
