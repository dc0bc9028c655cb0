"""The comparison as data: `plan.yaml` read and checked, so that another family is a change of names. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from eval.errors import PaperError

METHODS = ("linear", "slerp", "slerp_gradient", "nuslerp", "ties", "dare_ties")
DENSE = ("ties", "dare_ties")
"""Methods with a density."""
MIXES = ("mix-0", "mix-15", "mix-100")
"""Roles of the mixes: no safety rows, the usual share (the baseline), nothing but safety rows."""
STAGES = ("SFT", "DPO")
REST = "rest"

Curve = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class Objective:
    """The 0 % model and the 100 % model, merged at each stage."""

    methods: Sequence[str]
    weights: Sequence[float]
    """Of the safety model."""
    densities: Sequence[float]
    keep: int
    """Settings of a method that are measured."""
    curves: Mapping[str, Curve]
    """Name -> name filter (or "rest") -> t, one number or a gradient over the layers."""


@dataclass(frozen=True)
class Languages:
    """One 15 % model a language, merged, against one model trained on all of their rows."""

    stage: str
    together: str
    models: Mapping[str, str]
    method: str
    densities: Sequence[float]
    keep: int
    merges: Mapping[str, Sequence[str]]
    """Name -> the languages whose models are merged, with equal weights."""


@dataclass(frozen=True)
class Sweep:
    """Linear merges of the two experts over the safety model's weight."""

    stage: str
    weights: Sequence[float]


@dataclass(frozen=True)
class Order:
    """A model that was merged by SLERP at `t` and then preference-tuned."""

    model: str
    t: float


@dataclass(frozen=True)
class Repeats:
    """The mixes of a stage trained again with one thing changed, and merged again."""

    stage: str
    folder: str
    """Where the models lie, each in `MODEL@KEY=VALUE`, in the cache folder (or here)."""
    models: Mapping[str, str]
    """Role -> name of the model that was trained again."""
    variants: Mapping[str, Sequence[float]]
    merges: Sequence[Mapping[str, Any]]
    """Settings fixed beforehand: method, weight, and density where there is one."""


@dataclass(frozen=True)
class Seconds:
    """What one recipe takes, guessed, until something was measured."""

    screen: float
    measure: float


@dataclass(frozen=True)
class Plan:
    """All that the comparison runs over; sections may be absent, and so are then their tables."""

    family: str
    base: str
    probe: str
    screening: str
    mixes: Mapping[str, Mapping[str, str]]
    seconds: Seconds
    objective: Objective | None = None
    languages: Languages | None = None
    sweep: Sweep | None = None
    order: Order | None = None
    repeats: Repeats | None = None

    def experts(self, stage: str) -> tuple[str, str]:
        """The general and the safety expert of a stage."""
        return self.mixes[stage]["mix-0"], self.mixes[stage]["mix-100"]


_SECTIONS = {
    "seconds": Seconds,
    "objective": Objective,
    "languages": Languages,
    "sweep": Sweep,
    "order": Order,
    "repeats": Repeats,
}
_SETTINGS = {"method", "weight", "density"}
Section = TypeVar("Section")


def read_plan(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        PaperError: The file is missing or breaks the schema; the text names file and key.
    """
    if not path.is_file():
        raise PaperError(f"There is no plan {path}: copy assets/paper/plan.yaml there and change the names in it.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PaperError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise PaperError(f"{path.name} must be a mapping of sections.")
    sections = {key: _section(kind, raw[key], f"{path.name}: {key}") for key, kind in _SECTIONS.items() if key in raw}
    found = _section(Plan, {**raw, **sections}, path.name)
    _check(found, path.name)
    return found


def _section(kind: type[Section], raw: Any, where: str) -> Section:
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(raw, dict):
        raise PaperError(f"{where} must be a mapping of {', '.join(known)}.")
    if unknown := sorted(set(raw) - set(known)):
        raise PaperError(f"{where}: unknown key {unknown[0]!r}. Known: {', '.join(known)}.")
    needed = [name for name, one in known.items() if one.default is MISSING]
    if missing := [name for name in needed if name not in raw]:
        raise PaperError(f"{where} lacks {', '.join(missing)}.")
    return kind(**raw)


def _check(plan: Plan, where: str) -> None:
    """What would otherwise fail in the middle of hours of work."""
    for stage, mixes in plan.mixes.items():
        if stage not in STAGES:
            raise PaperError(f"{where}: mixes: stage {stage!r} is none of {', '.join(STAGES)}.")
        if set(mixes) != set(MIXES):
            raise PaperError(f"{where}: mixes: {stage} must name {', '.join(MIXES)}.")
    for name in ("languages", "sweep", "repeats"):
        section = getattr(plan, name)
        if section is not None and section.stage not in plan.mixes:
            raise PaperError(f"{where}: {name}: there are no mixes of stage {section.stage!r}.")
    if plan.order is not None and "DPO" not in plan.mixes:
        raise PaperError(f"{where}: order needs mixes of stage 'DPO' to be held against.")
    if plan.objective is not None:
        _check_methods(plan.objective.methods, f"{where}: objective")
        _check_numbers(plan.objective.weights, f"{where}: objective: weights")
        _check_numbers(plan.objective.densities, f"{where}: objective: densities")
    if plan.languages is not None:
        for name, spoken in plan.languages.merges.items():
            if unknown := [one for one in spoken if one not in plan.languages.models]:
                raise PaperError(f"{where}: languages: {name} names {unknown[0]!r}, which has no model.")
        _check_numbers(plan.languages.densities, f"{where}: languages: densities")
    if plan.sweep is not None:
        _check_numbers(plan.sweep.weights, f"{where}: sweep: weights")
    if plan.repeats is not None:
        _check_methods([one.get("method", "") for one in plan.repeats.merges], f"{where}: repeats")
        if any(one["method"] == "slerp_gradient" or not set(one) <= _SETTINGS for one in plan.repeats.merges):
            raise PaperError(f"{where}: repeats: a merge has {', '.join(sorted(_SETTINGS))}, and no curve.")
        if set(plan.repeats.models) != set(MIXES):
            raise PaperError(f"{where}: repeats: models must name {', '.join(MIXES)}.")


def _check_methods(methods: Sequence[str], where: str) -> None:
    if unknown := [one for one in methods if one not in METHODS]:
        raise PaperError(f"{where}: unknown method {unknown[0]!r}. Known: {', '.join(METHODS)}.")


def _check_numbers(numbers: Sequence[float], where: str) -> None:
    if not isinstance(numbers, list) or not all(type(n) in (int, float) and 0 <= n <= 1 for n in numbers):
        raise PaperError(f"{where} must be a list of numbers between 0 and 1.")
