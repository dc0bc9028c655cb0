"""Is a response in a language that was not asked for?"""

import unicodedata
from functools import cache
from pathlib import Path

import regex
import yaml
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
NAMES = Path(__file__).parent / "patterns" / "languages.yaml"
SCRIPT_OF = regex.compile("|".join(rf"(?P<{script}>\p{{{script}}})" for script in NEIGHBOURS))
CODE = regex.compile(r"```.*?(?:```|$)|`[^`]*`|https?://\S+|<\w+>", regex.DOTALL)
_CODE_LINE = regex.compile(
    r"^\s*(?:return|import|from|print|select|insert|echo|sudo|git|pip|cd)\b.*$|^.*[(){}\[\]=;<>].*[(){}\[\]=;<>].*$",
    regex.MULTILINE | regex.IGNORECASE,
)


def is_foreign(text: str, language: str, request: str) -> bool:
    """Whether the response is in another language than the request's, or than one the request names.

    Scripts are counted first. A word or two in Latin letters (a name, a unit, code) pass everywhere, and so does a list
    of names; only from four words on are languages of one script told apart.
    """
    text = CODE.sub(" ", text)
    named = named_languages(request)
    if "code" in named:
        text = _CODE_LINE.sub(" ", text)
    if named - {"code", language}:
        return not _may_be_named(text, language, named)
    script = SCRIPTS[language]
    counts = _script_counts(text)
    letters = len(regex.findall(r"\p{L}", text))
    if letters == 0:
        return False
    if counts[script] * 2 < letters:
        return not (counts["Latin"] * 2 >= letters and (len(words(text)) <= 2 or _are_names(text)))
    known = set(words(request))
    new = [word for word in words(text) if word not in known and regex.search(r"\p{L}", word)]
    if len(new) < 4 or sum(map(len, new)) < 15:
        return False
    chances = dict(identifier(script).rank(" ".join(words(text))))
    best = max(chances, key=lambda code: chances[code])
    sure = 0.9 if len(new) >= 8 else 0.98
    return best != language and chances[best] >= sure and not _sounds_like(language, best, new)


def named_languages(request: str) -> set[str]:
    """Codes of the languages and "code" (programming) that a request in any of the judge's languages names."""
    asked = _bare(request)
    return {code for code, pattern in _names().items() if pattern.search(asked)}


def _may_be_named(text: str, language: str, named: set[str]) -> bool:
    """Whether the script is that of the request or of a language it names; an unlisted script is taken on trust."""
    if named - set(SCRIPTS) - {"code"} - set(NEIGHBOURS["Latin"]):
        return True
    letters = len(regex.findall(r"\p{L}", text))
    counts = _script_counts(text)
    allowed = {SCRIPTS.get(code, "Latin") for code in named - {"code"}} | {SCRIPTS[language]}
    return sum(counts[script] for script in allowed) * 2 >= letters


def _script_counts(text: str) -> dict[str, int]:
    counts = dict.fromkeys(NEIGHBOURS, 0)
    for found in SCRIPT_OF.finditer(text):
        counts[str(found.lastgroup)] += 1
    return counts


def _are_names(text: str) -> bool:
    """Whether at least seven in ten of the words in Latin letters begin with a capital or hold a digit."""
    latin = regex.findall(r"[\p{Latin}\p{N}][\p{Latin}\p{N}\p{M}'’.+-]*", text)
    return sum(bool(regex.search(r"^\p{Lu}|\p{N}", word)) for word in latin) * 10 >= 7 * max(len(latin), 1)


def _sounds_like(language: str, other: str, said: list[str]) -> bool:
    """Whether small words speak for the request's language at least as much as for the other one."""
    if other not in SCRIPTS:
        return False
    ours, theirs = load(language).function, load(other).function
    plain = [spell(word, language) for word in said]
    mine = sum(word in ours - theirs for word in plain)
    return mine > 0 and mine >= sum(word in theirs - ours for word in plain)


def _bare(text: str) -> str:
    return regex.sub(r"\p{Mn}", "", unicodedata.normalize("NFD", text.lower()))


@cache
def _names() -> dict[str, regex.Pattern]:
    raw = yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    return {code: regex.compile(rf"(?<!\p{{L}})(?:ال|بال|لل|وال)?(?:{_bare(stems)})") for code, stems in raw.items()}


@cache
def identifier(script: str) -> LanguageIdentifier:
    """What tells the languages of one script apart."""
    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages(NEIGHBOURS[script])
    return found
