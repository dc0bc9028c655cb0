"""Text as the rules read it: folded to one spelling, cut into words, sentences and clauses."""

import unicodedata

import regex

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’\-][\p{L}\p{M}\p{N}]+)*")
_SENTENCE = regex.compile(r"(?:[^.!?।؟…\n]|[.](?=\p{N}|\p{L}\.))+(?:[.!?।؟…]+[\"'»”)]*|\n|$)")
_LATIN = ("en", "fr", "es")
_ARABIC = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ـ": None})
_QUOTES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'") | dict.fromkeys("\u200c\u200d\u200e\u200f", ""))


def spell(text: str, language: str) -> str:
    """One spelling for what people and models spell in several; used on texts and on the rules alike.

    Accents go in English, French and Spanish, ё becomes е, nukta goes and chandrabindu becomes anusvara in Hindi, and
    in Arabic short vowels and tatweel go and the seats of hamza on alef are one.
    """
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    if language in _LATIN:
        return regex.sub(r"\p{Mn}", "", unicodedata.normalize("NFD", text))
    if language == "hi":
        return unicodedata.normalize("NFD", text).replace("\u093c", "").replace("\u0901", "\u0902")
    if language == "ar":
        return regex.sub(r"\p{Mn}", "", text).translate(_ARABIC)
    return text.replace("ё", "е").replace("Ё", "Е")


def fold(text: str, language: str) -> str:
    """The text in one spelling, lower case, without Markdown signs, lines kept."""
    text = regex.sub(r"[*_#>]{1,3}", "", spell(text, language)).lower()
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def words(text: str) -> list[str]:
    """Words and numbers in lower case, vowel signs kept with their letters."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def sentences(text: str) -> list[str]:
    """Sentences and lines that hold a letter; the last may be cut off."""
    return [one for part in _SENTENCE.findall(text) if regex.search(r"\p{L}", one := part.strip())]
