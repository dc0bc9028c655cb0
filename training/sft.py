"""Supervised fine-tuning with TRL and PEFT: seeded, resumable, written whole or not at all."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

from training import fit
from training.design import Plan
from training.family import Start
from training.mixture import Row

IGNORED = -100


def encode(row: Row, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> dict[str, list[int]]:
    """Token ids and labels of a row: the loss counts the answer and its end of turn, or all of a plain text."""
    if row.prompt is None:
        ids = [tokenizer.bos_token_id, *tokenizer(row.answer, add_special_tokens=False).input_ids][:max_tokens]
        return {"input_ids": ids, "labels": [IGNORED, *ids[1:]]}
    asked = [{"role": "user", "content": row.prompt}]
    before = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": row.answer}], tokenize=False)
    start = tokenizer(str(before), add_special_tokens=False).input_ids
    rest = tokenizer(str(whole)[len(str(before)) :].rstrip("\n"), add_special_tokens=False).input_ids
    return {"input_ids": [*start, *rest][:max_tokens], "labels": [*[IGNORED] * len(start), *rest][:max_tokens]}


def batched(encoded: Sequence[dict[str, list[int]]], plan: Plan) -> list[dict[str, list[int]]]:
    """The rows in batches of like length, the batches in random order.

    transformers' own grouping sorts long stretches from long rows to short without shuffling them: every stretch then
    ended on one-word answers, and what had been learnt of refusing was gone again.
    """
    order = sorted(encoded, key=lambda row: len(row["input_ids"]))
    batches = [order[at : at + plan.batch_size] for at in range(0, len(order), plan.batch_size)]
    random.Random(plan.seed).shuffle(batches)
    return [row for batch in batches for row in batch]


class AnswerLoss(SFTTrainer):
    """TRL's trainer with the head applied to the positions that are learnt from, and nowhere else.

    The head of a small model with a large vocabulary is most of its arithmetic.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean over rows of a row's mean cross-entropy (nats / token): a one-word answer counts like a long one."""
        inner = self.accelerator.unwrap_model(model).get_base_model()
        targets = inputs["labels"][:, 1:]
        learnt = targets != IGNORED
        with self.accelerator.autocast():  # accelerate wraps the whole model's forward alone, which is not called here
            hidden = inner.model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
            ).last_hidden_state
            logits = torch.nn.functional.linear(hidden[:, :-1][learnt], inner.lm_head.weight).float()
        each = torch.nn.functional.cross_entropy(logits, targets[learnt], reduction="none")
        share = learnt / learnt.sum(dim=1, keepdim=True).clamp(min=1) / len(targets)
        loss = (each * share[learnt]).sum()
        return (loss, {"logits": logits}) if return_outputs else loss


def train(
    plan: Plan,
    rows: Sequence[Row],
    start: Start,
    out: Path,
    work: Path,
    *,
    record: Mapping[str, Any],
) -> Path:
    """Train the plan's model on a model folder and write it to `out`.

    Args:
        plan: What to do.
        rows: What to learn, in order.
        start: What it begins from.
        out: Folder of the adapter or model; replaced whole when training has ended.
        work: Folder of the states from which a killed training goes on; removed at the end.
        record: What to keep beside it in training.json, with the curve.

    Returns:
        `out`.
    """
    model, tokenizer = fit.loaded(plan, start)
    trainer_class = AnswerLoss if plan.loss == "rows" and plan.adapter == "lora" else SFTTrainer
    trainer = trainer_class(
        model=model,
        args=SFTConfig(**fit.arguments(plan, work), max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Dataset.from_list(batched([encode(row, tokenizer, plan.max_tokens) for row in rows], plan)),
        processing_class=tokenizer,
        peft_config=fit.lora(plan, start),
    )
    fit.run(trainer, plan, work)
    return fit.written(trainer, plan, start, out, work, record)
