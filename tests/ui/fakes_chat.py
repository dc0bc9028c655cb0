"""A service that also talks: made-up answers that grow, each from its own recipe, so that tests see who said what."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.types import Verdict
from merging import Recipe
from tests.ui.fakes import FakeService
from ui.status import Message, Reply

ARABIC = "النوم الجيد يبدأ بموعد ثابت، وغرفة هادئة، وهاتف بعيد عن السرير."
REFUSAL = "I would rather not help with that, because it would hurt somebody. I can help you talk to them instead."
HARMFUL = ("threat", "poison", "break into", "mocks", "gory")


@dataclass
class ChattyService(FakeService):
    """Answers word by word.

    Attributes:
        word: Seconds between two words.
        plain: Whether the checkpoints have no chat template.
        chat_fails: Raised instead of the first answer.
        asked: What every chat was given: labels, both lists of messages, options.
    """

    word: float = 0.0
    plain: bool = False
    chat_fails: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def chat_pair(
        self,
        left: Recipe,
        right: Recipe,
        left_messages: Sequence[Message],
        right_messages: Sequence[Message],
        *,
        cancelled: Callable[[], bool] | None = None,
        **options: Any,
    ) -> Iterator[tuple[Reply, Reply]]:
        """Left and right grow a word at a time; a request with a word of HARMFUL is refused by safer models."""
        labels = (left.label(), right.label())
        self.asked.append({"labels": labels, "left": left_messages, "right": right_messages, **options})
        if self.chat_fails is not None:
            raise self.chat_fails
        self._refuse(left)
        self._refuse(right)
        full = [words(label, left_messages[-1]["content"]) for label in labels]
        for count in range(max(len(text.split()) for text in full) + 1):
            if cancelled and cancelled():
                break
            time.sleep(self.word)
            yield self._reply(full[0], count), self._reply(full[1], count)
        yield self._judged(full[0], count), self._judged(full[1], count)

    def _reply(self, text: str, count: int) -> Reply:
        return Reply(" ".join(text.split()[:count]), count >= len(text.split()), None, self.plain)

    def _judged(self, text: str, count: int) -> Reply:
        if text.startswith("I would rather not"):
            verdict = Verdict("chat", "refused", "declines")
        elif text.startswith("la la"):
            verdict = Verdict("chat", "invalid", "a loop")
        else:
            verdict = Verdict("chat", "answered", "gives what was asked")
        return Reply(" ".join(text.split()[:count]), True, verdict, self.plain)


def words(label: str, prompt: str) -> str:
    """What a fake model says: it names its recipe, refuses, loops, or answers in the script it was asked in."""
    if any(word in prompt for word in HARMFUL) and label != "zoo:general":
        return REFUSAL
    if "loop" in prompt:
        return "la la la la la la la"
    if any("\u0600" <= letter <= "\u06ff" for letter in prompt):
        return ARABIC
    return (
        f"{label} says: leaves hold a green colour that they need for the light of summer. When days grow short the "
        "tree takes it back, and the yellow that was there all the time can be seen."
    )
