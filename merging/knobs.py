"""Knobs that several methods share, so that they read and behave the same everywhere. Needs no torch."""

from merging.registry import Knob

LAMBDA = Knob(0.0, 2.0, 1.0, absent=1.0, help="Factor of the merged change; 0 is the base.")
WEIGHT_IN_SUM = Knob(0.0, 1.0, 0.5, per_model=True, help="How much of this model's change is added.")
WEIGHT_IN_VOTE = Knob(0.0, 1.0, 0.5, per_model=True, help="Pull of this model, in the vote on signs and in the sum.")
DENSITY_BY_SIZE = Knob(
    0.0, 1.0, 0.5, per_model=True, absent=1.0, stage="select", help="Share of the changes kept, the largest first."
)
DENSITY_AT_RANDOM = Knob(
    0.0, 1.0, 0.5, per_model=True, absent=1.0, stage="select", help="Share of the changes kept, picked at random."
)


def rescale(absent: bool) -> Knob:
    """Scale what is kept back to the size of the whole."""
    return Knob.switch(absent, stage="select", help="Scale what is left back to the change's total size (L1 norm).")


def normalize(absent: bool, of: str = "all weights") -> Knob:
    """Divide by a sum of weights."""
    return Knob.switch(absent, help=f"Divide by the sum of {of}.")
