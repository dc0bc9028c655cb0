"""Which rows of the table of items are shown: filters, text search, order and page, as the browser asked for them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from eval.types import KINDS, Item
from ui.items import BY_CHANGE, Row, Side

PAGE = 25
"""Rows a page: more would make a phone slow, and nobody reads 1,250 rows at once."""
LONGEST = 200
"""Characters of a search."""
ANY = "any"
"""The filter for rows that changed in any way."""
DIFFER = "differ"
"""The filter for rows on which two judges differ."""
_WORDS = ("answered", "refused", "invalid", "unjudged", "right", "wrong")


def _place(side: Side | None) -> int | None:
    return _WORDS.index(side.word) if side and side.word else None


def _score(item: Item, side: Side | None) -> tuple[int, float] | None:
    """The chrF of an instruction, then by how much a choice's right option leads; None for other kinds."""
    if side is None:
        return None
    if side.chrf is not None:
        return 0, side.chrf
    if not side.scores or item.answer is None:
        return None
    return 1, side.scores[item.answer] - max(score for at, score in enumerate(side.scores) if at != item.answer)


ORDERS: Mapping[str, Callable[[Row], Any]] = {
    "item": lambda row: row.at,
    "prompt": lambda row: row.item.prompt.casefold(),
    "ours": lambda row: _place(row.ours),
    "theirs": lambda row: _place(row.theirs),
    "ours_score": lambda row: _score(row.item, row.ours),
    "theirs_score": lambda row: _score(row.item, row.theirs),
    "change": lambda row: tuple(BY_CHANGE).index(row.change) if row.change else None,
}
"""What rows can be sorted by; ties keep the probe's order, and rows whose key is None come last either way."""


@dataclass(frozen=True)
class Query:
    """What a visitor asked the table for; an empty filter lets everything through.

    Attributes:
        change: Key of a change, ANY for whatever changed, or DIFFER for what two judges see differently.
        text: Searched in prompt, answers, options, reasons, topic and id, whatever the case.
        sort: A key of ORDERS.
        down: Whether the order is turned round.
        page: Counted from 0.
        judge: Whose verdicts are shown; empty for the usual judge's.
    """

    language: str = ""
    kind: str = ""
    category: str = ""
    change: str = ""
    text: str = ""
    sort: str = "item"
    down: bool = False
    page: int = 0
    judge: str = ""

    @classmethod
    def checked(cls, raw: object) -> "Query":
        """From a request: what is unknown or of the wrong type falls back to its default."""
        given = raw if isinstance(raw, Mapping) else {}
        found = cls()
        for field in fields(cls):
            value = given.get(field.name)
            if type(value) is type(getattr(found, field.name)):
                found = replace(found, **{field.name: value})
        return replace(
            found,
            kind=found.kind if found.kind in KINDS else "",
            change=found.change if found.change in (*BY_CHANGE, ANY, DIFFER) else "",
            text=found.text[:LONGEST],
            sort=found.sort if found.sort in ORDERS else "item",
            page=max(0, found.page),
        )

    def says(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @property
    def filters(self) -> dict[str, str]:
        """The filters in use, by name."""
        names = ("language", "kind", "category", "change", "text")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def matching(rows: Sequence[Row], query: Query, differ: Collection[str] = ()) -> list[Row]:
    """The rows that all filters let through, sorted; `differ` are the items that two judges see differently."""
    sought = query.text.casefold().strip()
    found = [row for row in rows if _fits(row, query, differ) and (not sought or sought in _text(row))]
    key = ORDERS[query.sort]
    with_key = [row for row in found if key(row) is not None]
    return sorted(with_key, key=key, reverse=query.down) + [row for row in found if key(row) is None]


def page(rows: Sequence[Row], query: Query) -> tuple[list[Row], int]:
    """The rows of the asked page, and the page that is: the last one where there are fewer."""
    at = min(query.page, max(0, (len(rows) - 1) // PAGE))
    return list(rows[at * PAGE : (at + 1) * PAGE]), at


def facets(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Filter -> value -> how many of all rows have it; languages and kinds in the order of the probe."""
    found: dict[str, dict[str, int]] = {"language": {}, "kind": {}, "category": {}}
    for row in rows:
        for name, values in found.items():
            if value := getattr(row.item, name):
                values[value] = values.get(value, 0) + 1
    found["category"] = dict(sorted(found["category"].items()))
    return found


def _fits(row: Row, query: Query, differ: Collection[str]) -> bool:
    item = row.item
    if query.change == DIFFER and item.id not in differ:
        return False
    return (
        query.language in ("", item.language)
        and query.kind in ("", item.kind)
        and query.category in ("", item.category)
        and (query.change in ("", DIFFER, row.change) or (query.change == ANY and bool(row.change)))
    )


def _text(row: Row) -> str:
    sides = [side for side in (row.ours, row.theirs) if side is not None]
    said = [text for side in sides for text in (side.text, side.reason)]
    item = row.item
    return "\n".join((item.id, item.topic, item.prompt, *item.options, *item.references, *said)).casefold()
