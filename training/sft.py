"""Supervised fine-tuning of a LoRA adapter with TRL and PEFT: seeded, resumable, written whole or not at all."""

import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, set_seed
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

from training.design import Plan
from training.mixture import Row

LIBRARIES = ("torch", "transformers", "peft", "trl")
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
    """TRL's trainer with the head applied, in fp32, to the positions that are learnt from, and nowhere else.

    The head of a small model with a large vocabulary is most of its arithmetic, and TRL's own loss takes torch's slow
    bf16 path for it on a CPU (minutes a step).
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
        hidden = inner.model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        ).last_hidden_state
        targets = inputs["labels"][:, 1:]
        learnt = targets != IGNORED
        logits = torch.nn.functional.linear(hidden[:, :-1][learnt].float(), self._head(inner))
        each = torch.nn.functional.cross_entropy(logits, targets[learnt], reduction="none")
        share = learnt / learnt.sum(dim=1, keepdim=True).clamp(min=1) / len(targets)
        loss = (each * share[learnt]).sum()
        return (loss, {"logits": logits}) if return_outputs else loss

    def _head(self, inner: Any) -> torch.Tensor:
        """The frozen head in fp32, converted once."""
        if not hasattr(self, "_head_fp32"):
            self._head_fp32 = inner.lm_head.weight.detach().float()
        return self._head_fp32


def train(plan: Plan, rows: Sequence[Row], start: Path, out: Path, work: Path, *, record: Mapping[str, Any]) -> Path:
    """Train the plan's adapter on a model folder and write it to `out`.

    Args:
        plan: What to do.
        rows: What to learn, in order.
        start: Folder of the model the adapter stands on.
        out: Folder of the adapter; replaced whole when training has ended.
        work: Folder of the states from which a killed training goes on; removed at the end.
        record: What to keep beside the adapter in training.json, with the loss curve.

    Returns:
        `out`.
    """
    set_seed(plan.seed)
    tokenizer = AutoTokenizer.from_pretrained(start)
    # fp32: torch has no fast bf16 backward on many CPUs (minutes a step); the start is exact in it, being bf16 on disk
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    trainer = AnswerLoss(
        model=model,
        args=_arguments(plan, work),
        train_dataset=Dataset.from_list(batched([encode(row, tokenizer, plan.max_tokens) for row in rows], plan)),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=plan.rank, lora_alpha=plan.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)) if work.is_dir() else None)
    curve = [[entry["step"], round(entry["loss"], 4)] for entry in trainer.state.log_history if "loss" in entry]
    trained = trainer.accelerator.unwrap_model(trainer.model)
    assert isinstance(trained, PeftModel)
    made = {"plan": asdict(plan), "libraries": {name: version(name) for name in LIBRARIES}, "loss": curve}
    _write(trained, plan, out, {**record, **made})
    shutil.rmtree(work, ignore_errors=True)
    return out


def _arguments(plan: Plan, work: Path) -> SFTConfig:
    return SFTConfig(
        output_dir=str(work),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=plan.warmup_steps,
        max_grad_norm=plan.clip,
        train_sampling_strategy="sequential",
        seed=plan.seed,
        data_seed=plan.seed,
        save_steps=plan.save_every,
        save_total_limit=2,
        logging_steps=5,
        report_to="none",
        dataloader_pin_memory=False,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_num_workers=0,
    )


def _write(model: PeftModel, plan: Plan, out: Path, record: Mapping[str, Any]) -> None:
    """The adapter in bf16 with its record, in a folder that appears in one rename."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".partial-{plan.name}-", dir=out.parent))
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data = value.data.to(torch.bfloat16)
    model.peft_config["default"].base_model_name_or_path = plan.start
    model.save_pretrained(str(draft))
    (draft / "README.md").unlink(missing_ok=True)  # a model card template with nothing filled in
    (draft / "training.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.chmod(0o755)
    for file in draft.iterdir():
        file.chmod(0o644)
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)
