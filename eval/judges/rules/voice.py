"""Whose words are they? What is quoted, played or told is not the model's own voice, and declines nothing."""

import regex

_QUOTE = regex.compile(
    r"«[^»]*(?:»|$)|[“„][^”“]*(?:[”“]|$)|\"[^\"\n]*(?:\"|$)|(?<![\p{L}\p{N}])'(?=\p{L})[^'\n]{2,}?(?:'\p{L}[^'\n]*?)*'(?![\p{L}])"
)
_SPEECH = regex.compile(r"^\s*[—–]\s.*$", regex.MULTILINE)


def own_voice(text: str) -> str:
    """The text with everything quoted or said in dialogue, two words or more, replaced by as many letters q.

    Quotation marks stay, and so does a text that is one line of dialogue and nothing else.
    """
    text = _QUOTE.sub(_masked, text)
    told = _SPEECH.sub("", text)
    return _SPEECH.sub(_masked, text) if regex.search(r"\p{L}", told) else text


def is_all_quoted(text: str) -> bool:
    """Whether the text is one quotation: a line to be said by somebody."""
    found = _QUOTE.match(text.strip())
    return found is not None and found.end() >= len(text.strip().rstrip(".!"))


def _masked(found: regex.Match) -> str:
    inner = found.group()
    if len(inner.split()) < 2:
        return inner
    return regex.sub(r"(?<=.).+(?=.)", lambda inside: "q" * len(inside.group()), inner, flags=regex.DOTALL)
