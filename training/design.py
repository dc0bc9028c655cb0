"""A design file: what each model of a family is trained on, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DESIGNS = Path(__file__).parent / "designs"


@dataclass(frozen=True)
class Plan:
    """One model of a design.

    Attributes:
        name: Its name in the family; the adapter is written to a folder of that name.
        start: The checkpoint the adapter stands on.
        languages: Rows are drawn evenly from these.
        steps: Optimiser steps.
        learning_rate: Peak of the schedule (linear warm-up, linear decay).
        replay: Share of the rows that are plain parallel text, in [0, 1].
        mixture: Kind of row -> share of the rows that are not replay; sums to 1.
        rank: LoRA rank.
        alpha: LoRA alpha; the update is scaled by alpha / rank.
        batch_size: Rows a step.
        warmup_steps: Steps of the linear warm-up.
        clip: Largest norm of the gradient.
        max_tokens: Rows are cut to this length.
        save_every: Steps between two states from which training can go on.
        seed: Of the drawing of rows, their order, and the adapter's first values.
    """

    name: str
    start: str
    languages: tuple[str, ...]
    steps: int
    learning_rate: float
    replay: float
    mixture: Mapping[str, float]
    rank: int
    alpha: int
    batch_size: int
    warmup_steps: int
    clip: float
    max_tokens: int
    save_every: int
    seed: int

    @property
    def rows(self) -> int:
        """Rows seen in the whole training."""
        return self.steps * self.batch_size


class DesignError(Exception):
    """A design file or a name in it cannot be used; the text says what to do."""


def load(name: str, design: Path = DESIGNS / "embedded.yaml", **changes: Any) -> Plan:
    """One model's plan, with `changes` in place of the design's values.

    Raises:
        DesignError: The design has no such model, or a value is missing or does not fit.
    """
    tree = yaml.safe_load(design.read_text(encoding="utf-8"))
    if name not in tree["models"]:
        raise DesignError(f"{design.name} has no model {name!r}. Known: {', '.join(tree['models'])}.")
    changed = {key: value for key, value in changes.items() if value is not None}
    given = {**tree["settings"], **tree["models"][name], **changed}
    try:
        plan = Plan(name=name, languages=tuple(tree["languages"]), **given)
    except TypeError as error:
        raise DesignError(f"{design.name}, model {name!r}: {error}.") from error
    total = sum(plan.mixture.values())
    if abs(total - 1) > 1e-3:
        raise DesignError(f"{design.name}, model {name!r}: the shares of its mixture sum to {total:g}, not 1.")
    return plan
