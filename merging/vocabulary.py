"""One vocabulary for models whose tokenizers differ: which token is which row, and what stands for a missing one.

The rows of embedding and head are permuted by token string. A model without a token takes the row that the recipe's
`tokens` give it (merging.tokens), else the base's, else the only owner's, else the mean of the owners; then the merge
method runs on the aligned matrices.
"""

import functools
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging import chat_template
from merging.checkpoint import Checkpoint
from merging.errors import CompatibilityError
from merging.folder import stamp
from merging.sources import Aligned, Operand
from merging.tokens import Pick, TokenRule, check_rows, find, lend, pad

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of the merged model.

    Attributes:
        owner: The checkpoint whose tokenizer it is, or that it starts with (union).
        size: Rows of embedding and head: tokens and padding.
        rows: For each model, the row of each token of the merged vocabulary; -1 where the model lacks it.
        added: Tokens behind the owner's: entries of `added_tokens` in tokenizer.json.
        picks: Rules for single tokens.
    """

    owner: Checkpoint
    size: int
    rows: Mapping[str, tuple[int, ...]]
    added: tuple[Mapping[str, Any], ...]
    picks: tuple[Pick, ...] = ()

    @cached_property
    def key(self) -> str:
        """Equal keys align equally."""
        return hashlib.sha256(repr((self.size, sorted(self.rows.items()), self.picks)).encode()).hexdigest()

    @property
    def lenders(self) -> tuple[str, ...]:
        """The models whose rows single tokens take."""
        return tuple(dict.fromkeys(pick.model for pick in self.picks if pick.model is not None))

    def is_plain(self, model: str, length: int) -> bool:
        """Whether the model's own rows stand in the merged order already."""
        forced = any(pick.force for pick in self.picks)
        return not forced and length == self.size and self.rows[model] == tuple(range(self.size))

    def check_rows(self, name: str, lengths: Mapping[str, int]) -> None:
        """Raise CompatibilityError where a rule names a row that the lender's tensor `name` does not have."""
        check_rows(name, self.picks, lengths)

    def align(
        self, operands: Sequence[Operand], base: str | None, lenders: Mapping[str, Operand] | None = None
    ) -> tuple[Aligned, ...]:
        """The operands with their rows in the merged order.

        Args:
            operands: All models' tensors, the base among them.
            base: Name of the base, None where there is none.
            lenders: The same tensor of each of `self.lenders`.
        """
        lent = lenders or {}
        everyone = tuple(operand.key for operand in (*operands, *lent.values()))

        def build(index: int) -> "Tensor":
            usual = [pick.place for pick in self.picks if pick.is_usual and pick.force]
            merged, lacks = _aligned(operands, [self.rows[o.model] for o in operands], base, index, usual)
            lend(merged, lacks, self.picks, {name: operand.value() for name, operand in lent.items()})
            return pad(merged, self.size)

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


def _aligned(
    operands: Sequence[Operand], rows: Sequence[Sequence[int]], base: str | None, index: int, usual: Sequence[int]
) -> "tuple[Tensor, Tensor]":
    """One model's rows in the merged order, and which of the tokens it lacks.

    Args:
        operands: All models' tensors.
        rows: For each of them, the row of each token.
        base: Name of the base.
        index: Which of the models.
        usual: Tokens whose row is the usual one even where the model has its own.
    """
    import torch

    values = [operand.value().float() for operand in operands]
    places = [torch.tensor(row, dtype=torch.int64, device=values[0].device) for row in rows]
    places = [torch.where(p < v.shape[0], p, -1) for p, v in zip(places, values, strict=True)]
    own = places[index]
    merged = values[index][own.clamp_min(0)]
    lacks = own < 0
    stands_in = lacks.clone()
    stands_in[list(usual)] = True
    missing = stands_in.nonzero().view(-1)
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
    return merged, lacks


