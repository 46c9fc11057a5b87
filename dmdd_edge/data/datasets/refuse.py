"""Folders that must not be taken for a category: test images, defective parts and masks."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.data.datasets.roles import SPLITS, Role, role_of
from dmdd_edge.data.datasets.walk import subfolders
from dmdd_edge.errors import DataError

#: How many folders above the named one are looked at.
_ABOVE = 4


def refuse_for_training(folder: Path) -> None:
    """Raise DmddError when a folder without a train folder is one that must not be trained on.

    A folder named test or bad (or one of their synonyms) is refused by its own name; one inside of a test
    or mask folder when a train folder is beside it.
    """
    if any(role_of(child.name) is Role.TRAIN for child in subfolders(folder)):
        return
    real = folder.resolve()
    for place in (real, *list(real.parents)[:_ABOVE]):
        role = role_of(place.name)
        beside = {role_of(child.name) for child in subfolders(place.parent)} - {role}
        in_data_set = Role.TRAIN in beside or (role is Role.TRUTH and bool(beside & set(SPLITS)))
        if role in (Role.TEST, Role.VALIDATION, Role.TRUTH) and in_data_set:
            what = "masks" if role is Role.TRUTH else "test images"
            raise DataError(
                f"{folder} holds {what}, which must not be trained on.",
                fix=f"Give the data set's folder with --data {place.parent}.",
            )
    own = role_of(real.name)
    if own is Role.BAD and not any(role_of(child.name) is Role.GOOD for child in subfolders(folder)):
        raise DataError(
            f"{folder} holds defective parts by its name; only good parts are trained on.",
            fix=f"Give the parent folder, with the good parts in {real.parent / 'good'}.",
        )
    if own is Role.TEST:
        raise DataError(
            f"{folder} holds test images by its name, which must not be trained on.",
            fix="Give the folder that holds train/; rename this one if it holds good parts to train on.",
        )
