"""Make one adapter of the embedded family.

    python -m training general                     writes assets/zoo/general
    python -m training general --out DIR --steps 20

Run again after an interruption: it goes on from its last state.
"""

import argparse
import sys
from dataclasses import asdict
from hashlib import sha256
from json import dumps
from pathlib import Path

from merging import zoo
from merging.errors import MergeError
from training import design, mixture

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "zoo"


def main(argv: list[str] | None = None) -> int:
    """Parse, train, say where it is; exit status 2 with one sentence where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Make one adapter of a family.")
    parser.add_argument("name", help="a model of the design: base, general, safety, mix-15")
    parser.add_argument("--design", type=Path, default=design.DESIGNS / "embedded.yaml")
    parser.add_argument("--out", type=Path, help="folder of the adapter (assets/zoo/NAME)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float)
    asked = parser.parse_args(argv)
    try:
        plan = design.load(
            asked.name, asked.design, seed=asked.seed, steps=asked.steps, learning_rate=asked.learning_rate
        )
        rows = mixture.draw(plan)
        start = zoo.resolve(plan.start).path if plan.start.startswith(zoo.PREFIX) else Path(plan.start)
    except (design.DesignError, MergeError) as problem:
        print(problem, file=sys.stderr)
        return 2
    from training.sft import train  # torch and TRL take seconds: only once the request is known to be sound

    data = mixture.hashes(plan)
    state = sha256(dumps([asdict(plan), data], sort_keys=True).encode()).hexdigest()[:16]
    work = zoo.home() / "training" / state
    out = train(plan, rows, start, asked.out or ASSETS / plan.name, work, record={"data": data})
    print(f"{plan.name}: {len(rows)} rows, {plan.steps} steps, written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
