"""Make the models of a design.

    python -m training general                     writes assets/zoo/general
    python -m training all                         makes every model of the design that is missing, and nothing else
    python -m training mix-15@seed=1               a variant, written to the cache, to be measured only
    python -m training --list                      every model and variant, and whether it is made
    python -m training general --out DIR --steps 20

Run again after an interruption: it goes on from its last state.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from merging import zoo
from merging.errors import MergeError
from training import family, mixture, preference
from training.design import DESIGNS, Design, DesignError, Plan


def main(argv: list[str] | None = None) -> int:
    """Parse, train, say where it is; exit status 2 with one sentence where that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="a model or variant of the design, or all")
    parser.add_argument("--list", action="store_true", help="say what is made and what is not")
    parser.add_argument("--design", type=Path, default=DESIGNS / "embedded.yaml", help="file, or name in designs/")
    parser.add_argument("--out", type=Path, help="folder of the one model that is made")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float)
    asked = parser.parse_args(argv)
    try:
        design = Design.read(asked.design)
        if asked.list or asked.name is None:
            _list(design)
            return 0
        changes = {"seed": asked.seed, "steps": asked.steps, "learning_rate": asked.learning_rate}
        if asked.name != "all":
            names = [asked.name]
        elif asked.out is not None or any(value is not None for value in changes.values()):
            raise DesignError("`all` makes the design as it stands: name one model to change its settings.")
        else:
            names = [name for name in design.models if not family.is_made(family.folder_of(design, name))]
        # a mistake in the last model is found before the first one trains
        jobs = [_job(design, name, changes) for name in names]
        for plan, rows in jobs:
            _make(design, plan, rows, asked.out or family.folder_of(design, plan.name))
    except (DesignError, MergeError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _job(design: Design, name: str, changes: Mapping[str, Any]) -> tuple[Plan, list[mixture.Row]]:
    plan, folder = design.plan(name, **changes), family.data_of(design)
    rows = mixture.draw(plan, folder)
    if plan.method == "dpo":
        kinds = {kind: entry for kind, entry in plan.data.items() if kind != mixture.REPLAY}
        pool = [row for kind, entry in kinds.items() for row in mixture.read(kind, entry, folder)]
        rows = preference.paired(rows, pool, plan)
    return plan, rows


def _make(design: Design, plan: Plan, rows: list[mixture.Row], out: Path) -> None:
    start, data = family.start_of(design, plan), mixture.hashes(plan, family.data_of(design))
    state = sha256(json.dumps([asdict(plan), data], sort_keys=True).encode()).hexdigest()[:16]
    from training import dpo, sft  # torch and TRL take seconds: only once the request is known to be sound

    train = dpo.train if plan.method == "dpo" else sft.train
    train(plan, rows, start, out, zoo.home() / "training" / state, record={"data": data})
    print(f"{plan.name}: {len(rows)} rows, {plan.steps} steps, written to {out}")


def _list(design: Design) -> None:
    for name in (*design.models, *design.variants):
        folder = family.folder_of(design, name)
        print(f"{name:24}{_state(design, name, folder)}")


def _state(design: Design, name: str, folder: Path) -> str:
    if not family.is_made(folder):
        return "missing"
    record = folder / family.RECORD
    made = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    plan = design.plan(name)
    same = made.get("plan") == json.loads(json.dumps(asdict(plan))) and made.get("data") == mixture.hashes(
        plan, family.data_of(design)
    )
    return "made" if same else "made with other settings or rows than the design's of today"


if __name__ == "__main__":
    sys.exit(main())
