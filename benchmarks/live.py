"""How long a slider move takes, as a multiple of this machine's floor, and beside mergekit's merge in memory.

    python -m benchmarks.live [--threads N] [--layers N] [--rounds N] [--zoo] [--mergekit-python PATH] [--json OUT]

The floor is `torch.lerp(a, b, t, out=o)` over the same bytes with the same threads, times N / 2 for a merge of N
inputs (the base counts as one). All figures come from one run, floor and moves by turns, so that a busy machine slows
both. Moves are warm: the first merge and a first move of the same slider go before. "eager" is the plain torch code
that runs until the compiled loops are there (`merging.fused`); both give the same bits. PATH is the interpreter of an
environment with `benchmarks/requirements.txt`: its `merge_state_dicts` merges the same tensors, by turns with ours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.offline import machine, synthetic
from merging import LiveModel, Recipe, fused
from merging.arithmetic import thread_count

Move = Callable[[int], Recipe]
Row = dict[str, Any]
WORKER = Path(__file__).with_name("live_worker.py")
ASKED = {
    "slerp t": 2.5, "linear weight": 2.5, "task_arithmetic weight": 2.5, "task_arithmetic lambda": 2.5,
    "ties weight": 5, "ties lambda": 5, "dare_ties weight": 5, "della weight": 5, "breadcrumbs weight": 5,
    "ties density": 12, "slerp, seen before": 3, "ties, seen before": 3,
}  # fmt: skip
ASKED_EAGER = {name: 4 if most == 2.5 else 15 for name, most in ASKED.items() if most in (2.5, 5)}
ASKED_MERGEKIT = {"slerp": 6, "ties": 25}


def moves(base: str, first: str, second: str) -> dict[str, tuple[int, Move]]:
    """Each slider with its number of inputs and the recipe of its k-th stop."""
    pair, build = [first, second], Recipe.build

    def own(weight: float = 0.5, **knobs: float) -> list[dict[str, float]]:
        return [
            {"weight": weight, **knobs},
            {"weight": 0.6, **{k: 0.5 if k == "density" else v for k, v in knobs.items()}},
        ]

    def delta(method: str, *, weight: bool = True, lambda_: bool = False, **knobs: float) -> Move:
        def stop(k: int) -> Recipe:
            shared = {"lambda": 0.5 + 0.04 * k} if lambda_ else {}
            values = own(0.3 + 0.04 * k if weight else 0.5, **knobs)
            return build(method, models=pair, base_model=base, per_model=values, parameters=shared)

        return stop

    def dense(method: str) -> Move:
        return lambda k: build(method, models=pair, base_model=base, per_model=own(density=0.3 + 0.03 * k))

    def slerp(k: int) -> Recipe:
        return build("slerp", models=pair, base_model=first, parameters={"t": 0.2 + 0.05 * k})

    def group(k: int) -> Recipe:
        curve = [{"filter": "layers.3.", "value": 0.2 + 0.05 * k}, {"value": 0.5}]
        return build("slerp", models=pair, base_model=first, parameters={"t": curve})

    half = {"density": 0.5}
    return {
        "slerp t": (2, slerp),
        "linear weight": (2, lambda k: build("linear", models=pair, per_model=own(0.3 + 0.04 * k))),
        "nuslerp weight, base": (
            3, lambda k: build("nuslerp", models=pair, base_model=base, per_model=own(0.3 + 0.04 * k)),
        ),
        "task_arithmetic weight": (3, delta("task_arithmetic")),
        "task_arithmetic lambda": (3, delta("task_arithmetic", weight=False, lambda_=True)),
        "ties weight": (3, delta("ties", **half)),
        "ties lambda": (3, delta("ties", weight=False, lambda_=True, **half)),
        "dare_ties weight": (3, delta("dare_ties", **half)),
        "della weight": (3, delta("della", **half)),
        "breadcrumbs weight": (3, delta("breadcrumbs", **half)),
        "ties density": (3, dense("ties")),
        "dare_ties density": (3, dense("dare_ties")),
        "slerp, seen before": (2, lambda k: slerp(k % 2)),
        "ties, seen before": (3, lambda k: dense("ties")(k % 2)),
        "slerp, one layer of them": (2, group),
    }  # fmt: skip


def floor_seconds(pairs: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> float:
    """One pass of torch.lerp over a pair of models."""
    start = time.perf_counter()
    for first, second, out in pairs:
        torch.lerp(first, second, 0.37, out=out)
    return time.perf_counter() - start


def touched(live: LiveModel, name: str) -> float:
    """Share of the model's bytes that a move of this slider changes."""
    sizes = {n: p.nbytes for n, p in live.model.named_parameters()}
    moved = sum(size for n, size in sizes.items() if "layers.3." in n) if "one layer" in name else sum(sizes.values())
    return moved / sum(sizes.values())


def measure(models: list[str], *, threads: int, rounds: int) -> list[Row]:
    """One row per slider: seconds of the first merge, median seconds of a move both ways, as multiples of the floor."""
    rows: list[Row] = []
    live = LiveModel(models, threads=threads)
    for name, (inputs, move) in moves(*models).items():
        row: Row = {"move": name}
        for way in ("compiled", "eager"):
            with fused.eager() if way == "eager" else nullcontext():
                row |= _one(live, way, move, inputs, threads=threads, rounds=rounds)
        rows.append(row | {"share": touched(live, name)})
        show_row(rows[-1])
    return rows


