"""Direct preference optimisation with TRL and PEFT (Rafailov et al. 2023, arXiv 2305.18290): seeded and resumable."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from training import fit
from training.design import DesignError, Plan
from training.family import Start
from training.mixture import Row


def pair(row: Row) -> dict[str, list[dict[str, str]]]:
    """A row as TRL takes it: prompt, chosen and rejected answer as turns of a conversation.

    Raises:
        DesignError: The row is plain text or has no rejected answer.
    """
    if row.prompt is None or row.rejected is None:
        raise DesignError(f"{row.id} has no rejected answer, so nothing can be preferred to it.")
    return {
        "prompt": [{"role": "user", "content": row.prompt}],
        "chosen": [{"role": "assistant", "content": row.answer}],
        "rejected": [{"role": "assistant", "content": row.rejected}],
    }


def batched(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """The rows in batches of like length, the batches in random order: as for SFT."""
    order = sorted(rows, key=lambda row: len(row.prompt or "") + max(len(row.answer), len(row.rejected or "")))
    batches = [order[at : at + plan.batch_size] for at in range(0, len(order), plan.batch_size)]
    random.Random(plan.seed).shuffle(batches)
    return [row for batch in batches for row in batch]


def train(
    plan: Plan,
    rows: Sequence[Row],
    start: Start,
    out: Path,
    work: Path,
    *,
    record: Mapping[str, Any],
) -> Path:
    """Train the plan's model to prefer the answers to the rejected ones, and write it to `out`.

    The reference is what training starts from: TRL keeps a frozen copy of an adapter that goes on; under a new adapter
    it is the model without it.

    Args:
        plan: What to do.
        rows: What to prefer, in order.
        start: What it begins from.
        out: Folder of the adapter or model; replaced whole when training has ended.
        work: Folder of the states from which a killed training goes on; removed at the end.
        record: What to keep beside it in training.json, with the curve.

    Returns:
        `out`.
    """
    model, tokenizer = fit.loaded(plan, start)
    reference = fit.loaded(plan, start)[0] if plan.adapter == "full" else None
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(
            **fit.arguments(plan, work),
            beta=plan.beta,
            max_length=2 * plan.max_tokens,
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list([pair(row) for row in batched(rows, plan)]),
        processing_class=tokenizer,
        peft_config=fit.lora(plan, start),
    )
    fit.run(trainer, plan, work)
    return fit.written(trainer, plan, start, out, work, record)
