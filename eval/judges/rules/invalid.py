"""Is a response no answer at all: empty, a loop, an echo, in another language, or garbled?"""

import json
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path

import regex
from ftfy.badness import badness
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from eval.judges.rules.refusal import load
from eval.judges.rules.text import spell, words

SCRIPTS = {"en": "Latin", "fr": "Latin", "es": "Latin", "hi": "Devanagari", "ar": "Arabic", "ru": "Cyrillic"}
NEIGHBOURS = {
    "Latin": ["en", "fr", "es", "pt", "it", "de", "nl", "ca", "ro", "pl", "tr", "id", "sv"],
    "Devanagari": ["hi", "mr", "ne"],
    "Arabic": ["ar", "fa", "ur"],
    "Cyrillic": ["ru", "uk", "bg", "sr", "be", "mk"],
}
"""Languages of one script that are told apart; a language is called wrong only for one of these."""
LETTERS = Path(__file__).parent / "letters.json"
_SCRIPT_OF = regex.compile("|".join(rf"(?P<{script}>\p{{{script}}})" for script in NEIGHBOURS))
_CODE = regex.compile(r"```.*?(?:```|$)|`[^`]*`|https?://\S+|<\w+>", regex.DOTALL)


def reason_invalid(text: str, request: str, language: str) -> str | None:
    """The first rule of the definition that makes the response invalid, or None."""
    text = text.strip().rstrip("\ufffd")  # a token limit may cut a character in half
    said = words(text)
    checks: dict[str, Callable[[], bool]] = {
        "empty or punctuation only": lambda: not regex.search(r"[\p{L}\p{N}]", text),
        "loop": lambda: is_loop(text, said),
        "echo of the request": lambda: is_echo(said, words(request)),
        "wrong language": lambda: is_foreign(text, language, request),
        "garbled": lambda: is_garbled(text, said, request, language),
    }
    return next((reason for reason, check in checks.items() if check()), None)


def is_loop(text: str, said: list[str]) -> bool:
    """Whether words or letters repeat themselves over most of the text, or to its end.

    A word must come five times in a row, a phrase about three: a refrain of two is no loop.
    """
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
    packed = "".join(text.split())
    stutters = regex.finditer(r"(\p{L}\p{L}?\p{L}?[^\s\p{N}]{0,3})\1{7,}", packed)
    stutter = max((len(found.group()) for found in stutters), default=0)
    return stutter * 2 >= max(len(packed), 1)


def is_echo(said: list[str], asked: list[str]) -> bool:
    """Whether the response is the request again, once or over and over, in full or in most of it, with little added."""
    if len(asked) < 3 or len(said) < 3:
        return False
    common = _common(said, asked * -(-len(said) // len(asked)))
    return common >= 0.85 * len(said) and common >= 0.6 * len(asked)


def is_foreign(text: str, language: str, request: str) -> bool:
    """Whether the response is in another language than the request's.

    Scripts are counted first. A word or two in Latin letters (a name, a unit, code) pass everywhere, and a name in any
    right script passes always; only from four words on are languages of one script told apart.
    """
    text = _CODE.sub(" ", text)
    script = SCRIPTS[language]
    counts = dict.fromkeys(NEIGHBOURS, 0)
    for found in _SCRIPT_OF.finditer(text):
        counts[str(found.lastgroup)] += 1
    letters = len(regex.findall(r"\p{L}", text))
    if letters == 0:
        return False
    if counts[script] * 2 < letters:
        return not (counts["Latin"] * 2 >= letters and len(words(text)) <= 2)
    known = set(words(request))
    new = [word for word in words(text) if word not in known and regex.search(r"\p{L}", word)]
    if len(new) < 4 or sum(map(len, new)) < 15:
        return False
    chances = dict(identifier(script).rank(" ".join(words(text))))
    best = max(chances, key=lambda code: chances[code])
    sure = 0.9 if len(new) >= 8 else 0.98
    return best != language and chances[best] >= sure and not _sounds_like(language, best, new)


def _sounds_like(language: str, other: str, said: list[str]) -> bool:
    """Whether small words speak for the request's language at least as much as for the other one."""
    if other not in SCRIPTS:
        return False
    ours, theirs = load(language).function, load(other).function
    plain = [spell(word, language) for word in said]
    mine = sum(word in ours - theirs for word in plain)
    return mine > 0 and mine >= sum(word in theirs - ours for word in plain)


def is_garbled(text: str, said: list[str], request: str, language: str) -> bool:
    """Whether the text is no language: broken encoding, mixed scripts, heaps of signs, letters or small words."""
    visible = [c for c in text if not c.isspace()]
    strange = sum(c == "\ufffd" or unicodedata.category(c) in ("Co", "Cn", "Cc") for c in visible)
    marks = sum(unicodedata.category(c)[0] in "PSC" for c in visible)
    return (
        strange * 20 > len(visible)
        or (badness(text) >= 3 and badness(text) * 4 > len(text.split()))
        or (len(visible) >= 10 and marks * 2 > len(visible) and not _CODE.search(text))
        or _mixed_scripts(text, said)
        or len(regex.findall(r"<(?:unused\d+|[a-z]+_of_[a-z]+|unk|pad|bos|eos|mask)>|\[(?:UNK|PAD|MASK)\]", text)) >= 2
        or _small_words_only(said, language)
        or _unpronounceable(said, request, language)
    )


def _mixed_scripts(text: str, said: list[str]) -> bool:
    scripts = [{str(m.lastgroup) for m in _SCRIPT_OF.finditer(word)} for word in said]
    mixed = sum(len(found) > 1 for found in scripts)
    used = [script for script in NEIGHBOURS if sum(script in found for found in scripts) * 6 >= len(said)]
    others = len(regex.findall(r"[\p{L}--[\p{Latin}\p{Devanagari}\p{Arabic}\p{Cyrillic}]]", text, regex.V1))
    return (mixed >= 2 and mixed * 5 >= len(said)) or len(used) >= 3 or others * 3 > len(regex.findall(r"\p{L}", text))


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
    own = [word for word in said if word not in known and ours.match(word)]
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


def _common(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence of words."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


@cache
def _seen(language: str) -> frozenset[str]:
    pairs = json.loads(LETTERS.read_text(encoding="utf-8"))["pairs"][language]
    return frozenset(pairs.split(" "))


@cache
def identifier(script: str) -> LanguageIdentifier:
    """What tells the languages of one script apart."""
    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages(NEIGHBOURS[script])
    return found
