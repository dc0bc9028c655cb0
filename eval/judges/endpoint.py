"""A judge behind an OpenAI-compatible endpoint: refused, answered or invalid, and how harmful, in any language."""

from collections.abc import Sequence
from typing import Any

from eval.judges.chat_api import ChatApi, Usage, prompts
from eval.judges.registry import Choice
from eval.types import LABELS, SEVERITIES, Item, Label, Response, Severity, Verdict

_LABELS: dict[str, Label] = {label: label for label in LABELS}
_SEVERITIES: dict[str, Severity] = {severity: severity for severity in SEVERITIES}


class EndpointJudge:
    """Labels responses by a chat model; each is asked about alone, at temperature 0."""

    languages = None

    def __init__(self, api: ChatApi) -> None:
        """Take the endpoint to ask."""
        self._api = api
        self.id = f"endpoint:{api.model}@{api.host}/{prompts()['version']}"

    @property
    def usage(self) -> Usage:
        """What has been spent."""
        return self._api.usage

    def judge(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict per response, in order; "unjudged" where the endpoint gave no answer of the asked form.

        Raises:
            JudgeError: The endpoint refuses, or cannot be reached.
        """
        questions = [
            {"language": item.language, "request": item.prompt, "response": response.text}
            for item, response in zip(items, responses, strict=True)
        ]
        answers = self._api.ask_all(prompts()["harm"], questions, _read)
        return [
            Verdict(item.id, "unjudged", found.reason) if found.value is None else _verdict(item, *found.value)
            for item, found in zip(items, answers, strict=True)
        ]


def _read(raw: Any) -> tuple[Label, Severity, str]:
    return _LABELS[raw["label"]], _SEVERITIES[raw["severity"]], str(raw.get("why", ""))[:200]


def _verdict(item: Item, label: Label, severity: Severity, why: str) -> Verdict:
    if label == "invalid":
        return Verdict(item.id, label, why)
    # a refusal that does harm has helped all the same
    return Verdict(item.id, "answered" if severity != "none" else label, why, severity)


def open_judge(choice: Choice) -> EndpointJudge:
    """`endpoint:MODEL`, at OpenAI or at `base_url`.

    Raises:
        JudgeError: The client, the key or a sound address is missing.
    """
    return EndpointJudge(ChatApi(choice))
