"""A design file: the models of a family, what each is trained on, and how.

A design names its data once, mixes them in `mixtures`, says how a stage trains in `stages`, and lists the `models`.
`series` are variants of models (other seeds, fewer rows) that are rebuilt by command and only measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

DESIGNS = Path(__file__).parent / "designs"
VARIANT = "@"


@dataclass(frozen=True)
class Plan:
    """One model of a design.

    Attributes:
        name: Its name in the family; the model is written to a folder of that name. A variant is `MODEL@KEY=VALUE`.
        start: The checkpoint training begins from; `zoo:NAME` where it is a model of the embedded family.
        method: "sft" learns answers; "dpo" learns to prefer an answer to a rejected one (Rafailov et al. 2023).
        languages: Rows are drawn evenly from these.
        only: Of the rows drawn, those in this language alone; None for all.
        steps: Optimiser steps.
        learning_rate: Peak of the schedule (linear warm-up, linear decay).
        replay: Share of the rows that are plain text, in [0, 1].
        mixture: Kind of row -> share of the rows that are not replay; sums to 1.
        data: Kind of row -> where such rows are; `replay` is the plain text.
        share: Share of the distinct rows of every kind that may be drawn at all, in (0, 1].
        adapter: "lora", or "full" where every weight is trained.
        rank: LoRA rank.
        alpha: LoRA alpha; the update is scaled by alpha / rank.
        loss: "rows" counts every row alike, with the head on learnt positions alone; "tokens" is TRL's own loss, which
            also works where weights are sharded over devices.
        beta: How strongly DPO holds on to its start; larger is stronger.
        arithmetic: "auto" takes bf16 where the machine has instructions for it, else fp32.
        batch_size: Rows a step.
        warmup_steps: Steps of the linear warm-up.
        clip: Largest norm of the gradient.
        max_tokens: Rows are cut to this length.
        save_every: Steps between two states from which training can go on.
        seed: Of the drawing of rows, their order, and the adapter's first values.
    """

    name: str
    start: str
    method: Literal["sft", "dpo"]
    languages: tuple[str, ...]
    steps: int
    learning_rate: float
    mixture: Mapping[str, float]
    data: Mapping[str, Any]
    replay: float
    batch_size: int
    warmup_steps: int
    clip: float
    max_tokens: int
    save_every: int
    seed: int
    rank: int = 8
    alpha: int = 16
    only: str | None = None
    share: float = 1.0
    adapter: Literal["lora", "full"] = "lora"
    loss: Literal["rows", "tokens"] = "rows"
    beta: float = 0.1
    arithmetic: Literal["auto", "fp32", "bf16"] = "auto"

    @property
    def rows(self) -> int:
        """Rows seen in the whole training, before those in other languages than `only` are left out."""
        return self.steps * self.batch_size * (len(self.languages) if self.only else 1)


class DesignError(Exception):
    """A design file or a name in it cannot be used; the text says what to do."""


@dataclass(frozen=True)
class Design:
    """A design file, read: its settings by section."""

    file: str
    tree: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = DESIGNS / "embedded.yaml") -> "Design":
        """Read a design file; a bare name is one of those in `training/designs`.

        Raises:
            DesignError: There is no such file, it is no YAML, or a section is missing.
        """
        path = path if path.is_file() else DESIGNS / path.with_suffix(".yaml").name
        if not path.is_file():
            known = ", ".join(sorted(one.stem for one in DESIGNS.glob("*.yaml")))
            raise DesignError(f"There is no design {path.stem!r}. Known: {known}; or give the path of a .yaml file.")
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise DesignError(f"{path.name} is no YAML: {error}") from error
        missing = [key for key in ("languages", "settings", "data", "mixtures", "stages", "models") if key not in tree]
        if missing:
            raise DesignError(f"{path.name} lacks the section {', '.join(map(repr, missing))}.")
        return cls(path.name, tree)

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the family, each after those it starts from."""
        return tuple(self.tree["models"])

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the series' variants."""
        return tuple(
            f"{model}{VARIANT}{key}={value:g}"
            for series in (self.tree.get("series") or {}).values()
            for model in series["models"]
            for key, values in series.items()
            if key != "models"
            for value in values
        )

    def plan(self, name: str, **changes: Any) -> Plan:
        """One model's plan, with `changes` in place of the design's values.

        Raises:
            DesignError: The design has no such model, or a value is missing or does not fit.
        """
        model, _, variant = name.partition(VARIANT)
        if model not in self.models or (variant and name not in self.variants):
            raise DesignError(f"{self.file} has no model {name!r}. Known: {', '.join(self.models + self.variants)}.")
        entry = dict(self.tree["models"][model])
        stage, mixture = entry.pop("stage", None), entry.pop("mixture", None)
        for words, wanted, section in (("stage", stage, "stages"), ("mixture", mixture, "mixtures")):
            if wanted not in self.tree[section]:
                raise DesignError(f"{self.file}, model {model!r}: its {words} {wanted!r} is not among {section}.")
        changed = {key: value for key, value in changes.items() if value is not None}
        given = {
            **self.tree["settings"], **self.tree["stages"][stage], **entry, **_varied(variant), **changed,
        }  # fmt: skip
        given.setdefault("mixture", self.tree["mixtures"][mixture])
        given.setdefault("languages", tuple(self.tree["languages"]))
        given.setdefault("data", self.tree["data"])
        return self._checked(model, {"name": name, **given})

    def _checked(self, model: str, given: Mapping[str, Any]) -> Plan:
        where = f"{self.file}, model {model!r}"
        known = {field.name for field in fields(Plan)}
        if unknown := sorted(set(given) - known):
            raise DesignError(f"{where}: unknown setting {', '.join(map(repr, unknown))}.")
        try:
            plan = Plan(**given)
        except TypeError as error:
            raise DesignError(f"{where}: {error}.") from error
        total = sum(plan.mixture.values())
        if abs(total - 1) > 1e-3:
            raise DesignError(f"{where}: the shares of its mixture sum to {total:g}, not 1.")
        if missing := [kind for kind in plan.mixture if kind not in plan.data]:
            raise DesignError(f"{where}: no data are named for {', '.join(missing)}.")
        if not 0 < plan.share <= 1:
            raise DesignError(f"{where}: share is {plan.share:g}; it must be above 0 and at most 1.")
        if plan.only is not None and plan.only not in plan.languages:
            raise DesignError(f"{where}: only {plan.only!r} is none of its languages.")
        return plan


def load(name: str, design: Path = DESIGNS / "embedded.yaml", **changes: Any) -> Plan:
    """One model's plan of a design file: see `Design.plan`."""
    return Design.read(design).plan(name, **changes)


def _varied(variant: str) -> dict[str, Any]:
    if not variant:
        return {}
    key, _, value = variant.partition("=")
    return {key: float(value) if key == "share" else int(value)}