def _one(live: LiveModel, way: str, move: Move, inputs: int, *, threads: int, rounds: int) -> Row:
    live.pool.stages.clear()
    first = live.apply(move(0)).seconds
    pairs = [(p.clone(), p.clone(), torch.empty_like(p)) for p in live.model.parameters()]
    live.apply(move(1))
    took, floors = [], []
    for k in range(rounds):
        with thread_count(threads):
            floors.append(floor_seconds(pairs))
        took.append(live.apply(move(2 + k)).seconds)
    floor = statistics.median(floors) * inputs / 2
    return {
        f"{way}_first": first, f"{way}_floor": floor, way: statistics.median(took),
        f"{way}_ratio": statistics.median(took) / floor, f"{way}_best": min(took) / (min(floors) * inputs / 2),
    }  # fmt: skip


def show_head(title: str) -> None:
    """Print the head of the table."""
    words = f"{'floor':>9}{'move':>9}{'x floor':>9}{'asked':>7}"
    print(f"\n{title}\n{'':26}{'':>9}{'compiled':^34}{'eager':^34}\n{'move':26}{'first':>9}{words}{words}")


def show_row(row: Row) -> None:
    """Print one row; milliseconds but for the first merge."""
    name, share = row["move"], row["share"]
    cells = f"{name:26}{row['compiled_first']:7.2f} s"
    for way, asked in (("compiled", ASKED), ("eager", ASKED_EAGER)):
        most = asked.get(name, "")
        cells += f"{1e3 * row[f'{way}_floor']:9.1f}{1e3 * row[way]:9.1f}{row[f'{way}_ratio']:9.2f}{most:>7}"
    if 0 < share < 1:
        cells += f"  touches {share:.1%} of the bytes: {row['compiled_ratio'] / share:.1f} x the floor of those"
    print(cells, flush=True)


@contextmanager
def mergekit(python: str, models: list[str], threads: int) -> Iterator[Callable[[str], float]]:
    """A process that holds the same tensors: called with a method, it merges once and says how long that took."""
    command = [python, str(WORKER), str(threads), *models]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        pipes = process.stdin, process.stdout
        if pipes[0] is None or pipes[1] is None:
            raise RuntimeError("the worker has no pipes")

        def ask(method: str) -> float:
            pipes[0].write(f"{method}\n")
            pipes[0].flush()
            answer = pipes[1].readline()
            if not answer:
                raise SystemExit(f"mergekit failed on {method}.")
            return float(answer)

        yield ask
        pipes[0].close()


def compare(python: str, models: list[str], *, threads: int, rounds: int) -> list[Row]:
    """Our move beside mergekit's merge of tensors that are in memory, by turns; the first of each apart."""
    rows, every = [], moves(*models)
    live = LiveModel(models, threads=threads)
    for name in models:
        live.apply(Recipe.single(name))  # the endpoints are in memory for both
    with mergekit(python, models, threads) as theirs:
        for method, slider in {
            "linear": "linear weight",
            "slerp": "slerp t",
            "dare_ties": "dare_ties weight",
            "ties": "ties weight",
        }.items():
            move = every[slider][1]
            row: Row = {"method": method, "ours_first": live.apply(move(0)).seconds, "mergekit_first": theirs(method)}
            live.apply(move(1))
            ours, others = [], []
            for k in range(rounds):
                ours.append(live.apply(move(2 + k)).seconds)
                others.append(theirs(method))
            row |= {"ours": statistics.median(ours), "mergekit": statistics.median(others)}
            row["ratio"] = row["mergekit"] / row["ours"]
            rows.append(row)
            print(
                f"{method:12}first merge {row['ours_first']:6.2f} s, mergekit's {row['mergekit_first']:6.2f} s; "
                f"a drag {1e3 * row['ours']:6.0f} ms, mergekit's merge {row['mergekit']:6.2f} s: "
                f"{row['ratio']:.1f} x faster (asked: {ASKED_MERGEKIT.get(method, 1)})",
                flush=True,
            )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--layers", type=int, default=16, help="layers of the synthetic models (16: 254 M parameters)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--zoo", action="store_true", help="measure the embedded family too")
    parser.add_argument("--mergekit-python", default=None, help="interpreter of an environment with mergekit")
    parser.add_argument("--folder", type=Path, default=None, help="where to put the models (default: temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="write all figures to this file")
    given = parser.parse_args()
    if not fused.wait():
        print("The compiled loops cannot run here: both columns are eager.", file=sys.stderr)
    found: dict[str, Any] = {"machine": machine(), "threads": given.threads, "rounds": given.rounds}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        models = synthetic(Path(folder), given.layers, 1 << 40)
        words = f"{given.layers} layers, bfloat16, {given.threads} threads, load {os.getloadavg()[0]:.1f}"
        show_head(f"{words}; milliseconds")
        found["synthetic"] = measure(models, threads=given.threads, rounds=given.rounds)
        if given.mergekit_python:
            print("\nmergekit's merge_state_dicts, tensors in memory for both")
            found["mergekit"] = compare(
                given.mergekit_python, models, threads=given.threads, rounds=min(3, given.rounds)
            )
    if given.zoo:
        show_head("the embedded family (adapters on one base)")
        found["zoo"] = measure(["zoo:base", "zoo:general", "zoo:safety"], threads=given.threads, rounds=given.rounds)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
