"""One prompt, two answers, turn by turn: what was said, by which recipe, and what the judge made of it. Plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from eval.types import Label
from merging import Recipe
from ui.status import Message, Reply

DIGITS = 6
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Chip:
    """Which recipe speaks; frozen into every answer, so that a slider moved later changes nothing said before.

    Attributes:
        name: What the pane is called, e.g. "Your merge" or "mix 15 %".
        label: The recipe in a few words.
        digest: Its hex digest; the page shows the first DIGITS.
    """

    name: str
    label: str
    digest: str

    @classmethod
    def of(cls, name: str, recipe: Recipe) -> "Chip":
        """The chip of a recipe."""
        return cls(name, recipe.label(), recipe.digest())

    @property
    def text(self) -> str:
        """The chip as the page writes it: label and the first digits of the digest."""
        return f"{self.label} · {self.digest[:DIGITS]}"


@dataclass(frozen=True)
class Answer:
    """One pane's answer to one prompt.

    Attributes:
        chip: The recipe that gave it.
        text: What it said, or has said until now.
        state: "waiting" before the first word; "stopped" if somebody pressed Stop before its end.
        label: The judge's word for it; None until it is finished, and for a stopped one.
        reason: The judge's reason.
        plain: The checkpoint has no chat template, so it was asked in plain text.
    """

    chip: Chip
    text: str = ""
    state: Literal["waiting", "writing", "done", "stopped"] = "waiting"
    label: Label | None = None
    reason: str = ""
    plain: bool = False

    def told(self, reply: Reply) -> "Answer":
        """The answer after the model said more."""
        verdict = reply.verdict
        return replace(
            self,
            text=reply.text,
            state="done" if reply.done else "writing" if reply.text else "waiting",
            label=verdict.label if verdict else None,
            reason=verdict.reason if verdict else "",
            plain=reply.plain,
        )

    def stopped(self) -> "Answer":
        """The answer cut short: half a sentence is not judged."""
        return replace(self, state="stopped", label=None, reason="")

    def spoken(self) -> str:
        """The finished answer in one line, for a screen reader."""
        said = {"refused": "refused", "answered": "answered", "invalid": "invalid"}.get(self.label or "", "stopped")
        return f"{self.chip.name}, {said}: {self.text.strip() or 'no words'}"

    def shown(self) -> dict[str, Any]:
        """The answer as the component draws it."""
        chip = {"name": self.chip.name, "chip": self.chip.text, "digest": self.chip.digest}
        rest = {"text": self.text, "state": self.state, "label": self.label, "reason": self.reason, "plain": self.plain}
        return chip | rest


@dataclass(frozen=True)
class Turn:
    """One prompt with both answers.

    Attributes:
        prompt: What was asked.
        left: The visitor's merge.
        right: The other model.
        problem: One sentence where the models could not be asked.
        alone: Asked without what was said before, as examples are: small models repeat what they have just read.
    """

    prompt: str
    left: Answer
    right: Answer
    problem: str = ""
    alone: bool = False

    def told(self, left: Reply, right: Reply) -> "Turn":
        """The turn after the models said more."""
        return replace(self, left=self.left.told(left), right=self.right.told(right))

    def stopped(self, before: "Turn") -> "Turn":
        """The turn cut short; an answer that was complete `before` the stop stays as it is."""
        left = self.left if before.left.state == "done" else self.left.stopped()
        right = self.right if before.right.state == "done" else self.right.stopped()
        return replace(self, left=left, right=right)

    def shown(self) -> dict[str, Any]:
        """The turn as the component draws it."""
        answers = [self.left.shown(), self.right.shown()]
        return {"prompt": self.prompt, "problem": self.problem, "alone": self.alone, "answers": answers}


@dataclass(frozen=True)
class Conversation:
    """All turns so far, oldest first."""

    turns: tuple[Turn, ...] = ()

    @property
    def last(self) -> Turn | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    def add(self, turn: Turn) -> "Conversation":
        """With one turn more."""
        return replace(self, turns=(*self.turns, turn))

    def without_last(self) -> "Conversation":
        """As it was before the newest prompt."""
        return replace(self, turns=self.turns[:-1])

    def messages(self, side: Side, prompt: str) -> list[Message]:
        """What one pane's model is told: its own answers since the last turn asked alone, then the new request.

        A turn that this pane left without words is left out, request and all: chat templates want the two in turn.
        """
        told: list[Message] = []
        for turn in self.turns:
            if turn.alone:
                told = []
            answer: Answer = getattr(turn, side)
            if answer.text.strip():
                told += [{"role": "user", "content": turn.prompt}, {"role": "assistant", "content": answer.text}]
        return [*told, {"role": "user", "content": prompt}]

    def shown(self, announce: str = "") -> dict[str, Any]:
        """The conversation as the component draws it; `announce` is what a screen reader says now."""
        return {"turns": [turn.shown() for turn in self.turns], "announce": announce}


def announced(turns: Sequence[Turn]) -> str:
    """What a screen reader says when the newest answers are complete: both, or the problem."""
    if not turns:
        return ""
    turn = turns[-1]
    return turn.problem or f"{turn.left.spoken()} — {turn.right.spoken()}"
