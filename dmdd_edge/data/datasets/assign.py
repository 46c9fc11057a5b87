"""Decide from a folder's path what its images are: for training, for the test, masks, or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dmdd_edge.data.datasets.category import GOOD
from dmdd_edge.data.datasets.roles import SPLITS, Role, is_wrapper, masked_name, plain, role_of, view_role
from dmdd_edge.data.datasets.walk import Directory, Tree


class Kind(Enum):
    """What the images of a folder are, before its neighbors are looked at."""

    TRAIN_GOOD = "train/good"
    TRAIN_FLAT = "train/"
    TEST = "test/<label>"
    VALIDATION = "validation/<label>"
    GOOD = "good/"
    BAD = "bad/"
    PLAIN = "the folder itself"
    UNKNOWN = "<label>/"
    MASKS = "masks"
    LEFT_OUT = "left out"


@dataclass
class Labeled:
    """A directory with what its images are.

    Attributes:
        directory: the images.
        kind: what they are.
        label: GOOD, or the defect type; for test images.
        keys: its path without splits, wrappers and mask folders, as `plain` makes names: what an image's
            folder and its masks' folder have in common.
        top: the part of the path that the kind was decided by.
        why: the reason, where it is left out.
    """

    directory: Directory
    kind: Kind
    label: str = ""
    keys: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    why: str = ""


@dataclass
class Assigned:
    """A category's directories by use."""

    train: list[Labeled] = field(default_factory=list)
    test: list[Labeled] = field(default_factory=list)
    masks: list[Labeled] = field(default_factory=list)
    left_out: list[Labeled] = field(default_factory=list)

    def leave(self, entries: Sequence[Labeled], why: str) -> None:
        """Leave directories out for a reason."""
        for entry in entries:
            entry.kind, entry.why = Kind.LEFT_OUT, why
            self.left_out.append(entry)


def label(directory: Directory, neighbors: Neighbors | None = None) -> Labeled:
    """What a directory's images are, from the names of the folders on the way to it."""
    near = neighbors or Neighbors()
    names = directory.names
    roles = [near.role(name, shown) for name, shown in names]
    keys = tuple(
        plain(near.masked(name, shown, Role.TRUTH in roles))
        for (name, shown), role in zip(names, roles, strict=True)
        if (role not in (*SPLITS, Role.TRUTH) or near.masked(name, shown) != name)
        and not is_wrapper(name)
        and shown == directory.parts[: len(shown)]
    )
    found = Labeled(directory, Kind.LEFT_OUT, keys=keys, top=directory.parts)
    if directory.named_by_files is not None:
        found.top = names[-1][1]
    if Role.JUNK in roles:
        found.why = "made by another program, not by the camera"
        return found
    if Role.TRUTH in roles:
        found.kind, found.top = Kind.MASKS, names[roles.index(Role.TRUTH)][1]
        return found
    telling = [index for index, role in enumerate(roles) if role is not Role.GROUP]
    if not telling:
        found.kind, found.top = Kind.PLAIN, ()
        return found
    # good/test is test/good; a split below a name that says nothing is that of something else.
    known = next((at for at, index in enumerate(telling) if roles[index] is Role.OTHER), len(telling))
    splits = [index for index in telling[:known] if roles[index] in SPLITS]
    split = roles[splits[0]] if splits else None
    # A folder inside of one of the same name says nothing new: train/train.
    rest = [index for index in telling if roles[index] is not split]
    if any(roles[index] in SPLITS for index in rest):
        found.why = "the path names training and test images, or those of something else"
        return found
    if split is Role.TRAIN:
        return _training(found, roles, rest, splits[0])
    if not rest:
        found.why = "no folder says whether these are good; use test/good and test/<defect>"
        return found
    lead = rest[0]
    found.top = names[max((lead, *splits[:1]))][1]
    if roles[lead] is Role.GOOD:
        if any(roles[index] is Role.BAD or (splits and lead < splits[0] < index) for index in rest):
            found.why = "the path says both good and defective"
            found.top = names[rest[-1]][1]
            return found
        found.label, found.kind = GOOD, Kind.GOOD
    elif split is None and roles[lead] is not Role.BAD:
        found.kind, found.label, found.why = Kind.UNKNOWN, names[lead][0], _UNKNOWN
        return found
    else:
        # test/bad/scratch: the name below a mere "bad" is the defect's.
        named = [index for index in rest[:2] if roles[index] is Role.OTHER]
        at = named[0] if named else lead
        found.label, found.kind = names[at][0], Kind.BAD
        found.top = names[max((at, *splits[:1]))][1]
    if split is not None:
        found.kind = Kind.TEST if split is Role.TEST else Kind.VALIDATION
    return found


