"""What the geometry of checkpoints means for merging: sentences from its numbers, by thresholds stated here."""

import math
from typing import TYPE_CHECKING

from ui.names import short

if TYPE_CHECKING:
    from merging.geometry import Geometry

ORTHOGONAL, ALIGNED = 0.1, 0.5
"""Cosines of task vectors: below the first in size they hardly share a direction, from the second on they agree."""
UNEQUAL = 2.0
"""Ratio of two models' norms from which equal weights mean an unequal merge."""


def meaning(found: "Geometry") -> list[str]:
    """A sentence for each pair of models, and one where a model moved much further than another."""
    said = [_pair(found, at) for at in range(len(found.pairs))]
    far, near = max(found.total.norms, default=0.0), min(found.total.norms, default=0.0)
    if len(found.models) == 1:
        share = f"{found.total.norms[0]:.2%}".replace("%", " %")
        said.append(f"{short(found.models[0])} moved by {share} of the base's norm: choose a second model to compare.")
    elif near > 0 and far / near >= UNEQUAL:
        most, least = (short(found.models[found.total.norms.index(norm)]) for norm in (far, near))
        said.append(f"{most} moved {far / near:.1f} times as far as {least}: at equal weights it dominates.")
    return said


def _pair(found: "Geometry", at: int) -> str:
    one, two = (short(found.models[index]) for index in found.pairs[at])
    cosine, conflict = found.total.cosines[at], found.total.conflicts[at]
    if math.isnan(cosine):
        still = one if found.total.norms[found.pairs[at][0]] == 0 else two
        return f"{still} equals the base, so there is nothing of it to merge."
    kept = f"{(1 + cosine) / 2:.0%}".replace("%", " %")
    if cosine <= -ORTHOGONAL:
        said = (
            f"pull apart (cos {_signed(cosine)}): what one learned undoes the other. Averaging keeps about {kept} of "
            "each change; TIES, which lets one sign win, or a layer curve keeps more."
        )
    elif cosine < ORTHOGONAL:
        said = (
            f"are nearly orthogonal (cos {_signed(cosine)}): averaging halves both changes; task arithmetic or TIES "
            "with weights near 1 keep more, because they hardly collide."
        )
    elif cosine < ALIGNED:
        said = (
            f"agree in part (cos {_signed(cosine)}): averaging keeps about {kept} of each change; task arithmetic with "
            "weights between a half and one adds up what they share."
        )
    else:
        said = (
            f"point the same way (cos {_signed(cosine)}): averaging loses little; adding both at full weight would "
            "overshoot."
        )
    if not math.isnan(conflict):
        share = f"{conflict:.0%}".replace("%", " %")
        said += f" Of the weights both changed, {share} have opposite signs (50 % would be chance)."
    return f"The task vectors of {one} and {two} {said}"


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")
