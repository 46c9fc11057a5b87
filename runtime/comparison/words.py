"""What a comparison says, in sentences for a person."""

from __future__ import annotations

from dmdd_edge.bundle.threshold import percent
from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.evaluation.rates import CHANCE
from dmdd_edge.runtime.comparison.outcome import SIDES, Comparison, Count, Pair

#: Images decided differently below which the sign test cannot exclude chance, however uneven they are.
_FEWEST = 6
#: Challenge parts that a line names.
_NAMED = 5


def headline(found: Comparison) -> str:
    """The first line: finds and false alarms of both versions."""
    bad, good = found.bad, found.good
    parts = []
    if bad.images:
        parts.append(f"the new version finds {bad.new} of {bad.images} defects (the old {bad.old})")
    if good.images:
        parts.append(f"rejects {good.new} of {good.images} good parts (the old {good.old})")
    if not bad.images:
        parts[0] = f"the new version {parts[0]}"
    return f"{found.new.category}: {' and '.join(parts)}"


def lines(found: Comparison) -> list[str]:
    """The interval of each rate, and what the difference means, a line each."""
    texts = []
    for what, verb, counts in (("finds", "finds", found.bad), ("false alarms", "rejects", found.good)):
        if not counts.images:
            continue
        texts += [f"{what}, {side}: {counts.rate(side).describe()}" for side in SIDES]
        texts.append(f"{what}: {difference(counts, verb)}")
        if counts.suspect:
            texts.append(
                f"suspect: {count(counts.suspect, 'image')} to one of them or both, counted as not anomalous"
            )
        if counts.unreliable:
            texts.append(
                f"unreliable: {count(counts.unreliable, 'image')} cannot be judged by one of them or both, "
                "and count as not anomalous"
            )
    if refused := found.refused:
        named = "; ".join(
            f"{pair.path.stem} ({before} -> {after})" for pair, before, after in _switches(found, refused)
        )
        more = f"; and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
        target = found.old if found.new.in_use else found.new
        parts = f"{len(refused)} challenge part{'s' * (len(refused) != 1)}"
        texts.append(f"models use refuses {target.name}, since it loses {parts}: {named}{more}")
    return texts


def _switches(found: Comparison, pairs: list[Pair]) -> list[tuple[Pair, str, str]]:
    """The first challenge parts with their status now and after the switch."""
    back = found.new.in_use
    return [
        (pair, *((pair.new.status, pair.old.status) if back else (pair.old.status, pair.new.status)))
        for pair in pairs[:_NAMED]
    ]


def difference(counts: Count, verb: str) -> str:
    """Whether the versions differ, by the sign test on the images that they decide differently.

    Args:
        counts: of one kind of images.
        verb: what the versions do with an anomalous part of this kind: ``finds`` or ``rejects``.
    """
    old, new, images = counts.only_old, counts.only_new, count(counts.images, "image")
    other = counts.other
    if not old + new:
        if other:
            return f"both versions {verb[:-1]} the same images; {other} of {images} get another status"
        return f"both versions decide the same on {'the' if counts.images == 1 else 'all'} {images}"
    apart = f"the new one alone {verb} {new}, the old one alone {old}"
    if counts.chance < CHANCE:
        more = "more" if new > old else "fewer"
        return (
            f"the new version {verb} {more}: {apart}; two equal versions differ so clearly "
            f"in {percent(counts.chance)} of cases"
        )
    few = f", and fewer than {_FEWEST} different decisions never can" if old + new < _FEWEST else ""
    return f"cannot tell from {images}: {apart}, which chance alone explains{few}"


def change(pair: Pair) -> str:
    """An image that is decided differently, in one line."""
    old, new = pair.old, pair.new
    return (
        f"{pair.kind}: {pair.group}/{pair.path.name}: {old.status} {old.score:.4f} -> "
        f"{new.status} {new.score:.4f}"
    )
