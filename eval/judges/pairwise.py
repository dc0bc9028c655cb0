"""A pairwise judge behind an OpenAI-compatible endpoint: every pair is asked in both orders."""

from collections.abc import Sequence
from typing import Any, Literal

from eval.errors import JudgeError
from eval.judges.chat_api import Answer, ChatApi, Usage, prompts
from eval.judges.registry import Choice, parse
from eval.types import Item, PairwiseJudge, Preference, Response

Place = Literal["A", "B", "tie"]


class PairwiseEndpoint:
    """Prefers one of two responses, if it does so wherever that one stands; else it is a tie (Zheng et al. 2023)."""

    languages = None

    def __init__(self, api: ChatApi) -> None:
        """Take the endpoint to ask."""
        self._api = api
        self.id = f"pairwise:{api.model}@{api.host}/{prompts()['version']}"

    @property
    def usage(self) -> Usage:
        """What has been spent."""
        return self._api.usage

    def prefer(self, items: Sequence[Item], ours: Sequence[Response], theirs: Sequence[Response]) -> list[Preference]:
        """One preference per item, in order; two equal texts tie without being asked about.

        Raises:
            JudgeError: The endpoint refuses, or cannot be reached.
        """
        rows = list(zip(items, ours, theirs, strict=True))
        asked = [(item, a.text, b.text) for item, a, b in rows if a.text.strip() != b.text.strip()]
        questions = [_question(item, *pair) for item, a, b in asked for pair in ((a, b), (b, a))]
        answers = self._api.ask_all(prompts()["pairwise"], questions, _read)
        both = iter(zip(answers[::2], answers[1::2], strict=True))
        same = {item.id for item, _, _ in rows} - {item.id for item, _, _ in asked}
        return [
            Preference(item.id, 0.5, "the same text") if item.id in same else _preference(item, *next(both))
            for item, _, _ in rows
        ]


def open_pairwise(name: str, choice: Choice) -> PairwiseJudge:
    """The pairwise judge of a name such as `endpoint:MODEL`.

    Raises:
        JudgeError: It is of another kind, or cannot be asked.
    """
    kind, argument, _ = parse(name)
    if kind != "endpoint":
        raise JudgeError(f"{name!r} cannot compare two responses: only an endpoint can (--judge endpoint:MODEL).")
    return PairwiseEndpoint(ChatApi(choice.of(argument)))


def _question(item: Item, a: str, b: str) -> dict[str, str]:
    return {"language": item.language, "request": item.prompt, "A": a, "B": b}


def _read(raw: Any) -> Place:
    better = raw["better"]
    if better not in ("A", "B", "tie"):
        raise ValueError("neither A nor B nor a tie")
    return better


def _preference(item: Item, forth: Answer[Place], back: Answer[Place]) -> Preference:
    """Ours stood first in `forth` and second in `back`."""
    if forth.value is None or back.value is None:
        return Preference(item.id, None, forth.reason or back.reason)
    ours = {"A": 1.0, "B": 0.0, "tie": 0.5}[forth.value]
    again = {"A": 0.0, "B": 1.0, "tie": 0.5}[back.value]
    if ours == again:
        return Preference(item.id, ours, f"{forth.value}, then {back.value} with places swapped")
    return Preference(item.id, 0.5, f"inconsistent: {forth.value}, then {back.value} with places swapped")
