"""Where the models of a design are: what training begins from, and where its result goes."""

import json
from dataclasses import dataclass
from pathlib import Path

from merging import zoo
from training.design import VARIANT, Design, DesignError, Plan

ROOT = Path(__file__).resolve().parents[1]
ADAPTER = "adapter_config.json"
RECORD = "training.json"


@dataclass(frozen=True)
class Start:
    """What training begins from.

    Attributes:
        model: Folder or hub id of the whole model.
        base: The name a written adapter says it stands on.
        adapter: Folder of an adapter on that model that training goes on with; None where there is none.
    """

    model: str
    base: str
    adapter: Path | None = None


def folder_of(design: Design, name: str) -> Path:
    """The folder a model is written to; variants are not kept with the family but in the cache."""
    if VARIANT in name:
        return zoo.home() / "variants" / name
    where = Path(design.tree.get("out", "assets/zoo"))
    return (where if where.is_absolute() else ROOT / where) / name


def data_of(design: Design) -> Path:
    """The folder of the design's files of rows: `folder`, relative to the repository; by default `training/data`."""
    return ROOT / design.tree.get("folder", "training/data")


def is_made(folder: Path) -> bool:
    """Whether a finished model is there: folders appear whole."""
    return (folder / ADAPTER).is_file() or (folder / "config.json").is_file()


def start_of(design: Design, plan: Plan) -> Start:
    """What the plan's model begins from.

    Raises:
        DesignError: It is a model of the design that is not made yet.
        CheckpointError: It is a `zoo:` name that is unknown or not prepared.
    """
    if plan.start.startswith(zoo.PREFIX):
        if not zoo.ready([plan.start]):
            zoo.prepare(names=[plan.start])
        found = zoo.resolve(plan.start)
        if found.kind == "folder":
            return Start(str(found.path), plan.start)
        base = found.base or zoo.BASE
        return Start(str(zoo.resolve(base).path), base, found.path)
    if plan.start not in design.models:
        return Start(plan.start, plan.start)
    folder = folder_of(design, plan.start)
    if not is_made(folder):
        raise DesignError(f"{plan.name} starts from {plan.start}, which is not made yet: `python -m training all`.")
    if not (folder / ADAPTER).is_file():
        return Start(str(folder), str(folder))
    base = str(json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"])
    return Start(base, base, folder)
