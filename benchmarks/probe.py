"""How long the quick probe takes, against `generate`, lm-evaluation-harness and this machine's matrix products.

    python -m benchmarks.probe [--model zoo:base] [--dtype D] [--threads N] [--sample N] [--json OUT]

One run on the same items: the whole probe (240 answers of at most 32 tokens, 72 choices of 4 options), then `generate`
at batch 32 and one at a time on an evenly spread sample of the same prompts, scaled to all, then the choices through
lm-evaluation-harness (benchmarks/requirements.txt), with the largest difference in scores. The floor is the time this
machine needs for the matrix products of the probe's forward passes alone, taken at the speed it reaches on the model's
own largest layer, in the same dtype and with the same threads.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks import harness
from eval import instant, probes
from eval.engine import Engine, compute_dtype
from eval.types import DTYPES, Item
from merging import LiveModel, Recipe, zoo

LENGTH = 32
Now = Callable[[], float]


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


def generate_seconds(engine: Engine, prompts: Sequence[str], batch: int, now: Now) -> float:
    """Time of transformers' generate on left-padded batches of equal length order, as a careful user would write it."""
    encoded = sorted((engine.chat.encode(prompt) for prompt in prompts), key=len)
    ends, pad = sorted(engine.chat.end_ids), engine.chat.pad_id
    start = now()
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
    return now() - start


def measure(engine: Engine, items: Sequence[Item], sample: int, now: Now = time.perf_counter) -> dict[str, float]:
    """All figures of one run, seconds by `now` unless the name says otherwise."""
    asked = [item.prompt for item in items if item.kind != "choice"]
    choices = [item for item in items if item.kind == "choice"]
    engine.generate(asked[:8], max_new_tokens=2)  # warm
    counter = Counter(engine.model)
    start = now()
    answers = engine.generate(asked, max_new_tokens=LENGTH)
    answering = now() - start
    scores = engine.score_options([item.prompt for item in choices], [item.options for item in choices])
    probe = now() - start
    work = operations(engine.model, counter)
    speed = matrix_speed(engine.model, 96)
    some = asked[:: max(1, len(asked) // sample)]
    scale = len(asked) / len(some)
    batched = generate_seconds(engine, some, 32, now) * scale
    alone = generate_seconds(engine, some, 1, now) * scale
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
        "instant tier": instant_seconds(engine, now),
    } | against_harness(engine, choices, scores, probe - answering, now)


def instant_seconds(engine: Engine, now: Now) -> float:
    """Time of the instant tier."""
    asked = instant.declared()
    items, start = asked.probe.items, now()
    options = [asked.options(item) for item in items]
    engine.score_options([item.prompt for item in items], options, batch_size=instant.BATCH_SIZE)
    return now() - start


def against_harness(
    engine: Engine, choices: Sequence[Item], scores: Sequence[Sequence[float]], choosing: float, now: Now
) -> dict[str, float]:
    """The same choices by lm-evaluation-harness: time, and how far the scores lie apart (nats of an option)."""
    if harness.version() is None:
        return {}
    theirs, seconds = harness.score(engine, choices, now)
    apart, same = 0.0, 0
    for item, ours, other in zip(choices, scores, theirs, strict=True):
        sizes = [len(text.encode()) for text in item.options]
        apart = max(apart, *(abs(a * n - b) for a, b, n in zip(ours, other, sizes, strict=True)))
        per_byte = [b / n for b, n in zip(other, sizes, strict=True)]
        same += max(range(len(ours)), key=ours.__getitem__) == max(range(len(ours)), key=per_byte.__getitem__)
    return {
        "lm-evaluation-harness": seconds,
        "times faster than the harness": seconds / choosing,
        "largest difference in nats": apart,
        "same option chosen, of 72": same,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:base")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="as for python -m eval")
    parser.add_argument("--sample", type=int, default=64, help="prompts given to generate")
    parser.add_argument(
        "--processor-time", action="store_true", help="count the processor's time, not the clock's: for busy machines"
    )
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    given = parser.parse_args()
    if given.model.startswith(zoo.PREFIX):
        zoo.prepare()
    live = LiveModel([given.model], device=given.device, compute_dtype=compute_dtype(given.device, given.dtype))
    live.apply(Recipe.single(given.model))
    engine = Engine(live.model, live.tokenizer, threads=given.threads)
    load = os.getloadavg()[0]
    now = time.process_time if given.processor_time else time.perf_counter
    found = measure(engine, probes.load("quick").items, given.sample, now)
    facts = {
        **engine.environment(),
        "seconds of": "the processor" if given.processor_time else "the clock",
        "load before": f"{load:.1f}",
        "lm_eval": harness.version() or "not installed",
    }
    print(f"{given.model}, {engine.decoding()}, {facts}")
    for name, value in found.items():
        print(f"{name:34} {value:10.{4 if 0 < value < 0.1 else 1}f}")
    if given.json:
        rows = {"model": given.model, "decoding": engine.decoding(), "environment": facts, "figures": found}
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
