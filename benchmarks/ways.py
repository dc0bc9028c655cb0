"""The ways to compute a slider move, tried side by side: why the compiled loops of `merging.kernels` are numba's.

    python -m benchmarks.ways [--threads N] [--rounds N] [--json OUT]

One tensor of 32 M elements in bfloat16, as multiples of `torch.lerp(a, b, t, out=o)` over it (a weighted sum of two) or
1.5 times that (TIES of a base and two models whose trimmed deltas are at hand). `torch.compile` needs a C++ compiler
on the machine and is skipped where there is none; "first" is what the very first call costs, in seconds.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.offline import machine
from merging import fused
from merging.arithmetic import CHUNK, Scratch, spans, thread_count, weighted_sum
from merging.deltas import Delta
from merging.sources import Group, Plain
from merging.steps import Kept, elected, keep, keep_count, largest

SIZE = 1 << 25
Work = Callable[[], object]


def sums(one: torch.Tensor, two: torch.Tensor, out: torch.Tensor) -> dict[str, Work]:
    """The ways to write .4 · one + .6 · two, rounded once."""
    scratch = Scratch()
    buffers = [torch.empty(CHUNK) for _ in range(2)]

    def allocating() -> None:
        out.copy_(one.float() * 0.4 + two.float() * 0.6)

    def in_bfloat16() -> None:  # rounds twice: shown for its speed only
        torch.mul(one, 0.4, out=out).add_(two, alpha=0.6)

    def foreach() -> None:
        for start, end in spans(SIZE, CHUNK):
            pair = [buffer[: end - start] for buffer in buffers]
            torch._foreach_copy_(pair, [one[start:end], two[start:end]])
            torch._foreach_mul_(pair, [0.4, 0.6])
            out[start:end].copy_(pair[0].add_(pair[1]))

    def ours() -> None:
        weighted_sum([(one, 0.4), (two, 0.6)], out, scratch)

    ways: dict[str, Work] = {
        "eager, allocating": allocating, "eager in bfloat16 (two roundings)": in_bfloat16,
        "foreach, in chunks": foreach,
        "eager, in chunks": eager(ours), "numba": ours,
    }  # fmt: skip
    if shutil.which("g++") or shutil.which("c++") or shutil.which("clang++"):
        compiled = torch.compile(lambda: out.copy_((one.float() * 0.4 + two.float() * 0.6).bfloat16()))
        ways["torch.compile"] = compiled
    return ways


def elections(base: torch.Tensor, models: list[torch.Tensor], out: torch.Tensor) -> dict[str, Work]:
    """The ways to move a weight of TIES."""
    scratch, root = Scratch(), Plain(base)
    values = {"weight": (0.4, 0.6), "normalize": True, "lambda": 1.0}

    def chosen() -> list[Kept]:
        memos = [Delta(Group("w", root, (Plain(model),))).ordered() for model in models]
        return [keep(memo, largest(memo, keep_count(0.5, SIZE)), rescale=False) for memo in memos]

    rules = chosen()
    with fused.eager():
        thinned = chosen()

    def ours(choices: list[Kept]) -> Work:
        return lambda: elected(root, choices, values, out, scratch)

    def whole(one: torch.Tensor, two: torch.Tensor) -> None:
        one, two = one * 0.4, two * 0.6
        sign = torch.where(one + two >= 0, 1.0, -1.0)
        share = (one * sign > 0) * 0.4 + (two * sign > 0) * 0.6
        total = (one * sign).clamp_min(0) + (two * sign).clamp_min(0)
        out.copy_((base.float() + total / torch.where(share == 0, 1.0, share) * sign).bfloat16())

    one, two = (kept.thinned for kept in thinned)
    if one is None or two is None:
        raise RuntimeError("the eager choices hold no deltas")
    ways = {
        "eager, allocating": lambda: whole(one, two), "eager, in chunks": eager(ours(thinned)),
        "numba, rules applied while reading": ours(rules),
    }  # fmt: skip
    if shutil.which("g++") or shutil.which("c++") or shutil.which("clang++"):
        compiled = torch.compile(whole)
        ways["torch.compile"] = lambda: compiled(one, two)
    return ways


def eager(work: Work) -> Work:
    """The same work without the compiled loops."""

    def run() -> None:
        with fused.eager():
            work()

    return run


def measure(ways: dict[str, Work], floor: Work, passes: float, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of the first call, and the median of the others over the floor; floor and ways by turns."""
    first, took = {}, {name: [] for name in ways}
    for name, work in ways.items():
        start = time.perf_counter()
        work()
        first[name] = time.perf_counter() - start
        work()
    floors = []
    for _ in range(rounds):
        start = time.perf_counter()
        floor()
        floors.append(time.perf_counter() - start)
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            took[name].append(time.perf_counter() - start)
    least = statistics.median(floors) * passes
    return {name: {"first": first[name], "ratio": statistics.median(times) / least} for name, times in took.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, default=None, help="write all figures to this file")
    given = parser.parse_args()
    fused.wait()
    generator = torch.Generator().manual_seed(0)
    base = (torch.randn(SIZE, generator=generator) * 0.02).bfloat16()
    models = [(base.float() + 0.003 * torch.randn(SIZE, generator=generator)).bfloat16() for _ in range(2)]
    out = torch.empty_like(base)
    found: dict[str, Any] = {"machine": machine(), "threads": given.threads}
    with thread_count(given.threads):
        todo = {"weighted sum of two": (sums(*models, out), 1.0), "TIES, weight": (elections(base, models, out), 1.5)}
        for title, (ways, passes) in todo.items():
            rows = measure(ways, lambda: torch.lerp(*models, 0.4, out=out), passes, given.rounds)
            found[title] = rows
            print(f"\n{title}, {given.threads} threads\n{'way':38}{'first call':>12}{'x floor':>10}")
            for name, row in rows.items():
                print(f"{name:38}{row['first']:10.2f} s{row['ratio']:10.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
