"""From the plan to the recipes of the comparison: every row it can have, in order of work. Needs no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from eval.paper.plan import DENSE, MIXES, REST, Curve, Languages, Plan
from eval.paper.schema import Kind, Stage
from merging import Recipe

BASE = "base"
TOGETHER = "mix-15-multi"
NAMES = {
    "linear": "Linear",
    "slerp": "SLERP",
    "slerp_gradient": "SLERP by layer",
    "nuslerp": "SLERP of task vectors",
    "ties": "TIES",
    "dare_ties": "DARE-TIES",
}
CONTINUAL: Stage = "SFT_then_merge_then_DPO"


@dataclass(frozen=True)
class Entry:
    """One recipe and its place in the comparison."""

    id: str
    tables: tuple[str, ...]
    stage: Stage
    kind: Kind
    method: str
    label: str
    recipe: Recipe
    settings: Mapping[str, float | str] = field(default_factory=dict)
    against: tuple[str, ...] = ()
    """Ids of the mixes it is compared with, the baseline first."""
    group: str = ""
    """Settings of one method at one stage: the best of a group are measured. Empty: it is measured anyway."""
    always: bool = False
    """Measured whatever its rank in the group."""
    paper: str = ""
    """Its row of the paper, where that is fixed beforehand: the column `model` of paper_results.csv."""


def entries(plan: Plan) -> tuple[Entry, ...]:
    """Every row, mixes first; a recipe that several tables show is one entry."""
    found: dict[str, Entry] = {}
    for part in (_mixes, _sweep, _objective, _order, _languages, _repeats):
        for one in part(plan):
            found[one.id] = _joined(found[one.id], one) if one.id in found else one
    return tuple(found.values())


def _joined(first: Entry, second: Entry) -> Entry:
    return replace(
        first,
        tables=tuple(dict.fromkeys(first.tables + second.tables)),
        group=first.group or second.group,
        always=first.always or second.always,
        paper=first.paper or second.paper,
    )


def mixes_of(stage: str) -> tuple[str, ...]:
    """Ids of the mixes of a stage, the baseline first."""
    return tuple(f"{stage}/{role}" for role in ("mix-15", "mix-0", "mix-100"))


def _mixes(plan: Plan) -> Iterator[Entry]:
    yield Entry(BASE, (), "SFT", "base", "base", "Base", Recipe.single(plan.base))
    for stage in plan.mixes:
        yield from _mix_rows(stage, stage, plan.mixes[stage], "a")


def _mix_rows(stage: Any, head: str, models: Mapping[str, str], table: str) -> Iterator[Entry]:
    """The three mixes of a stage, or of one variant of it; `head` begins their ids."""
    ids = mixes_of(head)
    for role in MIXES:
        name, share = f"{head}/{role}", int(role.removeprefix("mix-"))
        against = tuple(one for one in ids if one != name)
        yield Entry(
            name, (table,), stage, "mix", "mix", f"{share} % safety rows", Recipe.single(models[role]),
            {"safety_rows": share / 100}, against, paper=f"mix_{share}" if head == stage else "",
        )  # fmt: skip


def merge_of(
    general: str, safety: str, base: str, *, method: str, weight: float, density: float | None = None
) -> Recipe:
    """Two experts merged; `weight` is the safety model's, the other has the rest (SLERP's t).

    Args:
        general: The 0 % model, which is the t = 0 model of SLERP.
        safety: The 100 % model.
        base: Ancestor, for the methods that merge task vectors.
        method: One of `plan.METHODS` but "slerp_gradient".
        weight: In [0, 1].
        density: Share of each task vector that is kept, for the methods that have one.
    """
    models = [general, safety]
    if method == "slerp":
        return Recipe.build("slerp", models=models, base_model=general, parameters={"t": weight})
    thinned = {} if density is None else {"density": density}
    own = [{"weight": round(1 - weight, 10), **thinned}, {"weight": weight, **thinned}]
    return Recipe.build(method, models=models, per_model=own, base_model=None if method == "linear" else base)


def _gradient(general: str, safety: str, curve: Curve) -> Recipe:
    """SLERP whose t follows a curve over the layers, one for each name filter."""
    lines = [{"filter": name, "value": value} for name, value in curve.items() if name != REST]
    t = [*lines, {"value": curve.get(REST, 0.5)}]
    return Recipe.build("slerp", models=[general, safety], base_model=general, parameters={"t": t})


def _objective(plan: Plan) -> Iterator[Entry]:
    if plan.objective is None:
        return
    for stage in plan.mixes:
        for method in plan.objective.methods:
            group = f"{stage}/{method}"
            if method == "slerp_gradient":
                for name, curve in plan.objective.curves.items():
                    recipe = _gradient(*plan.experts(stage), curve)
                    yield _merge(stage, method, f"{NAMES[method]}, {name}", recipe, {"curve": name}, group)
                continue
            for density in plan.objective.densities if method in DENSE else (None,):
                for weight in plan.objective.weights:
                    yield _point(plan, stage, method, weight, density, group)


def _point(plan: Plan, stage: Any, method: str, weight: float, density: float | None = None, group: str = "") -> Entry:
    """One method at one weight (and density) of a stage."""
    knob = "t" if method == "slerp" else "weight"
    settings = {knob: float(weight)} | ({} if density is None else {"density": float(density)})
    words = ", ".join(f"{key} {value:g}" for key, value in settings.items())
    recipe = merge_of(*plan.experts(stage), plan.base, method=method, weight=weight, density=density)
    return _merge(stage, method, f"{NAMES[method]}, {words}", recipe, settings, group)


def _merge(
    stage: Any, method: str, label: str, recipe: Recipe, settings: Mapping[str, float | str], group: str
) -> Entry:
    return Entry(
        f"{stage}/{method}/{setting_words(settings)}", ("a",), stage, "objective_merge", method, label, recipe,
        settings, mixes_of(stage), group,
    )  # fmt: skip


def setting_words(settings: Mapping[str, float | str]) -> str:
    """Settings as the last part of an id: "weight=0.30 density=0.50"."""
    return " ".join(f"{key}={value:.2f}" if isinstance(value, float) else str(value) for key, value in settings.items())


def _sweep(plan: Plan) -> Iterator[Entry]:
    if plan.sweep is None:
        return
    for weight in plan.sweep.weights:
        yield replace(_point(plan, plan.sweep.stage, "linear", weight), tables=("c",), always=True)


def _order(plan: Plan) -> Iterator[Entry]:
    if plan.order is None:
        return
    settings: dict[str, float | str] = {"t": float(plan.order.t)}
    yield Entry(
        f"{CONTINUAL}/slerp", ("d",), CONTINUAL, "continual", "slerp", "SFT, SLERP, then DPO",
        Recipe.single(plan.order.model), settings, mixes_of("DPO"), paper="slerp",
    )  # fmt: skip
    yield replace(_point(plan, "DPO", "slerp", plan.order.t), tables=("d",), always=True)


def _languages(plan: Plan) -> Iterator[Entry]:
    section = plan.languages
    if section is None:
        return
    stage: Any = section.stage
    together = together_of(plan)
    if together == f"{stage}/{TOGETHER}":
        yield Entry(
            together, ("b",), stage, "mix", "mix", "15 %, all languages together", Recipe.single(section.together),
            {}, (f"{stage}/mix-15",),
        )  # fmt: skip
    else:  # a mix that is a row already
        yield from (replace(one, tables=("b",)) for one in _mixes(plan) if one.id == together)
    for name in section.merges:
        for density in section.densities:
            yield _language_merge(section, plan.base, name, density, together)


def together_of(plan: Plan) -> str:
    """Id of the row that monolingual models are held against: a mix of the stage, where it is that very model."""
    if plan.languages is None:
        return ""
    stage, name = plan.languages.stage, plan.languages.together
    return f"{stage}/" + next((role for role, model in plan.mixes[stage].items() if model == name), TOGETHER)


def _language_merge(section: Languages, base: str, name: str, density: float, together: str) -> Entry:
    spoken, stage = section.merges[name], cast(Stage, section.stage)
    method = section.method
    own = [{"weight": 1.0} | ({"density": density} if method in DENSE else {}) for _ in spoken]
    models = [section.models[language] for language in spoken]
    recipe = Recipe.build(method, models=models, per_model=own, base_model=base)
    group = f"{stage}/{method}_{name}"
    left_out = [language for language in section.models if language not in spoken]
    words = "all" if not left_out else f"all but {left_out[0]}" if len(left_out) == 1 else ", ".join(spoken)
    return Entry(
        f"{group}/density={density:.2f}", ("b",), stage, "language_merge", f"{method}_{name}",
        f"{NAMES[method]} of {words}, density {density:g}", recipe,
        {"density": float(density), "languages": " ".join(spoken)},
        tuple(dict.fromkeys((together, f"{stage}/mix-15"))), group,
    )  # fmt: skip


def _repeats(plan: Plan) -> Iterator[Entry]:
    section = plan.repeats
    if section is None:
        return
    stage: Any = section.stage
    yield from _mix_rows(stage, stage, plan.mixes[stage], "e")
    for merge in section.merges:
        yield replace(_point(plan, stage, **_knobs(merge)), tables=("e",), always=True)
    for key, values in section.variants.items():
        for value in values:
            head = f"{stage}@{key}={value:g}"
            models = {role: f"{section.folder}/{model}@{key}={value:g}" for role, model in section.models.items()}
            varied: dict[str, float | str] = {key: float(value)}
            for one in _mix_rows(stage, head, models, "e"):
                yield replace(one, settings={**one.settings, **varied}, label=f"{one.label}, {key} {value:g}")
            for merge in section.merges:
                yield _repeat(plan, stage, head, models, merge, varied)


def _knobs(merge: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight": 0.5, "density": 0.5 if merge["method"] in DENSE else None, **merge}


def _repeat(
    plan: Plan, stage: Any, head: str, models: Mapping[str, str], merge: Mapping[str, Any], varied: Mapping[str, Any]
) -> Entry:
    """A merge of the models of one variant, at the same settings as that of the plan's own experts."""
    own = _point(plan, stage, **_knobs(merge))
    recipe = merge_of(models["mix-0"], models["mix-100"], plan.base, **_knobs(merge))
    words = ", ".join(f"{key} {value:g}" for key, value in varied.items())
    return replace(
        own, id=own.id.replace(f"{stage}/", f"{head}/", 1), tables=("e",), label=f"{own.label}, {words}", recipe=recipe,
        settings={**own.settings, **varied}, against=mixes_of(head),
    )  # fmt: skip
