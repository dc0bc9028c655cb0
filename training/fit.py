"""What SFT and DPO share: the start, the trainer's settings, progress, going on after a kill, and the written model."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint

from training.design import DesignError, Plan
from training.family import RECORD, Start

LIBRARIES = ("torch", "transformers", "peft", "trl")


def in_bf16(plan: Plan) -> bool:
    """Whether products are taken in bf16 (weights that train stay fp32).

    A CPU without instructions for it crawls in bf16 (minutes a step); one with them is twice as fast as in fp32.
    """
    if plan.arithmetic == "auto":
        return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()
    return plan.arithmetic == "bf16"


def loaded(plan: Plan, start: Start) -> tuple[Any, Any]:
    """(model, tokenizer) training begins from: fp32, exact, being bf16 on disk; with the adapter it goes on with."""
    set_seed(plan.seed)
    model = AutoModelForCausalLM.from_pretrained(start.model, dtype=torch.float32)
    if start.adapter is not None:
        model = PeftModel.from_pretrained(model, str(start.adapter), is_trainable=True)
    return model, AutoTokenizer.from_pretrained(start.model)


def lora(plan: Plan, start: Start) -> LoraConfig | None:
    """A new adapter on every linear layer; None where all weights are trained, or an adapter goes on."""
    if plan.adapter == "full" or start.adapter is not None:
        return None
    return LoraConfig(
        r=plan.rank, lora_alpha=plan.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def arguments(plan: Plan, work: Path) -> dict[str, Any]:
    """The settings of a transformers trainer, as TRL's SFTConfig and DPOConfig take them."""
    return {
        "output_dir": str(work),
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": min(plan.warmup_steps, plan.steps // 4),
        "max_grad_norm": plan.clip,
        "train_sampling_strategy": "sequential",
        "seed": plan.seed,
        "data_seed": plan.seed,
        "save_steps": plan.save_every,
        "save_total_limit": 2,
        "logging_steps": 5,
        "report_to": "none",
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": in_bf16(plan),
        "gradient_checkpointing": False,
        "dataloader_num_workers": 0,
        "disable_tqdm": True,
    }


class Eta(TrainerCallback):
    """One line now and then: step, loss, and the time that is left."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began: tuple[float, int] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The clock starts with the first step, which may be in the middle of a resumed run."""
        self._began = self._began or (time.monotonic(), state.global_step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Print to the terminal's error stream, so that output can still be piped."""
        if self._began is None or logs is None or "loss" not in logs:
            return
        began, first = self._began
        each = (time.monotonic() - began) / max(1, state.global_step - first)
        left = each * (state.max_steps - state.global_step)
        sys.stderr.write(
            f"{self._name}: step {state.global_step} of {state.max_steps}, loss {logs['loss']:.3f}, "
            f"{each:.1f} s a step, {left / 60:.1f} min left\n"
        )
        sys.stderr.flush()


def run(trainer: Trainer, plan: Plan, work: Path) -> None:
    """Train to the end, from the last finished state where an earlier run left one.

    A state that was being written when the run was killed is passed over.
    """
    trainer.add_callback(Eta(plan.name))
    last = None
    while work.is_dir() and (found := get_last_checkpoint(str(work))):
        if (Path(found) / "trainer_state.json").is_file():  # written last
            last = found
            break
        shutil.rmtree(found)
    trainer.train(resume_from_checkpoint=last)


def written(trainer: Trainer, plan: Plan, start: Start, out: Path, work: Path, record: Mapping[str, Any]) -> Path:
    """Write the trained model with its record to `out`, in one rename, and forget the states."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    curve = [
        {"step": entry["step"]} | {key: round(entry[key], 4) for key in _CURVES if key in entry}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    made = {
        "plan": asdict(plan),
        "arithmetic": "bf16" if in_bf16(plan) else "fp32",
        "libraries": {name: version(name) for name in LIBRARIES},
        "curve": curve,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".partial-{plan.name}-", dir=out.parent))
    _save(model, plan, start, trainer, draft)
    text = json.dumps({**record, **made}, ensure_ascii=False, indent=1)
    (draft / RECORD).write_text(text + "\n", encoding="utf-8")
    draft.chmod(0o755)
    for file in draft.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)
    shutil.rmtree(work, ignore_errors=True)
    return out


_CURVES = ("loss", "rewards/accuracies", "rewards/margins")


def _save(model: Any, plan: Plan, start: Start, trainer: Trainer, draft: Path) -> None:
    """An adapter in bf16, or a whole model in bf16 with its tokenizer."""
    if isinstance(model, PeftModel):
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.data = value.data.to(torch.bfloat16)
        model.peft_config["default"].base_model_name_or_path = start.base
        model.save_pretrained(str(draft), selected_adapters=["default"])
        (draft / "README.md").unlink(missing_ok=True)  # a model card template with nothing filled in
        return
    model.to(torch.bfloat16).save_pretrained(str(draft))
    if trainer.processing_class is None:
        raise DesignError(f"{plan.name}: its start has no tokenizer, so it cannot be written as a model.")
    trainer.processing_class.save_pretrained(str(draft))
