"""Which camera of a recipe begins its parts."""

from __future__ import annotations

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.station.settings import StationSettings


def leaders(settings: StationSettings) -> dict[int, str | None]:
    """Of each recipe, by number, the camera whose frames begin its parts.

    That is the first camera of its inspections in the mode ``camera`` or ``free``; None when its parts begin
    with a trigger from outside.

    Raises:
        OptionError: a camera begins the parts of one recipe, and follows another camera in another one.
    """
    found: dict[int, str | None] = {}
    followers: dict[str, int] = {}
    for recipe in settings.recipes:
        names = dict.fromkeys(settings.inspections[name].camera for name in recipe.inspections)
        own = [name for name in names if settings.cameras[name].trigger in ("camera", "free")]
        found[recipe.number] = own[0] if own else None
        followers.update(dict.fromkeys(own[1:], recipe.number))
    for number, name in found.items():
        if name in followers:
            raise OptionError(
                f"Camera {name} begins the parts of recipe {number}, and follows another camera in recipe "
                f"{followers[name]} of {settings.path.name}.",
                "Let the same camera come first in the inspections of all recipes that use both.",
            )
    return found
