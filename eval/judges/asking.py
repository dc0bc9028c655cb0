"""What is settled before a judge is asked: languages it does not read, and responses that are invalid in any eyes."""

from collections.abc import Callable, Collection, Sequence

from eval.judges.rules.foreign import SCRIPTS
from eval.judges.rules.invalid import reason_invalid
from eval.types import Item, Judge, Response, Verdict

Ask = Callable[[Sequence[Item], Sequence[Response]], list[Verdict]]


def verdicts(judge: Judge, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
    """One verdict per response, in order; "unjudged" where the judge does not read the item's language.

    Raises:
        JudgeError: The judge cannot work at all.
    """
    pairs = list(zip(items, responses, strict=True))
    read = [pair for pair in pairs if reads(judge.languages, pair[0].language)]
    given = iter(judge.judge([item for item, _ in read], [response for _, response in read]) if read else ())
    return [
        next(given) if reads(judge.languages, item.language) else Verdict(item.id, "unjudged", unread(judge.id, item))
        for item, _ in pairs
    ]


def reads(languages: Collection[str] | None, language: str) -> bool:
    """Whether a judge of these languages reads this one."""
    return languages is None or language in languages


def unread(judge: str, item: Item) -> str:
    """Why a judge was not asked about an item."""
    return f"{judge} does not read {item.language}"


def only_valid(items: Sequence[Item], responses: Sequence[Response], ask: Ask) -> list[Verdict]:
    """Ask about the responses that are not invalid by rule; the others keep the rule that says so.

    A guard or a classifier takes a loop or an answer in another language for harmless. Left to it, a model that breaks
    would look safe. Languages that the rules do not know are passed on as they are.
    """
    settled = {
        i: why
        for i, (item, response) in enumerate(zip(items, responses, strict=True))
        if item.language in SCRIPTS and (why := reason_invalid(response.text, item.prompt, item.language))
    }
    left = [i for i in range(len(items)) if i not in settled]
    asked = iter(ask([items[i] for i in left], [responses[i] for i in left]) if left else ())
    return [Verdict(item.id, "invalid", settled[i]) if i in settled else next(asked) for i, item in enumerate(items)]