def words(owner: Checkpoint, vocabulary: Vocabulary | None) -> Collection[str] | None:
    """The tokens of the merged vocabulary; None where the owner's are not told by a tokenizer.json."""
    if "tokenizer.json" not in owner.tokenizer_files():
        return None
    return {*read_vocabulary(owner)[0], *(entry["content"] for entry in (vocabulary.added if vocabulary else ()))}


def read_vocabulary(checkpoint: Checkpoint) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
    """Token to row, and the entries of the added tokens, from a tokenizer.json; not to be written to.

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
        return _read(file, stamp((file,)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CompatibilityError(f"The tokenizer.json of {checkpoint.name!r} cannot be read: copy it again.") from error


@functools.lru_cache(maxsize=8)
def _read(file: Path, version: Any) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
    """As `read_vocabulary`; remembered, because a large one takes longer to read than a slider may take to move."""
    tree = json.loads(file.read_text(encoding="utf-8"))
    listed = tree["model"]["vocab"]
    vocab = (
        {t: int(i) for t, i in listed.items()} if isinstance(listed, dict) else {e[0]: i for i, e in enumerate(listed)}
    )
    added = {entry["content"]: entry for entry in tree.get("added_tokens") or []}
    return vocab | {token: int(entry["id"]) for token, entry in added.items()}, added


def merged_vocabulary(
    mode: str,
    owner: Checkpoint,
    models: Sequence[Checkpoint],
    *,
    rules: Sequence[TokenRule] = (),
    lenders: Sequence[Checkpoint] = (),
    padding: int = 1,
) -> Vocabulary:
    """The vocabulary of the merged model.

    Args:
        mode: "union", or anything else for the owner's vocabulary alone.
        owner: Whose tokens come first, with their numbers kept.
        models: All checkpoints that are merged.
        rules: For single tokens; those that are not in the vocabulary are added to it.
        lenders: The checkpoints that rules take rows from.
        padding: The number of rows is made a multiple of this.

    Raises:
        CompatibilityError: A tokenizer is missing, or a rule's row.
    """
    found = {model.name: read_vocabulary(model) for model in models}
    lent = {model.name: read_vocabulary(model) for model in lenders}
    merged, added = dict(read_vocabulary(owner)[0]), []
    size = max(merged.values(), default=-1) + 1

    def add(token: str, entry: Mapping[str, Any]) -> None:
        nonlocal size
        merged[token] = size
        added.append({**_PLAIN, **entry, "id": size, "content": token})
        size += 1

    for vocab, entries in found.values() if mode == "union" else ():
        for token in sorted((t for t in vocab if t not in merged), key=vocab.__getitem__):
            add(token, entries.get(token, {}))
    for rule in rules:
        if rule.token not in merged:
            near = [(rule.token, entries) for _, entries in found.values()]
            near += [(str(rule.row), lent[rule.model][1])] if rule.model else []
            add(rule.token, next((entries[token] for token, entries in near if token in entries), {}))
    rows = {name: _rows(merged, vocab, size) for name, (vocab, _) in found.items()}
    known = {token for vocab, _ in found.values() for token in vocab} if rules else set()
    picks = find(rules, merged, {name: vocab for name, (vocab, _) in lent.items()}, known)
    return Vocabulary(owner, -(-size // padding) * padding, rows, tuple(added), picks)


def _rows(merged: Mapping[str, int], vocab: Mapping[str, int], size: int) -> tuple[int, ...]:
    row = [-1] * size
    for token, place in merged.items():
        row[place] = vocab.get(token, -1)
    return tuple(row)


def write_tokenizer(
    checkpoint: Checkpoint, vocabulary: Vocabulary | None, out: Path, template: str | None = None
) -> bool:
    """Put the merged model's tokenizer files, with its chat template, into a folder; False where there are none."""
    files = (vocabulary.owner if vocabulary else checkpoint).tokenizer_files()
    for name, path in files.items():
        (out / name).write_bytes(path.read_bytes())
    text = vocabulary.tokenizer_json() if vocabulary else None
    if text is not None:
        (out / "tokenizer.json").write_text(text, encoding="utf-8")
    if template is not None:
        chat_template.write(out, template)
    return bool(files)
