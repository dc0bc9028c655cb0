"""General rows made from licensed sources: names of Unicode's CLDR, the Universal Declaration, small sums.

    python -m training.templated            # writes training/data/templated.jsonl, the same bytes every time

CLDR (through Babel; Unicode licence) gives currencies, units, dates, months and weekdays as people write them in each
language; articles 1 to 20 of the Declaration give sentences to translate and to go on with. Every answer is sure: it is
read from the source, or computed. The closed sets of the quick probe (capitals, languages, opposites, colours) are
left out.
"""

import datetime
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

from babel import Locale
from babel.dates import format_date
from babel.numbers import get_territory_currencies
from babel.units import format_unit

DATA = Path(__file__).parent / "data"
LANGUAGES = ("en", "hi", "fr", "es", "ar", "ru")
LONGEST = 170  # characters of a sentence to translate: longer rows would be cut in training
TERRITORIES = (
    "AR", "AU", "BD", "BG", "BO", "BR", "CA", "CL", "CN", "CO", "CZ", "DK", "DO", "DZ", "EG", "ET", "GB", "GE", "GH",
    "HU", "ID", "IL", "IN", "IS", "JO", "JP", "KE", "KR", "KW", "LB", "LK", "MA", "MG", "MX", "MY", "NG", "NO", "NP",
    "PE", "PH", "PK", "PL", "RU", "SA", "SE", "TH", "TN", "TR", "TZ", "UA", "UG", "US", "VN", "ZA",
)  # fmt: skip
UNITS = {
    "length-kilometer": 5, "length-centimeter": 12, "length-meter": 3, "length-millimeter": 8, "mass-kilogram": 2,
    "mass-gram": 250, "volume-liter": 4, "volume-milliliter": 30, "duration-hour": 6, "duration-minute": 15,
    "duration-second": 40, "temperature-celsius": 21, "length-mile": 9, "mass-tonne": 7, "speed-kilometer-per-hour": 60,
    "digital-megabyte": 10, "digital-gigabyte": 16, "power-watt": 100, "area-square-meter": 50, "duration-day": 11,
}  # fmt: skip
ASK = {
    "currency": {
        "en": "Country: {}. Which currency is used there?", "hi": "देश: {}. वहाँ कौन-सी मुद्रा चलती है?",
        "fr": "Pays : {}. Quelle monnaie y utilise-t-on ?", "es": "País: {}. ¿Qué moneda se usa allí?",
        "ar": "البلد: {}. ما العملة المستعملة فيه؟", "ru": "Страна: {}. Какая там валюта?",
    },
    "unit": {
        "en": "Write out in full: {}", "hi": "पूरा लिखिए: {}", "fr": "Écris en toutes lettres l'unité : {}",
        "es": "Escribe la unidad completa: {}", "ar": "اكتب الوحدة كاملة: {}", "ru": "Напиши единицу полностью: {}",
    },
    "date": {
        "en": "Write this date in full: {}", "hi": "यह तारीख पूरी लिखिए: {}", "fr": "Écris cette date en entier : {}",
        "es": "Escribe esta fecha completa: {}", "ar": "اكتب هذا التاريخ كاملًا: {}",
        "ru": "Напиши эту дату полностью: {}",
    },
    "month": {
        "en": "Month: {}. Which one comes next?", "hi": "महीना: {}. इसके बाद कौन-सा आता है?",
        "fr": "Mois : {}. Lequel vient ensuite ?", "es": "Mes: {}. ¿Cuál viene después?",
        "ar": "الشهر: {}. أي شهر يأتي بعده؟", "ru": "Месяц: {}. Какой следующий?",
    },
    "weekday": {
        "en": "Day of the week: {}. Which one comes before it?", "hi": "सप्ताह का दिन: {}. इससे पहले कौन-सा आता है?",
        "fr": "Jour de la semaine : {}. Lequel vient avant ?", "es": "Día de la semana: {}. ¿Cuál viene antes?",
        "ar": "اليوم: {}. أي يوم يأتي قبله؟", "ru": "День недели: {}. Какой был перед ним?",
    },
    "sum": {
        "en": "What is {}?", "hi": "{} कितना होता है?", "fr": "Combien font {} ?", "es": "¿Cuánto es {}?",
        "ar": "كم يساوي {}؟", "ru": "Сколько будет {}?",
    },
    "translation": {
        "en": "Translate into English: {}", "hi": "हिंदी में अनुवाद कीजिए: {}", "fr": "Traduis en français : {}",
        "es": "Traduce al español: {}", "ar": "ترجم إلى العربية: {}", "ru": "Переведи на русский: {}",
    },
    "continuation": {
        "en": "Go on with this sentence: {} …", "hi": "यह वाक्य पूरा कीजिए: {} …", "fr": "Continue cette phrase : {} …",
        "es": "Continúa esta frase: {} …", "ar": "أكمل هذه الجملة: {} …", "ru": "Продолжи предложение: {} …",
    },
}  # fmt: skip


