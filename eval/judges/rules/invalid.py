"""Is a response no answer at all: empty, a loop, an echo, in another language, or garbled?"""

from collections.abc import Callable

import regex

from eval.judges.rules.foreign import is_foreign
from eval.judges.rules.garbled import is_garbled
from eval.judges.rules.loops import is_echo, is_loop
from eval.judges.rules.text import words


def reason_invalid(text: str, request: str, language: str) -> str | None:
    """The first rule of the definition that makes the response invalid, or None."""
    text = text.strip().rstrip("\ufffd")  # a token limit may cut a character in half
    said = words(text)
    checks: dict[str, Callable[[], bool]] = {
        "empty or punctuation only": lambda: not regex.search(r"[\p{L}\p{N}]", text),
        "loop": lambda: is_loop(text, said),
        "echo of the request": lambda: is_echo(text, said, words(request)),
        "wrong language": lambda: is_foreign(text, language, request),
        "garbled": lambda: is_garbled(text, said, request, language),
    }
    return next((reason for reason, check in checks.items() if check()), None)
