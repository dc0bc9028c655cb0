"""Is a text no language: broken encoding, mixed scripts, heaps of signs, letters, fragments or small words?"""

import json
import unicodedata
from functools import cache
from pathlib import Path

import regex
from ftfy.badness import badness

from eval.judges.rules.foreign import CODE, NEIGHBOURS, SCRIPT_OF, SCRIPTS, named_languages
from eval.judges.rules.refusal import load
from eval.judges.rules.text import spell, words

LETTERS = Path(__file__).parent / "letters.json"
_TOKEN = r"<(?:unused\d+|[a-z]+_of_[a-z]+|unk|pad|bos|eos|mask)>|\[(?:UNK|PAD|MASK)\]"
_DEBRIS = regex.compile(
    r"&\w+;|%\d\d|</?\w+/?>|\{\{|\}\}|\]\]|\[\[|\b0x[0-9a-f]+\b|\\[nux]\w*|==|;;|\|\|", regex.IGNORECASE
)
_SIGN_INSIDE = regex.compile(r"\p{L}[\d#%@$&*^~=+|]+\p{L}")
_GLUED = regex.compile(r"^(?:[وفبلك]|ال|[وبلك]ال)(?=\p{Latin})")
"""Arabic particles, which are written together with a name in Latin letters."""
_CASE_INSIDE = regex.compile(r"(?<!\p{L})\p{Ll}\p{Lu}{2,}")


def is_garbled(text: str, said: list[str], request: str, language: str) -> bool:
    """Whether the text is no language; signs, debris of markup and foreign letters pass where they were asked for."""
    visible = [c for c in text if not c.isspace()]
    strange = sum(c == "\ufffd" or unicodedata.category(c) in ("Co", "Cn", "Cc") for c in visible)
    marks = sum(unicodedata.category(c)[0] in "PSC" for c in visible)
    return (
        strange * 20 > len(visible)
        or (badness(text) >= 3 and badness(text) * 4 > len(text.split()))
        or (len(visible) >= 10 and marks * 2 > len(visible) and not CODE.search(text))
        or _mixed_scripts(text, said, request)
        or len(regex.findall(_TOKEN, text)) >= 2
        or _debris(text, said, request)
        or _fragments(text, said, language)
        or _small_words_only(said, language)
        or _unpronounceable(said, request, language)
    )


def _mixed_scripts(text: str, said: list[str], request: str) -> bool:
    scripts = [{str(m.lastgroup) for m in SCRIPT_OF.finditer(_GLUED.sub("", word))} for word in said]
    mixed = sum(len(found) > 1 for found in scripts)
    used = [script for script in NEIGHBOURS if sum(script in found for found in scripts) * 6 >= len(said)]
    others = len(regex.findall(r"[\p{L}--[\p{Latin}\p{Devanagari}\p{Arabic}\p{Cyrillic}]]", text, regex.V1))
    strange = others * 3 > len(regex.findall(r"\p{L}", text)) and "other" not in named_languages(request)
    return (mixed >= 2 and mixed * 5 >= len(said)) or len(used) >= 3 or strange


def _debris(text: str, said: list[str], request: str) -> bool:
    """Pieces of markup between words, or signs and capitals inside them, over a good part of the text."""
    if "code" in named_languages(request) or CODE.search(text.replace("<br>", "")):
        return False
    pieces = [found.group() for found in _DEBRIS.finditer(text)]
    if len(pieces) >= 4 and len(set(pieces)) >= 3 and len(pieces) * 2 >= len(said) // 2:
        return True
    tokens = text.split()
    signs = sum(bool(_SIGN_INSIDE.search(token)) and "@" not in token[1:-4] for token in tokens)
    capitals = sum(bool(_CASE_INSIDE.search(token)) for token in tokens)
    return (signs >= 3 and signs * 4 >= len(tokens)) or _swapped_case(text, capitals)


def _swapped_case(text: str, capitals: int) -> bool:
    """Small letters before capitals, as when one Cyrillic code page is read as another."""
    large, letters = len(regex.findall(r"\p{Lu}", text)), len(regex.findall(r"\p{L}", text))
    return capitals >= 1 and letters >= 12 and large * 5 >= 4 * letters


def _fragments(text: str, said: list[str], language: str) -> bool:
    """Ten pieces of words or more: short, without a capital or a sign, and hardly a small word among them."""
    if SCRIPTS[language] not in ("Latin", "Cyrillic") or len(said) < 10 or regex.search(r"[\p{Lu}\p{P}\p{N}]", text):
        return False
    small = sum(spell(word, language) in load(language).function for word in said)
    return sum(map(len, said)) < 3.7 * len(said) and small * 4 < len(said)


def _small_words_only(said: list[str], language: str) -> bool:
    """Seven small words in a row, over half of the text, say nothing."""
    small, run, longest = load(language).function, 0, 0
    for word in said:
        run = run + 1 if spell(word, language) in small else 0
        longest = max(longest, run)
    return longest >= 7 and longest * 2 >= len(said)


def _unpronounceable(said: list[str], request: str, language: str) -> bool:
    """More than a third of the letter pairs never seen in the language; names of the request do not count."""
    known, ours = set(words(request)), regex.compile(rf"\p{{{SCRIPTS[language]}}}")
    others = regex.compile(rf"[\p{{L}}--\p{{{SCRIPTS[language]}}}]", regex.V1)
    own = [word for word in said if word not in known and ours.match(word) and not others.search(word)]
    pairs = [pair for word in own for pair in letter_pairs(word, language)]
    unseen = sum(pair not in _seen(language) for pair in pairs)
    return len(pairs) >= 12 and unseen * 3 > len(pairs)


def letter_pairs(word: str, language: str) -> list[str]:
    """Neighbouring letters of a word, its ends marked; nothing for numbers and single letters."""
    plain = spell(word, language)
    if len(plain) < 2 or not regex.fullmatch(r"[\p{L}\p{M}]+", plain):
        return []
    marked = f"^{plain}$"
    return [marked[i : i + 2] for i in range(len(marked) - 1)]


@cache
def _seen(language: str) -> frozenset[str]:
    pairs = json.loads(LETTERS.read_text(encoding="utf-8"))["pairs"][language]
    return frozenset(pairs.split(" "))
