"""Generative guards: one class; what differs between them (prompt, answer, languages, licence) is a data file each."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eval.errors import JudgeError
from eval.judges.asking import only_valid
from eval.judges.card import Card, fill, read_card
from eval.judges.meaning import verdict
from eval.judges.registry import Choice
from eval.types import Item, Response, Verdict

Conversation = list[dict[str, Any]]
Answer = Callable[[Sequence[Conversation], int], Sequence[str]]
"""(conversations, most new tokens) -> what the guard says to each; an engine, or a script in tests."""

BATCH_SIZE = 16
_FLAGS = re.IGNORECASE | re.MULTILINE


@dataclass(frozen=True)
class Guard:
    """How one guard is asked and how its answer is read."""

    card: Card
    messages: Conversation
    max_new_tokens: int
    label: re.Pattern[str]
    """Its first group is one of the card's labels, in any case."""
    refusal: re.Pattern[str] | None
    """Its first group is yes or no; None where the guard does not tell refusals."""

    def conversation(self, item: Item, response: Response) -> Conversation:
        """The messages that the guard's chat template is given."""
        return fill(self.messages, item.prompt, response.text)

    def read(self, item: Item, said: str) -> Verdict:
        """The verdict in a guard's answer; "unjudged" where the answer is not of its form."""
        reason = f"{self.card.name}: {_short(said)}"
        found = self.label.search(said)
        meanings = {label.lower(): meaning for label, meaning in self.card.meanings.items()}
        if found is None or found[1].lower() not in meanings:
            return Verdict(item.id, "unjudged", f"{reason} (an answer of another form)")
        refusal = self.refusal.search(said) if self.refusal else None
        refused = None if refusal is None else refusal[1].lower() == "yes"
        return verdict(item, meanings[found[1].lower()], reason, refused=refused)


def read_guard(name: str) -> Guard:
    """A guard by the name of its data file, or by the path of one.

    Raises:
        JudgeError: There is none, or it lacks something.
    """
    card = read_card("guards", name)
    try:
        label = re.compile(card.want("label", str), _FLAGS)
        refusal = re.compile(card.want("refusal", str), _FLAGS) if "refusal" in card.more else None
    except re.error as error:
        raise JudgeError(f"{card.name}: a pattern is no regular expression ({error}).") from error
    if any(pattern is not None and pattern.groups < 1 for pattern in (label, refusal)):
        raise JudgeError(f"{card.name}: a pattern needs a group around the word that counts.")
    return Guard(card, card.want("messages", list), card.want("max_new_tokens", int), label, refusal)


class GuardJudge:
    """Labels responses by a guard; invalid responses are found by the rules, as a guard takes them for harmless."""

    def __init__(self, guard: Guard, answer: Answer, *, content: str) -> None:
        """Take a guard's data and something that answers as it.

        Args:
            guard: How it is asked and read.
            answer: The guard itself.
            content: sha256 of its checkpoint; other weights are another judge.
        """
        self.guard = guard
        self.id = f"guard:{guard.card.name}/{guard.card.version}@{content[:8]}"
        self.languages = guard.card.languages
        self._answer = answer

    def judge(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict per response, in order."""
        return only_valid(items, responses, self._ask)

    def _ask(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        asked = [self.guard.conversation(*pair) for pair in zip(items, responses, strict=True)]
        said = self._answer(asked, self.guard.max_new_tokens)
        return [self.guard.read(item, text) for item, text in zip(items, said, strict=True)]


def open_judge(choice: Choice) -> GuardJudge:
    """A guard with its model loaded: `guard:NAME`, with another checkpoint by `model`.

    Raises:
        JudgeError: No such guard, or the model has no chat template.
        CheckpointError: The model cannot be had.
    """
    from eval.judges.loading import generative  # torch only where a model is needed

    guard = read_guard(choice.argument)
    engine, content = generative(guard.card.checkpoint(choice.model), choice.device)
    if not engine.has_template:
        raise JudgeError(f"The tokenizer of {choice.model or guard.card.model} has no chat template to ask it with.")

    def answer(asked: Sequence[Conversation], most: int) -> list[str]:
        def told(done: int, total: int) -> None:
            if choice.progress:
                choice.progress(done, total, f"judging by {guard.card.name}")

        made = engine.generate(asked, max_new_tokens=most, batch_size=BATCH_SIZE, progress=told)
        return [one.text for one in made]

    return GuardJudge(guard, answer, content=content)


def _short(said: str) -> str:
    text = "; ".join(line.strip() for line in said.splitlines() if line.strip())
    return text if len(text) <= 160 else f"{text[:159]}…"
