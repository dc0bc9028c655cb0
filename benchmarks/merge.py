"""How long a slider move takes, as a multiple of this machine's floor.

    python -m benchmarks.merge [--threads N] [--layers N] [--rounds N] [--zoo] [--json OUT]

The floor is `torch.lerp(a, b, t, out=o)` over the same bytes with the same threads, times N / 2 for a merge of N
inputs (the base counts as one). All figures come from one run, floor and moves by turns, so that a busy machine slows
both. Moves are warm: the first merge and a first move of the same slider go before.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from merging import LiveModel, Recipe
from merging.arithmetic import thread_count

Move = Callable[[int], Recipe]
WIDTH, INNER, WORDS = 640, 2048, 58_441  # as the embedded family


def synthetic(folder: Path, layers: int) -> list[str]:
    """Three bfloat16 Llama checkpoints: a base and two descendants that differ from it everywhere."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": layers, "num_attention_heads": 10, "num_key_value_heads": 2, "vocab_size": WORDS,
        "tie_word_embeddings": True, "dtype": "bfloat16",
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (WORDS, WIDTH), "model.norm.weight": (WIDTH,)}
    parts = {
        "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (128, WIDTH), "self_attn.v_proj": (128, WIDTH),
        "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER), "input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,),
    }  # fmt: skip
    shapes |= {f"model.layers.{i}.{name}.weight": shape for i in range(layers) for name, shape in parts.items()}
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in shapes.items()}
    for number, name in enumerate(("base", "a", "b")):
        out = folder / name
        out.mkdir()
        (out / "config.json").write_text(json.dumps(config))
        step = 0.0 if number == 0 else 0.003
        moved = {n: (t + step * torch.randn(t.shape, generator=generator)).bfloat16() for n, t in base.items()}
        save_file(moved, out / "model.safetensors", metadata={"format": "pt"})
    return [str(folder / name) for name in ("base", "a", "b")]


def moves(base: str, first: str, second: str) -> dict[str, tuple[int, Move]]:
    """Each slider with its number of inputs and the recipe of its k-th stop."""

    def two(k: int) -> list[dict[str, float]]:
        return [{"weight": 0.3 + 0.04 * k}, {"weight": 0.6}]

    def dense(k: int) -> list[dict[str, float]]:
        return [{"weight": 0.5, "density": 0.3 + 0.03 * k}, {"weight": 0.6, "density": 0.5}]

    def half(k: int) -> list[dict[str, float]]:
        return [{"weight": 0.3 + 0.04 * k, "density": 0.5}, {"weight": 0.6, "density": 0.5}]

    pair = [first, second]
    build = Recipe.build
    return {
        "slerp t": (2, lambda k: build("slerp", models=pair, base_model=first, parameters={"t": 0.2 + 0.05 * k})),
        "linear weight": (2, lambda k: build("linear", models=pair, per_model=two(k))),
        "nuslerp weight": (2, lambda k: build("nuslerp", models=pair, per_model=two(k))),
        "nuslerp weight, base": (3, lambda k: build("nuslerp", models=pair, base_model=base, per_model=two(k))),
        "ties weight": (3, lambda k: build("ties", models=pair, base_model=base, per_model=half(k))),
        "ties density": (3, lambda k: build("ties", models=pair, base_model=base, per_model=dense(k))),
        "dare_ties weight": (3, lambda k: build("dare_ties", models=pair, base_model=base, per_model=half(k))),
        "dare_ties density": (3, lambda k: build("dare_ties", models=pair, base_model=base, per_model=dense(k))),
    }


def floor_seconds(pairs: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> float:
    """One pass of torch.lerp over a pair of models."""
    start = time.perf_counter()
    for first, second, out in pairs:
        torch.lerp(first, second, 0.37, out=out)
    return time.perf_counter() - start


def measure(models: list[str], *, threads: int, rounds: int) -> list[dict[str, float | str]]:
    """One row per slider: seconds of the first merge, median seconds of a move, and that as a multiple of its floor."""
    rows: list[dict[str, float | str]] = []
    live = LiveModel(models, threads=threads)
    for name, (inputs, move) in moves(*models).items():
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
        rows.append({"move": name, "first": first, "seconds": statistics.median(took), "floor": floor})
        rows[-1]["ratio"] = statistics.median(took) / floor
    return rows


def show(title: str, rows: list[dict[str, float | str]]) -> None:
    """Print the rows as a table."""
    print(f"\n{title}\n{'move':24} {'first merge':>12} {'move':>9} {'floor':>9} {'x floor':>8}")
    for row in rows:
        print(
            f"{row['move']:24} {row['first']:10.2f} s {1e3 * float(row['seconds']):6.0f} ms "
            f"{1e3 * float(row['floor']):6.1f} ms {row['ratio']:8.2f}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--layers", type=int, default=20, help="layers of the synthetic models (20: 134 M parameters)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--zoo", action="store_true", help="measure the embedded family too")
    parser.add_argument("--json", type=Path, default=None, help="write the rows to this file")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        models = synthetic(Path(folder), given.layers)
        found["synthetic"] = measure(models, threads=given.threads, rounds=given.rounds)
    if given.zoo:
        family = ["zoo:base", "zoo:general", "zoo:safety"]
        found["zoo"] = measure(family, threads=given.threads, rounds=given.rounds)
    for title, rows in found.items():
        show(f"{title}, {given.threads} threads, torch {torch.__version__}", rows)
    if given.json:
        given.json.write_text(json.dumps({"threads": given.threads, "rows": found}, indent=2))


if __name__ == "__main__":
    main()
