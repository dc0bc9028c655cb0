"""The models of judges, from a folder or the hub: safetensors only, no remote code, the revision as asked for."""

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from eval.engine import Engine, compute_dtype
from eval.errors import JudgeError
from merging.checkpoint import open_checkpoint


def generative(name: str, device: str) -> tuple[Engine, str]:
    """A causal language model as an engine, and the sha256 of its checkpoint.

    Args:
        name: A folder, or `org/repo[@revision]`.
        device: "cpu" or "cuda".

    Raises:
        CheckpointError: It cannot be had.
        JudgeError: It cannot be loaded as such a model.
    """
    model, tokenizer, content = _load(AutoModelForCausalLM, name, device)
    return Engine(model, tokenizer), content


def sequence_classifier(name: str, device: str) -> tuple[Any, Any, str]:
    """(model, tokenizer, sha256 of the checkpoint) of a sequence classifier.

    Args:
        name: A folder, or `org/repo[@revision]`.
        device: "cpu" or "cuda".

    Raises:
        CheckpointError: It cannot be had.
        JudgeError: It cannot be loaded as such a model.
    """
    return _load(AutoModelForSequenceClassification, name, device)


def _load(kind: Any, name: str, device: str) -> tuple[Any, Any, str]:
    opened = open_checkpoint(name)
    if opened.adapters:
        raise JudgeError(f"{name} is an adapter on another model: merge it into a folder first (python -m merging).")
    folder, options = Path(opened.folder), {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        dtype = compute_dtype(device) or "auto"
        model = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())
        raise JudgeError(f"{name} cannot be loaded as a judge: {text[:200]}") from error
    return model.to(device).eval(), tokenizer, opened.content_hash()