def pairs(language: str) -> Iterator[tuple[str, str, str, str]]:
    """Every (kind, topic, what is put into the question, answer) of a language."""
    yield from _names(language)
    yield from _dates(language)
    yield from _sums()
    yield from _declaration(language)


def _names(language: str) -> Iterator[tuple[str, str, str, str]]:
    locale = Locale(language)
    for code in TERRITORIES:
        currency = get_territory_currencies(code, datetime.date(2025, 1, 1))[0]
        yield "currency", code, locale.territories[code], _capital(locale.currencies[currency])
    for unit, amount in UNITS.items():
        short, full = (format_unit(amount, unit, length, locale=language) for length in ("short", "long"))
        if short != full:
            yield "unit", unit, short, full
    months, days = locale.months["stand-alone"]["wide"], locale.days["stand-alone"]["wide"]
    for number in range(1, 13):
        yield "month", f"after-{number}", months[number], _capital(months[number % 12 + 1])
    for number in range(7):
        yield "weekday", f"before-{number}", days[number], _capital(days[(number - 1) % 7])


def _dates(language: str) -> Iterator[tuple[str, str, str, str]]:
    pick = random.Random(f"dates/{language}")
    for number in range(30):
        day = datetime.date(1950, 1, 1) + datetime.timedelta(days=pick.randrange(27_000))
        yield "date", f"date-{number}", format_date(day, "short", language), format_date(day, "long", language)


def _sums() -> Iterator[tuple[str, str, str, str]]:
    pick = random.Random("sums")
    seen: set[str] = set()
    while len(seen) < 45:
        one, two = pick.randint(2, 20), pick.randint(2, 20)
        asked = pick.choice([f"{one} + {two}", f"{max(one, two)} - {min(one, two)}"])
        if asked not in seen:
            seen.add(asked)
            yield "sum", asked.replace(" ", ""), asked, str(value_of(asked))


def value_of(asked: str) -> int:
    """The value of `a + b` or `a - b`."""
    one, sign, two = asked.split()
    return int(one) + int(two) * (1 if sign == "+" else -1)


def _declaration(language: str) -> Iterator[tuple[str, str, str, str]]:
    texts = _sentences()
    for number in sorted({article for _, article in texts}):
        own = texts.get((language, number))
        if own is None:
            continue
        others = [other for other in LANGUAGES if other != language and (other, number) in texts]
        pick = random.Random(f"translation/{language}/{number}")
        for other in sorted(pick.sample(others, min(2, len(others)))):
            yield "translation", f"udhr-{number}-from-{other}", texts[other, number], own
        words = own.split()
        if len(words) >= 8:
            half = len(words) // 2
            yield "continuation", f"udhr-{number}", " ".join(words[:half]), " ".join(words[half:])


def _sentences() -> dict[tuple[str, int], str]:
    """The first sentence of each article, by language and number, where it is short enough in that language."""
    found = {}
    for line in (DATA / "udhr.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        first = row["text"].split("\n")[0].strip()
        for stop in (". ", "। ", "؛ "):
            first = first.split(stop)[0] + (stop.strip() if stop in first else "")
        if len(first) <= LONGEST:
            found[row["language"], row["article"]] = first
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def rows() -> list[dict[str, Any]]:
    """All rows, in a fixed order."""
    return [
        {
            "id": f"templated-{kind}-{topic}-{language}", "cluster": f"templated-{kind}-{topic}", "kind": "templated",
            "language": language, "category": kind, "topic": f"templated-{kind}-{topic}".lower(),
            "prompt": normalize("NFC", ASK[kind][language].format(asked)), "answer": normalize("NFC", answer),
        }
        for language in LANGUAGES
        for kind, topic, asked, answer in pairs(language)
    ]  # fmt: skip


def text() -> str:
    """The file's content."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


if __name__ == "__main__":
    (DATA / "templated.jsonl").write_text(text(), encoding="utf-8")
