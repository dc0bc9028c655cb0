"""How long the quick probe takes, against transformers' own `generate` and against this machine's matrix products.

    python -m benchmarks.probe [--model zoo:base] [--threads N] [--sample N] [--json OUT]

One run on the same items: the whole probe (240 answers of at most 32 tokens, 72 choices of 4 options), then `generate`
at batch 32 and one at a time on an evenly spread sample of the same prompts, scaled to all. The floor is the time this
machine needs for the matrix products of the probe's forward passes alone, taken at the speed it reaches on the model's
own largest layer, in the same dtype and with the same threads.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from eval import probes
from eval.engine import Engine, compute_dtype
from eval.types import Item
from merging import LiveModel, Recipe, zoo

LENGTH = 32


class Counter:
    """Counts the tokens that go through the layers and the positions that go through the head."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.tokens = self.heads = 0
        model.get_input_embeddings().register_forward_hook(self._layers)  # type: ignore[operator]
        model.get_output_embeddings().register_forward_hook(self._head)  # type: ignore[operator]

    def _layers(self, _module: object, _inputs: object, out: torch.Tensor) -> None:
        self.tokens += out.shape[0] * out.shape[1]

    def _head(self, _module: object, inputs: tuple[torch.Tensor, ...], _out: object) -> None:
        self.heads += inputs[0].shape[0] * inputs[0].shape[1]


def matrix_speed(model: torch.nn.Module, rows: int) -> float:
    """Floating-point operations per second of one linear layer on `rows` rows, best of a second's tries."""
    layers = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    weight = max((w for w in layers if w.shape[0] < 30_000), key=torch.numel)
    given = torch.randn(rows, weight.shape[1], dtype=weight.dtype, device=weight.device)
    best, end = 0.0, time.perf_counter() + 1.0
    with torch.inference_mode():
        while time.perf_counter() < end:
            start = time.perf_counter()
            torch.nn.functional.linear(given, weight)
            best = max(best, 2 * rows * weight.numel() / (time.perf_counter() - start))
    return best


def operations(model: torch.nn.Module, counter: Counter) -> float:
    """Floating-point operations of the linear layers for the tokens counted."""
    head = model.get_output_embeddings().weight.numel()  # type: ignore[operator,union-attr]
    layers = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear)) - head
    return 2.0 * (layers * counter.tokens + head * counter.heads)


def generate_seconds(engine: Engine, prompts: Sequence[str], batch: int) -> float:
    """Time of transformers' generate on left-padded batches of equal length order, as a careful user would write it."""
    encoded = sorted((engine.chat.encode(prompt) for prompt in prompts), key=len)
    ends, pad = sorted(engine.chat.end_ids), engine.chat.pad_id
    start = time.perf_counter()
    for at in range(0, len(encoded), batch):
        rows = encoded[at : at + batch]
        width = max(map(len, rows))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        engine.model.generate(
            ids.to(engine.model.device),
            attention_mask=mask.to(engine.model.device),
            max_new_tokens=LENGTH,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=pad,
        )
    return time.perf_counter() - start


def measure(engine: Engine, items: Sequence[Item], sample: int) -> dict[str, float]:
    """All figures of one run, seconds unless the name says otherwise."""
    asked = [item.prompt for item in items if item.kind != "choice"]
    choices = [item for item in items if item.kind == "choice"]
    engine.generate(asked[:8], max_new_tokens=2)  # warm
    counter = Counter(engine.model)
    start = time.perf_counter()
    answers = engine.generate(asked, max_new_tokens=LENGTH)
    answering = time.perf_counter() - start
    engine.score_options([item.prompt for item in choices], [item.options for item in choices])
    probe = time.perf_counter() - start
    work = operations(engine.model, counter)
    speed = matrix_speed(engine.model, 96)
    some = asked[:: max(1, len(asked) // sample)]
    scale = len(asked) / len(some)
    batched = generate_seconds(engine, some, 32) * scale
    alone = generate_seconds(engine, some, 1) * scale
    tokens = sum(answer.tokens for answer in answers)
    return {
        "probe": probe,
        "answering": answering,
        "choosing": probe - answering,
        "tokens": tokens,
        "tokens a second": tokens / answering,
        "floor": work / speed,
        "GFLOP/s of the floor": speed / 1e9,
        "probe as a multiple of the floor": probe * speed / work,
        "generate, batch 32": batched,
        "generate, one at a time": alone,
        "times faster than batch 32": batched / answering,
        "times faster than one at a time": alone / answering,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:base")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sample", type=int, default=64, help="prompts given to generate")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    given = parser.parse_args()
    if given.model.startswith(zoo.PREFIX):
        zoo.prepare()
    live = LiveModel([given.model], device=given.device, compute_dtype=compute_dtype(given.device))
    live.apply(Recipe.single(given.model))
    engine = Engine(live.model, live.tokenizer, threads=given.threads)
    found = measure(engine, probes.load("quick").items, given.sample)
    print(f"{given.model}, {engine.decoding()}, {dict(engine.environment())}")
    for name, value in found.items():
        print(f"{name:34} {value:10.1f}")
    if given.json:
        given.json.write_text(json.dumps({"environment": dict(engine.environment()), "figures": found}, indent=2))


if __name__ == "__main__":
    main()
