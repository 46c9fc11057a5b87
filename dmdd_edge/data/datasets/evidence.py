"""What files say of themselves, against or beyond the name of their folder: by their names and by masks.

An image is never trained on where its own name says that it is defective, or where a mask marks something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dmdd_edge.data.datasets.roles import SPLITS, Role, file_role, plain
from dmdd_edge.data.datasets.truth import Placed, bare_stem, pair
from dmdd_edge.data.datasets.walk import Directory, Tree
from dmdd_edge.data.masks import read_mask
from dmdd_edge.errors import DmddError

#: How a folder of images is shown whose masks mark nothing.
EMPTY_MASK = "(masks mark nothing)"
_BY_MASK, _BY_EMPTY_MASK = ("defect", "(marked by masks)"), ("good", EMPTY_MASK)


def refine(tree: Tree) -> Tree:
    """Tell masks beside images from these, and split folders whose files differ in what they say."""
    refined = Tree(problems=tree.problems)
    for directory in tree.directories:
        roles = directory.roles
        if Role.JUNK in roles or Role.TRUTH in roles:
            refined.directories.append(directory)
        else:
            refined.directories += _split(_without_masks(directory), roles)
    return refined


def marked(images: Sequence[Placed], masks: Sequence[Placed]) -> dict[Path, Path]:
    """Which of some images have a mask that marks something, and that mask."""
    found = {}
    for image, own in pair(images, masks).masks.items() if masks else ():
        mask = next((mask for mask in own if _marks(mask)), None)
        if mask is not None:
            found[image] = mask
    return found


def _without_masks(directory: Directory) -> Directory:
    """Take files such as 000_mask beside 000, and a mask 000.png beside a photo 000.jpg, from the images."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in directory.images:
        by_stem[plain(path.stem)].append(path)
    masks = {}
    for path in directory.images:
        bare = bare_stem(path)
        if bare != plain(path.stem) and bare in by_stem:
            masks[path] = by_stem[bare][0]
    for twins in by_stem.values():
        if len(twins) > 1 and twins[0] not in masks:
            drawn = [path for path in twins if _marks(path) is not None]
            pictures = [path for path in twins if path not in drawn]
            if pictures:
                masks.update(dict.fromkeys(drawn, pictures[0]))
    if not masks:
        return directory
    return replace(directory, images=[path for path in directory.images if path not in masks], masks=masks)


def _split(directory: Directory, roles: Sequence[Role]) -> list[Directory]:
    if Role.OTHER in roles or Role.BAD in roles:  # a defect's folder, or one that is not used
        return [directory]
    split = next((role for role in roles if role in SPLITS), None)
    is_test = split in (Role.TEST, Role.VALIDATION)
    verdicts: dict[Path, tuple[str, str] | None] = {}
    for path in directory.images:
        role, word = file_role(path.stem)
        verdicts[path] = (word, f"(names with {word})") if role is Role.BAD else None
    words = {None if entry is None else entry[0] for entry in verdicts.values()}
    if Role.GOOD in roles and len(verdicts) > 1 and len(words) == 1:
        verdicts = dict.fromkeys(verdicts)  # every name has the same word, so it is the part's
    elif is_test and Role.GOOD not in roles and any(verdicts.values()):
        for path in directory.images:
            role, word = file_role(path.stem)
            if role is Role.GOOD:
                verdicts[path] = (word, f"(names with {word})")
    for mask, image in directory.masks.items():
        if marks := _marks(mask):
            verdicts[image] = _BY_MASK
        elif marks is False and is_test and Role.GOOD not in roles and verdicts.get(image) is None:
            verdicts[image] = _BY_EMPTY_MASK
    return _parted(directory, verdicts)


def _parted(directory: Directory, verdicts: dict[Path, tuple[str, str] | None]) -> list[Directory]:
    groups: dict[tuple[str, str] | None, list[Path]] = {None: []}
    for path in directory.images:
        groups.setdefault(verdicts[path], []).append(path)
    found = []
    for word, images in groups.items():
        inside = set(images)
        masks = {mask: image for mask, image in directory.masks.items() if image in inside}
        others = directory.others if word is None else type(directory.others)()
        if images or others:
            found.append(replace(directory, images=images, masks=masks, others=others, named_by_files=word))
    return found


def _marks(path: Path) -> bool | None:
    """Whether a mask marks anything; None where the file is not a mask."""
    try:
        return bool(read_mask(path).any())
    except DmddError:
        return None
