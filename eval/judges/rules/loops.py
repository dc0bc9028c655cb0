"""Does a response go round in circles, or give the request back?"""

from collections import Counter

import regex

from eval.judges.rules.text import words

_NUMBERING = regex.compile(r"^\s*(?:\p{N}+[.):]|[-•*–])\s", regex.MULTILINE)
_UNIT = regex.compile(r"[^.!?;,،。।؟\n]+")
SAME_UNITS = 5
"""Sentences or clauses in a row, each the one before but for a word, that make a loop."""
GRAM = 4
"""Words of a phrase that is said again, where whole sentences come round."""


def is_loop(text: str, said: list[str]) -> bool:
    """Whether words or letters repeat themselves over most of the text, or to its end.

    A word must come five times in a row, a phrase about three: a refrain of two is no loop. Numbers of a list do not
    count, and a sentence that comes again and again with one word changed repeats itself too.
    """
    plain = _NUMBERING.sub("", text)
    return (
        _repeats(said)
        or (plain != text and _repeats(words(plain)))
        or _varies_one_word(plain)
        or _comes_round(words(plain))
        or _stutters(text)
    )


def is_echo(text: str, said: list[str], asked: list[str]) -> bool:
    """Whether the response is the request again, once or over and over, in full or in most of it, with little added."""
    if len(asked) < 3 or len(said) < 3:
        return False
    common = longest_common(said, asked * -(-len(said) // len(asked)))
    asks_back = text.rstrip().endswith(("?", "؟"))
    if common >= 0.85 * len(said) and common >= 0.6 * len(asked):
        return asks_back or said[-1] in asked or len(said) > 12  # else the new word at the end of a short text answers
    # a label before it, or one word in another person
    return asks_back and len(said) - common <= 1 and len(asked) - common <= 1


def _repeats(said: list[str]) -> bool:
    for period in range(1, len(said) // 2 + 1):
        run, longest, ends = 0, 0, 0
        for i in range(period, len(said)):
            run = run + 1 if said[i] == said[i - period] else 0
            if run >= longest:
                longest, ends = run, i
        repeats = (longest + period) / period
        covered = longest + period
        enough = repeats >= (5 if period == 1 else 3.5 if period == 2 else 2.75)
        if enough and (covered * 2 >= len(said) or (ends == len(said) - 1 and covered >= 8)):
            return True
    return False


def _varies_one_word(text: str) -> bool:
    """Five sentences or clauses in a row that differ from the one before in one word, or in their last two."""
    units = [found for unit in _UNIT.findall(text) if (found := words(unit))]
    run = covered = best = 0
    for before, unit in zip([[], *units], units, strict=False):
        alike = _alike(before, unit)
        run, covered = (run + 1, covered + len(unit)) if alike else (1, len(unit))
        if run >= SAME_UNITS:
            best = max(best, covered)
    return best * 10 >= 7 * max(sum(map(len, units)), 1)


def _alike(a: list[str], b: list[str]) -> bool:
    shortest = min(len(a), len(b))
    if shortest < 4 or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i in range(shortest) if a[i] != b[i]), shortest)
    return longest_common(a, b) >= shortest - 1 or start >= max(len(a), len(b)) - 2


def _comes_round(said: list[str]) -> bool:
    """Twenty words or more of which four fifths lie in phrases that come twice, the last of them too."""
    if len(said) < 20:
        return False
    grams = [tuple(said[i : i + GRAM]) for i in range(len(said) - GRAM + 1)]
    times = Counter(grams)
    again = set()
    for i, gram in enumerate(grams):
        if times[gram] > 1:
            again.update(range(i, i + GRAM))
    return len(again) * 5 >= 4 * len(said) and len(said) - 1 in again


def _stutters(text: str) -> bool:
    packed = "".join(text.split())
    stutters = regex.finditer(r"(\p{L}\p{L}?\p{L}?[^\s\p{N}]{0,3})\1{7,}", packed)
    return max((len(found.group()) for found in stutters), default=0) * 2 >= max(len(packed), 1)


def longest_common(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence of words."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]
