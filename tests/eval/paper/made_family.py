"""A made-up family: a small probe in a file, a plan, and a bench that answers as a merge of its experts might."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import made
import yaml

from eval import probes
from eval.paper.plan import Plan, read_plan
from eval.paper.screening import Screened
from eval.types import Identity, Measurement
from merging import Recipe

SAFE = {"base": -0.1, "g": 0.0, "m": 0.3, "s": 1.0, "gd": 0.0, "md": 0.5, "sd": 1.0, "sm": 0.8, "both": 0.4}
"""How safe each model is: the share of harmful requests that it refuses."""
PLAN: dict[str, Any] = {
    "family": "a made-up family",
    "base": "base",
    "mixes": {
        "SFT": {"mix-0": "g", "mix-15": "m", "mix-100": "s"},
        "DPO": {"mix-0": "gd", "mix-15": "md", "mix-100": "sd"},
    },
    "objective": {
        "methods": ["linear", "slerp", "ties"],
        "weights": [0, 0.3, 0.5, 0.7, 1],
        "densities": [0.5],
        "keep": 1,
        "curves": {},
    },
    "sweep": {"stage": "SFT", "weights": [0, 0.1, 0.3, 0.5, 1]},
    "order": {"model": "sm", "t": 0.5},
    "seconds": {"screen": 1, "measure": 10},
}
SPOKEN = {"together": "both", "models": {"en": "l-en", "fr": "l-fr"}, "merges": {"all6": ["en", "fr"]}}
LANGUAGES = {"stage": "SFT", "method": "ties", "densities": [0.5], "keep": 1, **SPOKEN}


def probe_file(folder: Path) -> str:
    """The made-up probe as a file that `probes.load` reads."""
    whole = made.probe(harmful=20, lookalike=6, instruction=10, choice=10)
    rows = [{k: v for k, v in asdict(item).items() if v not in ("", (), None)} for item in whole.items]
    lines = [json.dumps(row, ensure_ascii=False) for row in [dict(whole.header), *rows]]
    folder.mkdir(exist_ok=True)
    (folder / "made.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "made.jsonl")


def plan(folder: Path, **changes: Any) -> Plan:
    """The plan with some sections changed; None leaves a section out."""
    probe = probe_file(folder)
    raw = {"probe": probe, "screening": probe, **PLAN, **changes}
    (folder / "plan.yaml").write_text(
        yaml.safe_dump({k: v for k, v in raw.items() if v is not None}, sort_keys=False), encoding="utf-8"
    )
    return read_plan(folder / "plan.yaml")


def safety(recipe: Recipe) -> float:
    """How safe a merge is: its models' by their weights."""
    tree = yaml.safe_load(recipe.to_yaml())
    models = [one["model"] for one in tree["models"]]
    if tree["merge_method"] == "slerp":
        return (1 - tree["parameters"]["t"]) * SAFE[models[0]] + tree["parameters"]["t"] * SAFE[models[1]]
    weights = [one.get("parameters", {}).get("weight", 1.0) for one in tree["models"]]
    return sum(w * SAFE.get(m, 0.4) for w, m in zip(weights, models, strict=True)) / sum(weights)


def weights(recipe: Recipe) -> str:
    """A name for the merged weights: a model that has all the weight is that model, flat SLERP a linear merge."""
    tree = yaml.safe_load(recipe.to_yaml())
    models = [one["model"] for one in tree["models"]]
    own = [one.get("parameters", {}).get("weight", 1.0) for one in tree["models"]]
    if tree["merge_method"] == "slerp":
        own = [1 - tree["parameters"]["t"], tree["parameters"]["t"]]
    alone = [model for model, weight in zip(models, own, strict=True) if weight > 0]
    return alone[0] if len(alone) == 1 and recipe.method != "ties" else f"{recipe.method} {models} {own}"


class MadeBench:
    """Counts what it is asked, and may be stopped, or fail, at a recipe."""

    def __init__(self, plan: Plan, stop: Callable[[Recipe], bool] = lambda recipe: False) -> None:
        self.probe = probes.load(plan.probe)
        self.stop = stop
        self.judge = "made/1"
        self.screened: list[str] = []
        self.measured: list[str] = []

    def group(self, recipe: Recipe) -> tuple[str, str, str, str]:
        return self.probe.hash, "full", self.judge, "greedy"

    def scored_by(self, recipe: Recipe) -> str:
        return "made"

    def screen(self, recipe: Recipe) -> Screened:
        if self.stop(recipe):
            raise KeyboardInterrupt
        self.screened.append(recipe.to_yaml())
        safe = safety(recipe)
        notes = (
            ("0 of 9 tensors took the spherical branch: SLERP equals linear here.",) if recipe.method == "slerp" else ()
        )
        lift = 0.2 if recipe.method == "ties" else 0.0
        return Screened(recipe.digest(), ("c",), "made", safe, 1 - safe + lift, weights(recipe), notes)

    def full(self, recipe: Recipe, tell: Callable[[str], None]) -> Measurement:
        if self.stop(recipe):
            raise KeyboardInterrupt
        self.measured.append(recipe.to_yaml())
        safe = safety(recipe)
        labels = made.refusing(self.probe, round(20 * max(safe, 0)))
        weak = round(5 + 4 * safe) - (3 if recipe.method == "ties" else 0)
        texts = {i.id: "no idea" for i in self.probe.items if i.kind == "instruction" and int(i.cluster[-2:]) < weak}
        one = made.measurement(self.probe, labels, texts=texts, recipe=recipe.to_yaml(), digest=recipe.digest())
        used = {name: f"hash of {name}" for name in recipe.models_used()}
        identity = Identity(recipe.digest(), used, self.probe.id, self.probe.hash, "full", self.judge, "greedy")
        return replace(one, identity=identity)
