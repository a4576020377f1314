"""What to look at first: rigs by how much they deserve it, from their cycles as a whole and from their components."""

from hydrodask.observe.figures import Figures
from hydrodask.observe.wording import natural
from hydrodask.reports import Component


def look_first(figures: Figures) -> list[tuple[str, int, str]]:
    """Return rigs with their attention, 0..100, and why in a few words, those first that deserve a look most.

    The largest of what the cycle as a whole is worth and what each component is worth; of equal ones the cycle's.
    """
    found: dict[str, tuple[int, str]] = {}
    for rig, one in figures.usual.items():
        found[rig] = (one.attention, f"cycle {one.state}")
    for rig, said in figures.components.items():
        for name, component in said.items():
            if component.attention > found.get(rig, (-1, ""))[0]:
                found[rig] = (component.attention, _words(name, component))
    ranked = sorted(found.items(), key=lambda one: (-one[1][0], natural(one[0])))
    return [(rig, attention, why) for rig, (attention, why) in ranked]


def _words(name: str, one: Component) -> str:
    at = one.state if one.severity is None else one.severity[0]
    soon = "" if one.worse_in_hours is None else f", worse in {one.worse_in_hours:.1f} h"
    return f"{name} at {at:.3g}{soon}"
