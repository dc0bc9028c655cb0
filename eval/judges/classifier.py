"""Sequence classifiers: any checkpoint that `AutoModelForSequenceClassification` loads, its labels mapped by data."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from eval.batching import batches
from eval.errors import JudgeError
from eval.judges.asking import only_valid
from eval.judges.card import Card, fill, read_card
from eval.judges.loading import sequence_classifier
from eval.judges.meaning import verdict
from eval.judges.registry import Choice
from eval.types import Item, Response, Verdict

BATCH_SIZE = 32
LONGEST = 1_000_000
"""A tokenizer that knows no limit says a number beyond this."""


class ClassifierJudge:
    """Labels responses by a classifier; a long text is cut at the model's limit."""

    def __init__(
        self,
        card: Card,
        model: Any,
        tokenizer: Any,
        *,
        content: str,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Take a classifier and what its labels mean.

        Args:
            card: Its data file; `text` is one text or a pair, with {request} and {response}.
            model: Any Hugging Face sequence classifier, on any device.
            tokenizer: Its tokenizer.
            content: sha256 of its checkpoint; other weights are another judge.
            progress: Told (responses done, in all, what is being done).

        Raises:
            JudgeError: The card does not say what one of the model's labels means.
        """
        self.labels = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
        unknown = [label for label in self.labels if label not in card.meanings]
        if unknown:
            raise JudgeError(
                f"{card.name}: its data does not say what {', '.join(map(repr, unknown))} means; "
                f"the model's labels are {', '.join(map(repr, self.labels))}."
            )
        self.id = f"classifier:{card.name}/{card.version}@{content[:8]}"
        self.languages = card.languages
        self._card, self._model, self._tokenizer, self._progress = card, model, tokenizer, progress
        self._text = card.want("text", (str, list))
        limits = (card.want("max_tokens", int), tokenizer.model_max_length)
        self._limit = min(limit for limit in limits if limit < LONGEST)

    def judge(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict per response, in order.

        Raises:
            JudgeError: The model gives NaN.
        """
        if "invalid" in self._card.meanings.values():
            return self._ask(items, responses)
        return only_valid(items, responses, self._ask)

    def _ask(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        encoded = [self._encode(item.prompt, one.text) for item, one in zip(items, responses, strict=True)]
        found: dict[int, Verdict] = {}
        for rows in batches([row["input_ids"] for row in encoded], BATCH_SIZE):
            fed = self._tokenizer.pad([encoded[i] for i in rows], return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                chances = self._model(**fed).logits.float().softmax(dim=-1).cpu()
            if not torch.isfinite(chances).all():
                raise JudgeError(f"{self.id} gives NaN: its checkpoint is damaged.")
            for i, row in zip(rows, chances.tolist(), strict=True):
                best = max(range(len(row)), key=row.__getitem__)
                said = f"{self._card.name}: {self.labels[best]} {row[best]:.2f}"
                found[i] = verdict(items[i], self._card.meanings[self.labels[best]], said)
            if self._progress:
                self._progress(len(found), len(items), f"judging by {self._card.name}")
        return [found[i] for i in range(len(items))]

    def _encode(self, request: str, response: str) -> dict[str, list[int]]:
        text = fill(self._text, request, response)
        pair = text if isinstance(text, list) else [text]
        return dict(self._tokenizer(*pair, truncation=True, max_length=self._limit))


def open_judge(choice: Choice) -> ClassifierJudge:
    """A classifier with its model loaded: `classifier:NAME` or `classifier:FILE.yaml`.

    Raises:
        JudgeError: No such data file, or it does not fit the model.
        CheckpointError: The model cannot be had.
    """
    card = read_card("classifiers", choice.argument)
    model, tokenizer, content = sequence_classifier(card.checkpoint(choice.model), choice.device)
    return ClassifierJudge(card, model, tokenizer, content=content, progress=choice.progress)
