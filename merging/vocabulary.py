"""One vocabulary for models whose tokenizers differ: which token is which row, and what stands for a missing one.

The rows of embedding and head are permuted by token string. A model without a token takes the base's row, else the only
owner's, else the mean of the owners; then the merge method runs on the aligned matrices.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.checkpoint import Checkpoint
from merging.errors import CompatibilityError
from merging.sources import Aligned, Operand

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of the merged model.

    Attributes:
        owner: The checkpoint whose tokenizer it is, or that it starts with (union).
        size: Rows of embedding and head.
        rows: For each model, the row of each token of the merged vocabulary; -1 where the model lacks it.
        added: Tokens behind the owner's: entries of `added_tokens` in tokenizer.json.
    """

    owner: Checkpoint
    size: int
    rows: Mapping[str, tuple[int, ...]]
    added: tuple[Mapping[str, Any], ...]

    @cached_property
    def key(self) -> str:
        """Equal keys align equally."""
        return hashlib.sha256(repr((self.size, sorted(self.rows.items()))).encode()).hexdigest()

    def is_plain(self, operand: Operand, model: str, length: int) -> bool:
        """Whether the model's own rows stand in the merged order already."""
        return length == self.size and self.rows[model] == tuple(range(self.size))

    def align(self, operands: Sequence[Operand], base: str | None) -> tuple[Aligned, ...]:
        """The operands with their rows in the merged order.

        Args:
            operands: All models' tensors, the base among them.
            base: Name of the base, None where there is none.
        """
        everyone = tuple(operand.key for operand in operands)

        def build(index: int) -> "Tensor":
            return _aligned(operands, [self.rows[o.model] for o in operands], base, index)

        return tuple(
            Aligned(o.model, (self.key, base, index, everyone), o.store, lambda index=index: build(index))
            for index, o in enumerate(operands)
        )

    def tokenizer_json(self) -> str | None:
        """The text of the merged tokenizer.json; None where the owner's files serve as they are."""
        if not self.added:
            return None
        tree = json.loads(self.owner.tokenizer_files()["tokenizer.json"].read_text(encoding="utf-8"))
        tree["added_tokens"] = [*tree.get("added_tokens", []), *map(dict, self.added)]
        return json.dumps(tree, ensure_ascii=False, indent=2)


def _aligned(operands: Sequence[Operand], rows: Sequence[Sequence[int]], base: str | None, index: int) -> "Tensor":
    import torch

    values = [operand.value().float() for operand in operands]
    places = [torch.tensor(row, dtype=torch.int64, device=values[0].device) for row in rows]
    places = [torch.where(p < v.shape[0], p, -1) for p, v in zip(places, values, strict=True)]
    own = places[index]
    merged = values[index][own.clamp_min(0)]
    missing = (own < 0).nonzero().view(-1)
    total = torch.zeros((len(missing), *merged.shape[1:]), device=merged.device)
    owners = torch.zeros(len(missing), device=merged.device)
    chosen = torch.zeros(len(missing), dtype=torch.bool, device=merged.device)
    for operand, value, place in sorted(
        zip(operands, values, places, strict=True), key=lambda item: item[0].model != base
    ):
        there = place[missing]
        has = (there >= 0) & ~chosen
        total[has] += value[there[has]]
        owners[has] += 1
        if operand.model == base:
            chosen |= has
    merged[missing] = total / owners.clamp_min(1).view(-1, *[1] * (total.dim() - 1))
    return merged


def read_vocabulary(checkpoint: Checkpoint) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
    """Token to row, and the entries of the added tokens, from a tokenizer.json.

    Raises:
        CompatibilityError: There is none, or it is not understood.
    """
    file = checkpoint.tokenizer_files().get("tokenizer.json")
    if file is None:
        raise CompatibilityError(
            f"{checkpoint.name!r} has no tokenizer.json, so its vocabulary cannot be aligned: "
            "leave tokenizer_source out."
        )
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        listed = tree["model"]["vocab"]
        vocab = (
            {t: int(i) for t, i in listed.items()}
            if isinstance(listed, dict)
            else {e[0]: i for i, e in enumerate(listed)}
        )
        added = {entry["content"]: entry for entry in tree.get("added_tokens") or []}
        vocab |= {token: int(entry["id"]) for token, entry in added.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CompatibilityError(f"The tokenizer.json of {checkpoint.name!r} cannot be read: copy it again.") from error
    return vocab, added


def merged_vocabulary(mode: str, owner: Checkpoint, models: Sequence[Checkpoint]) -> Vocabulary:
    """The vocabulary of the merged model.

    Args:
        mode: "union", or anything else for the owner's vocabulary alone.
        owner: Whose tokens come first, with their numbers kept.
        models: All checkpoints that are merged.

    Raises:
        CompatibilityError: A tokenizer is missing.
    """
    own, _ = read_vocabulary(owner)
    found = {model.name: read_vocabulary(model) for model in models}
    merged, added = dict(own), []
    size = max(own.values(), default=-1) + 1
    for vocab, entries in found.values() if mode == "union" else ():
        for token in sorted((t for t in vocab if t not in merged), key=vocab.__getitem__):
            merged[token] = size
            added.append({**_PLAIN, **entries.get(token, {}), "id": size, "content": token})
            size += 1
    rows = {}
    for name, (vocab, _) in found.items():
        row = [-1] * size
        for token, place in merged.items():
            row[place] = vocab.get(token, -1)
        rows[name] = tuple(row)
    return Vocabulary(owner, size, rows, tuple(added))


def write_tokenizer(checkpoint: Checkpoint, vocabulary: Vocabulary | None, out: Path) -> bool:
    """Put the merged model's tokenizer files into a folder; False where there is no tokenizer."""
    files = (vocabulary.owner if vocabulary else checkpoint).tokenizer_files()
    for name, path in files.items():
        (out / name).write_bytes(path.read_bytes())
    text = vocabulary.tokenizer_json() if vocabulary else None
    if text is not None:
        (out / "tokenizer.json").write_text(text, encoding="utf-8")
    return bool(files)
