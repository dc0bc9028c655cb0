"""The rows of the table of items as a file: CSV for a spreadsheet, JSONL for a program; both carry a notice."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ui.items import Row, Side
from ui.queries import Query

Format = Literal["csv", "jsonl"]
TYPES: Mapping[Format, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}
NOTICE = (
    "Content notice: some requests ask for harmful things in mild words, and answers of language models may offend, be "
    "wrong or make things up. They are here to measure refusals; do not train a model to follow them, and do not pass "
    "them on without this notice."
)
COLUMNS = ("item", "cluster", "language", "kind", "category", "prompt", "expected", "change")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Sheet:
    """Filtered rows, and what they are of.

    Attributes:
        ours: The recipe's name on the page.
        theirs: The name of what it is held against; None where there is nothing.
        recipes: Both recipes as YAML, by "recipe" and "against".
        about: Probe, judge and tier of the measurements.
        query: The filters and order that gave the rows.
    """

    rows: Sequence[Row]
    ours: str
    theirs: str | None
    recipes: Mapping[str, str]
    about: Mapping[str, str]
    query: Query


def write(sheet: Sheet, form: Format) -> str:
    """The file's text."""
    return _csv(sheet) if form == "csv" else _jsonl(sheet)


def name(sheet: Sheet, form: Format) -> str:
    """A file name that says probe and filters."""
    parts = ["items", sheet.about.get("probe", ""), *sheet.query.filters.values()]
    plain = ["".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in part) for part in parts]
    return "_".join(part.strip("-") for part in plain if part.strip("-"))[:80] + f".{form}"


def _csv(sheet: Sheet) -> str:
    """Lines that begin with # say what it is; then a header and a line for each row.

    A cell that a spreadsheet would run as a formula is given an apostrophe in front.
    """
    file = io.StringIO()
    file.write("".join(f"# {line}\n" for line in _heading(sheet)))
    flat = [{**_asked(row), **dict(_flat(row))} for row in sheet.rows]
    columns = list(dict.fromkeys([*COLUMNS, *(key for row in flat for key in row)]))
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _safe(key, value) for key, value in row.items()} for row in flat)
    return file.getvalue()


def _jsonl(sheet: Sheet) -> str:
    """First a line with the notice and what it is; then a line for each row."""
    head = {
        "notice": NOTICE, "recipe": sheet.ours, "against": sheet.theirs, "yaml": dict(sheet.recipes),
        **sheet.about, "filters": sheet.query.filters, "rows": len(sheet.rows),
    }  # fmt: skip
    lines = [head, *(_whole(row) for row in sheet.rows)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _heading(sheet: Sheet) -> Iterator[str]:
    yield NOTICE
    yield f"recipe: {sheet.ours}" + (f"; against: {sheet.theirs}" if sheet.theirs else "")
    yield "; ".join(f"{key}: {value}" for key, value in sheet.about.items())
    said = ", ".join(f"{key} = {' '.join(value.split())}" for key, value in sheet.query.filters.items())
    yield f"filters: {said or 'none'}; rows: {len(sheet.rows)}"


def _asked(row: Row) -> dict[str, str]:
    item = row.item
    expected = item.references if item.kind != "choice" or item.answer is None else (item.options[item.answer],)
    cells = (item.id, item.cluster, item.language, item.kind, item.category, item.prompt)
    return dict(zip(COLUMNS, (*cells, " | ".join(expected), row.change), strict=True))


def _sides(row: Row) -> Iterator[tuple[str, Side]]:
    yield "recipe", row.ours
    if row.theirs is not None:
        yield "against", row.theirs


def _flat(row: Row) -> Iterator[tuple[str, str]]:
    for side, said in _sides(row):
        chosen = "" if said.chosen is None else row.item.options[said.chosen]
        yield f"{side}_answer", chosen if row.item.kind == "choice" else said.text
        yield f"{side}_verdict", said.word
        yield f"{side}_reason", said.reason
        yield f"{side}_severity", said.severity
        yield f"{side}_chrf", "" if said.chrf is None else f"{said.chrf:.1f}"
        yield f"{side}_log_likelihoods", " | ".join(f"{score:.4f}" for score in said.scores)


def _whole(row: Row) -> dict[str, Any]:
    item = row.item
    found: dict[str, Any] = {
        "item": item.id, "cluster": item.cluster, "language": item.language, "kind": item.kind,
        "category": item.category, "prompt": item.prompt, "change": row.change or None,
    }  # fmt: skip
    if item.kind == "choice":
        found |= {"options": list(item.options), "right_option": item.answer}
    elif item.references:
        found["references"] = list(item.references)
    return found | {name: _said(row, said) for name, said in _sides(row)}


def _said(row: Row, side: Side) -> dict[str, Any]:
    if row.item.kind == "choice":
        return {"log_likelihoods": list(side.scores), "chosen": side.chosen, "right": side.right}
    found: dict[str, Any] = {"answer": side.text, "verdict": side.label, "reason": side.reason}
    found |= {"severity": side.severity} if side.severity else {}
    return found | ({} if side.chrf is None else {"chrf": round(side.chrf, 2)})


def _safe(column: str, cell: str) -> str:
    written = column in ("prompt", "expected") or column.endswith("_answer")
    return f"'{cell}" if written and cell.startswith(_FORMULA) else cell
