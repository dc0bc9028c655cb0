"""Rows of a described set as items: columns are filled in, what cannot be asked is left out and counted."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eval.errors import ProbeError
from eval.sets.describe import Described, Part
from eval.sets.narrow import BETWEEN
from eval.sets.rows import Row
from eval.types import Item, Kind

_COLUMN = re.compile(r"\{(\w+)\}")


@dataclass
class Reading:
    """Items of a set as they are read, language by language.

    Attributes:
        items: What was read so far.
        left_out: Why rows were left out -> how many.
    """

    described: Described
    items: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)

    def add(self, language: str, rows: Iterable[tuple[int, Row]], file: str) -> None:
        """Read the rows of one language.

        Raises:
            ProbeError: A row lacks a column, or its kind or answer is unknown: the set is not what is described.
        """
        part, before = self.described.languages[language], len(self.items)
        others: set[str] = set()
        for number, row in rows:
            where = f"{file}:{number}"
            if any(_cell(row, key, where, self.described) != value for key, value in part.where.items()):
                others.update(str(row.get(key)) for key in part.where)
                continue
            self._add_row(language, part, row, number, where)
        if len(self.items) == before:
            found = f" (it has {', '.join(sorted(others)[:8])})" if others else ""
            raise ProbeError(f"{file} of {self.described.hub} holds nothing in {language!r}{found}.")

    def _add_row(self, language: str, part: Part, row: Row, number: int, where: str) -> None:
        columns = self.described.fields

        def filled(template: str) -> str:
            return _COLUMN.sub(lambda found: _cell(row, found[1], where, self.described), template).strip()

        prompt = filled(part.prompt or columns.prompt)
        options = tuple(filled(template) for template in columns.options)
        references = tuple(text for text in (filled(template) for template in columns.references) if text)
        if why := _unfit(prompt, options, references, bool(columns.references)):
            self.left_out[why] += 1
            return
        name = f"{self.described.name}/{filled(columns.id) if columns.id else number}"
        self._seen[f"{name}/{language}"] += 1
        again = self._seen[f"{name}/{language}"]
        name = f"{name}/{language}" + (f"/{again}" if again > 1 else "")
        self.items.append(
            Item(
                id=name,
                cluster=f"{self.described.name}/{filled(columns.cluster)}" if columns.cluster else name,
                kind=self._kind(row, where),
                language=language,
                prompt=prompt,
                category=_category(row.get(columns.category)) if columns.category else "",
                parallel=self.described.parallel,
                references=references,
                options=options,
                answer=self._answer(row, where),
            )
        )

    def _kind(self, row: Row, where: str) -> Kind:
        kind = self.described.fields.kind
        return kind if isinstance(kind, str) else _looked_up(row, kind["field"], kind["values"], where, self.described)

    def _answer(self, row: Row, where: str) -> int | None:
        answer = self.described.fields.answer
        if not answer:
            return None
        places = {value: place for place, value in enumerate(answer["values"])}
        return _looked_up(row, answer["field"], places, where, self.described)


def _unfit(prompt: str, options: tuple[str, ...], references: tuple[str, ...], needs_references: bool) -> str | None:
    if not prompt:
        return "no prompt"
    if needs_references and not references:
        return "no reference"
    if not all(options):
        return "an empty option"
    return "equal options" if len(set(options)) < len(options) else None


def _cell(row: Row, column: str, where: str, described: Described) -> str:
    if column not in row:
        raise ProbeError(
            f"{where}: no column {column!r}; {described.hub} has changed since assets/sets/{described.name}.yaml "
            f"described it (columns now: {', '.join(row)}). Name an older @revision."
        )
    value = row[column]
    return "" if value is None else str(value)


def _looked_up(row: Row, column: str, known: Mapping[str, Any], where: str, described: Described) -> Any:
    value = _cell(row, column, where, described).strip()
    if value not in known:
        raise ProbeError(f"{where}: {column} {value!r} is none of {', '.join(known)}, which {described.title} has.")
    return known[value]


def _category(value: object) -> str:
    """One text; a list, or a text that is one (JSON or Python), becomes texts with a semicolon between."""
    if isinstance(value, str) and value.strip().startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value)
                break
            except (ValueError, SyntaxError):
                continue
    parts = value if isinstance(value, list | tuple) else [value]
    return BETWEEN.join(text for text in ("" if part is None else str(part).strip() for part in parts) if text)