def _training(found: Labeled, roles: Sequence[Role], rest: Sequence[int], first: int) -> Labeled:
    names = found.directory.names
    found.top = names[max((first, *rest[:1]))][1]
    bad = [index for index in rest if roles[index] is Role.BAD]
    if bad:
        found.top = names[bad[0]][1]
        found.why = "defective parts are never trained on; move them to test/<defect>"
    elif not rest:
        found.kind = Kind.TRAIN_FLAT
    elif roles[rest[0]] is Role.GOOD:
        found.kind = Kind.TRAIN_GOOD
    else:
        found.why = "not named good; put images of good parts into train/good"
    return found


@dataclass(frozen=True)
class Neighbors:
    """What a name means because of the folders beside it.

    Attributes:
        folders: all folders of a category, by their paths.
        views: names such as ``ok_front`` and ``def_front``, which tell good from defective in the train
            folder, and so in the others.
    """

    folders: frozenset[tuple[str, ...]] = frozenset()
    views: Mapping[str, Role] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree) -> Neighbors:
        """The neighbors in a walked folder."""
        paths = [directory.parts for directory in tree.directories]
        folders = frozenset(parts[:depth] for parts in paths for depth in range(1, len(parts) + 1))
        views = {
            plain(parts[-1]): view_role(parts[-1])
            for parts in folders
            if role_of(parts[-1]) is Role.OTHER and any(role_of(part) is Role.TRAIN for part in parts[:-1])
        }
        return cls(folders, views if Role.GOOD in views.values() else {})

    def role(self, name: str, path: tuple[str, ...]) -> Role:
        """The role of a name at the end of a path."""
        own = role_of(name)
        if own is not Role.OTHER:
            return own
        if self.masked(name, path) != name:
            return Role.TRUTH
        view = self.views.get(plain(name), Role.OTHER)
        return view if view is Role.GOOD or any(role_of(part) is Role.TRAIN for part in path[:-1]) else own

    def masked(self, name: str, path: tuple[str, ...], among_masks: bool = False) -> str:
        """The folder whose masks this one holds by its name (``scratch_mask`` beside scratch), or itself."""
        masked = masked_name(name)
        if masked is None or role_of(name) is not Role.OTHER:
            return name
        return masked if among_masks or (*path[:-1], masked) in self.folders else name


_UNKNOWN = "the name says neither good nor defective"


def assign(tree: Tree, has_train_folder: bool) -> Assigned:
    """Decide for all directories of a category together.

    Args:
        tree: the walked folder.
        has_train_folder: whether it has a train folder, even an empty one; that alone holds the training
            images.
    """
    by_kind: dict[Kind, list[Labeled]] = {kind: [] for kind in Kind}
    neighbors = Neighbors.of(tree)
    for directory in tree.directories:
        entry = label(directory, neighbors)
        by_kind[entry.kind].append(entry)
    result = Assigned(masks=by_kind[Kind.MASKS], left_out=by_kind[Kind.LEFT_OUT])
    loose_good, loose_bad, loose = by_kind[Kind.GOOD], by_kind[Kind.BAD], by_kind[Kind.PLAIN]
    unknown = by_kind[Kind.UNKNOWN]
    has_tests = bool(by_kind[Kind.TEST] or by_kind[Kind.VALIDATION])
    if has_train_folder or by_kind[Kind.TRAIN_GOOD] or by_kind[Kind.TRAIN_FLAT]:
        result.train = by_kind[Kind.TRAIN_GOOD] or by_kind[Kind.TRAIN_FLAT]
        if by_kind[Kind.TRAIN_GOOD]:
            result.leave(by_kind[Kind.TRAIN_FLAT], "beside train/good, which holds the training images")
        result.leave([*loose, *loose_good], "beside train/, which holds the training images")
        if has_tests:
            result.leave(loose_bad, "beside a folder of test images")
        else:
            result.test = loose_bad
    else:
        result.train = loose_good or loose
        if loose_good:
            result.leave(loose, "beside a folder named good, which holds the training images")
        result.test = loose_bad
        if loose_good and not loose_bad and not has_tests:
            # good/, scratch/, dent/: without a folder named bad, what is beside good/ is defective.
            places = {entry.top[:-1] for entry in loose_good}
            result.test = [entry for entry in unknown if entry.top[:-1] in places]
            unknown = [entry for entry in unknown if entry.top[:-1] not in places]
    result.leave(unknown, _UNKNOWN)
    if by_kind[Kind.TEST]:
        result.test = [*result.test, *by_kind[Kind.TEST]]
        result.leave(by_kind[Kind.VALIDATION], "validation images are not needed")
    else:
        result.test = [*result.test, *by_kind[Kind.VALIDATION]]
    return result
