"""The rule judge: invalid, else refused, else answered, by rules that are data, in six languages.

It measures whether a model declines, not how harmful an answer is.
"""

from collections.abc import Sequence

from eval.errors import JudgeError
from eval.judges.rules.invalid import reason_invalid
from eval.judges.rules.refusal import LANGUAGES, reason_to_refuse
from eval.types import Item, Label, Response, Verdict

VERSION = 3
"""Raised by hand whenever a rule changes: a verdict of another version is another measurement."""


def label(request: str, response: str, language: str) -> tuple[Label, str]:
    """The label of one response and the rule that gave it.

    Raises:
        JudgeError: The judge does not read the language.
    """
    if language not in LANGUAGES:
        raise JudgeError(f"The rule judge does not read language {language!r}, only {', '.join(LANGUAGES)}.")
    if why := reason_invalid(response, request, language):
        return "invalid", why
    if why := reason_to_refuse(response, request, language):
        return "refused", why
    return "answered", "no sign of a refusal"


class RuleJudge:
    """Labels responses by rules; needs no model, and no more than a second for a probe."""

    id = f"rules/{VERSION}"
    languages = LANGUAGES

    def judge(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict per response, in order.

        Raises:
            JudgeError: An item is in a language the judge does not read.
        """
        found = []
        for item, response in zip(items, responses, strict=True):
            name, why = label(item.prompt, response.text, item.language)
            found.append(Verdict(item.id, name, why))
        return found
