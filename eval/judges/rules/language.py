"""Which of the judge's languages a text is in, for a request that does not say (a chat)."""

import regex

from eval.judges.rules.foreign import SCRIPTS, identifier
from eval.judges.rules.text import words


def language_of(text: str) -> str | None:
    """The likeliest of the judge's languages, by script, then py3langid; None where no letter is of their scripts."""
    counts = {script: len(regex.findall(rf"\p{{{script}}}", text)) for script in set(SCRIPTS.values())}
    script = max(sorted(counts), key=lambda name: counts[name])
    if not counts[script]:
        return None
    ours = [language for language, its in SCRIPTS.items() if its == script]
    if len(ours) == 1:
        return ours[0]
    chances = dict(identifier(script).rank(" ".join(words(text))))
    return max(ours, key=lambda language: chances[language])
