"""The engine on the real embedded model: batches change nothing in float32, and turns are Gemma's."""

from pathlib import Path

import pytest
import torch

from eval import probes
from eval.engine import Engine, compute_dtype
from merging import LiveModel, Recipe

pytestmark = pytest.mark.zoo


@pytest.fixture(scope="module")
def engine(zoo_home: Path) -> Engine:
    live = LiveModel((), compute_dtype=compute_dtype("cpu", "float32"))
    live.apply(Recipe.single("zoo:base"))
    return Engine(live.model, live.tokenizer)


def test_a_prompt_is_one_gemma_turn(engine: Engine) -> None:
    assert engine.has_template
    assert engine.chat.text("Hi") == "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"
    ids = engine.chat.encode("Hi")
    assert ids.count(engine.chat.tokenizer.bos_token_id) == 1
    assert engine.chat.tokenizer.convert_tokens_to_ids("<end_of_turn>") in engine.chat.end_ids


def test_batched_answers_are_those_given_one_at_a_time(engine: Engine) -> None:
    prompts = [item.prompt for item in probes.load("quick").items if item.kind == "instruction"][::12]
    together = engine.generate(prompts, max_new_tokens=12, batch_size=3)
    assert together == [engine.generate([prompt], max_new_tokens=12)[0] for prompt in prompts]


def test_choices_share_a_prefix_and_score_as_whole_sequences(engine: Engine) -> None:
    item = next(item for item in probes.load("quick").items if item.kind == "choice")
    (scores,) = engine.score_options([item.prompt], [item.options])
    for option, score in zip(item.options, scores, strict=True):
        head, tail = engine.chat.encode(item.prompt), engine.chat.continuation(option)
        with torch.no_grad():
            logits = engine.model(torch.tensor([head + tail])).logits[0].log_softmax(-1)
        total = sum(logits[len(head) - 1 + i, token].item() for i, token in enumerate(tail))
        assert score == pytest.approx(total / len(option.encode()), abs=1e-4)
