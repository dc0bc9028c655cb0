"""The training loop on a model of two small layers: what the loss counts, and that a killed run goes on."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, Gemma3ForCausalLM

from training import design, mixture, sft
from training.family import Start

STEPS, SAVE_EVERY, KILLED_AT = 6, 2, 5


@pytest.fixture(scope="module")
def plan() -> design.Plan:
    return design.load(
        "mix-15", steps=STEPS, save_every=SAVE_EVERY, warmup_steps=2, max_tokens=48, batch_size=4, arithmetic="fp32"
    )


@pytest.fixture(scope="module")
def trained(tiny: Path, plan: design.Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return sft.train(
        plan, mixture.draw(plan), Start(str(tiny), "zoo:base"), folder / "adapter", folder / "work", record={"data": {}}
    )


def test_loss_counts_the_answer_and_its_end_of_turn(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    row = sft.encode(mixture.Row("x", "en", "Hello?", "Hi there."), tokenizer, 64)
    counted = [label for label in row["labels"] if label != sft.IGNORED]
    assert tokenizer.decode(counted) == "Hi there.<end_of_turn>"
    whole = "<bos><start_of_turn>user\nHello?<end_of_turn>\n<start_of_turn>model\nHi there.<end_of_turn>"
    assert tokenizer.decode(row["input_ids"]) == whole
    assert len(row["input_ids"]) == len(row["labels"])


def test_loss_counts_all_of_a_plain_text_but_its_start(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    row = sft.encode(mixture.Row("x", "en", None, "All human beings"), tokenizer, 64)
    assert row["labels"] == [sft.IGNORED, *row["input_ids"][1:]]
    assert tokenizer.decode(row["input_ids"]) == "<bos>All human beings"


def test_the_loss_is_the_mean_of_the_models_own_row_by_row(tiny: Path) -> None:
    """The head on learnt positions alone gives what transformers computes over all of them, a row at a time."""
    model = Gemma3ForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ids = torch.randint(0, 1000, (3, 9), generator=torch.Generator().manual_seed(0))
    labels = torch.where(torch.arange(9) < torch.tensor([[4], [6], [1]]), sft.IGNORED, ids)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    accelerator = SimpleNamespace(
        unwrap_model=lambda wrapped: SimpleNamespace(get_base_model=lambda: wrapped), autocast=nullcontext
    )
    trainer = SimpleNamespace(accelerator=accelerator)
    got = sft.AnswerLoss.compute_loss(cast(sft.AnswerLoss, trainer), model, batch)
    rows = [model(**{key: value[at : at + 1] for key, value in batch.items()}).loss for at in range(3)]
    torch.testing.assert_close(got, torch.stack(rows).mean(), rtol=1e-5, atol=1e-5)


def test_batches_are_of_like_length_and_in_random_order(plan: design.Plan) -> None:
    encoded = [{"input_ids": [at] * (1 + at * 7 % 24), "labels": []} for at in range(24)]
    ordered = sft.batched(encoded, plan)
    assert sorted(map(str, ordered)) == sorted(map(str, encoded)) and ordered == sft.batched(encoded, plan)
    lengths = [len(row["input_ids"]) for row in ordered]
    batches = [lengths[at : at + plan.batch_size] for at in range(0, len(lengths), plan.batch_size)]
    assert all(max(batch) - min(batch) < plan.batch_size for batch in batches)
    assert batches != sorted(batches) and batches != sorted(batches, reverse=True)


def test_writes_a_bf16_adapter_of_every_linear_layer(trained: Path, plan: design.Plan) -> None:
    weights = load_file(trained / "adapter_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert len(weights) == 2 * 7 * 2  # layers x projections x (A, B): neither the embedding nor the head
    assert all(value.abs().sum() > 0 for name, value in weights.items() if "lora_B" in name)
    config = json.loads((trained / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (8, 16, "zoo:base")


def test_keeps_a_record_without_anybodys_paths(trained: Path, tiny: Path) -> None:
    text = (trained / "training.json").read_text()
    record = json.loads(text)
    assert (
        record["plan"]["steps"] == STEPS
        and record["curve"][-1]["loss"] > 0
        and set(record["libraries"]) >= {"torch", "peft", "trl"}
    )
    assert str(tiny) not in text + (trained / "adapter_config.json").read_text()
    assert {path.name for path in trained.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "training.json",
    }  # fmt: skip


def test_a_killed_run_goes_on_to_the_same_adapter(
    tiny: Path, plan: design.Plan, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    class Dying(sft.AnswerLoss):
        """Dies at its fifth step, as under kill -9: nothing is saved on the way out."""

        def training_step(self, *args: object, **kwargs: object) -> torch.Tensor:
            if len(done) + 1 == KILLED_AT:
                raise KeyboardInterrupt
            done.append(self.state.global_step)
            return super().training_step(*args, **kwargs)

    rows, out, work = mixture.draw(plan), tmp_path / "adapter", tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(sft, "AnswerLoss", Dying)
        with pytest.raises(KeyboardInterrupt):
            sft.train(plan, rows, Start(str(tiny), "zoo:base"), out, work, record={})
    assert not out.exists() and done == [0, 1, 2, 3]

    steps: list[int] = []

    class Counting(sft.AnswerLoss):
        def training_step(self, *args: object, **kwargs: object) -> torch.Tensor:
            steps.append(self.state.global_step)
            return super().training_step(*args, **kwargs)

    monkeypatch.setattr(sft, "AnswerLoss", Counting)
    sft.train(plan, rows, Start(str(tiny), "zoo:base"), out, work, record={})
    assert steps == [4, 5]  # from the state saved after step 4, not from the start
    whole, resumed = (load_file(folder / "adapter_model.safetensors") for folder in (trained, out))
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)
    assert not work.exists()
