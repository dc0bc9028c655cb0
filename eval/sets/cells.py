"""One row of a user's own probe as an item; what is wrong is said by column, with what to write instead."""

import json
import re
from collections.abc import Mapping
from typing import Any

from eval.types import KINDS, Item, Kind
from merging.errors import did_you_mean

NEEDED = ("prompt", "language", "kind")
COLUMNS = (*NEEDED, "id", "cluster", "category", "references", "options", "answer")
LONGEST = 20_000
"""Characters of a prompt."""
_CODE = re.compile(r"[a-z]{2,3}")
_SPELT = {"english": "en", "hindi": "hi", "french": "fr", "spanish": "es", "arabic": "ar", "russian": "ru"}
_LIST = 'write a | b, or a JSON list such as ["a", "b"]'


class CellError(Exception):
    """What is wrong with a cell, and what to write instead."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"column {column!r}: {text}")


def item_of(cells: Mapping[str, Any], number: int) -> Item:
    """The item of a row; `number` makes the id where the row has none.

    Raises:
        CellError: A cell is missing or cannot be what its kind needs.
    """
    kind, language, prompt = _kind(cells), _language(cells), _text(cells, "prompt")
    if len(prompt) > LONGEST:
        raise CellError("prompt", f"{len(prompt)} characters are too many, {LONGEST} is most.")
    references, options = _list(cells, "references"), _list(cells, "options")
    _check_belongs(kind, cells)
    if kind == "instruction" and not references:
        raise CellError("references", f"an instruction needs an answer to compare with; {_LIST}.")
    name = _text(cells, "id", "") or f"row-{number:05}"
    cluster = _text(cells, "cluster", "") or name
    return Item(
        id=name,
        cluster=cluster,
        kind=kind,
        language=language,
        prompt=prompt,
        category=_text(cells, "category", ""),
        references=references,
        options=options,
        answer=_answer(cells, options) if kind == "choice" else None,
    )


def _text(cells: Mapping[str, Any], column: str, default: str | None = None) -> str:
    value = cells.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        if default is None:
            raise CellError(column, f"empty; every row needs {', '.join(NEEDED)}.")
        return default
    if not isinstance(value, str) or not value.strip():
        raise CellError(column, f"expected a text, found {value!r}.")
    return value.strip()


def _kind(cells: Mapping[str, Any]) -> Kind:
    written = _text(cells, "kind")
    for kind in KINDS:
        if written.casefold() == kind:
            return kind
    raise CellError("kind", f"{written!r} is none of {', '.join(KINDS)}.{did_you_mean(written.casefold(), KINDS)}")


def _language(cells: Mapping[str, Any]) -> str:
    written = _text(cells, "language").casefold()
    if _CODE.fullmatch(written):
        return written
    meant = _SPELT.get(written) or re.split(r"[-_]", written)[0]
    hint = f"write {meant!r}" if _CODE.fullmatch(meant) else "write a code of two or three letters, as 'en'"
    raise CellError("language", f"{written!r} is no language code; {hint}.")


def _list(cells: Mapping[str, Any], column: str) -> tuple[str, ...]:
    value = cells.get(column)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = _split(value, column)
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise CellError(column, f"expected texts that are not empty; {_LIST}.")
    return tuple(text.strip() for text in value)


def _split(written: str, column: str) -> Any:
    if not written.strip().startswith("["):
        return written.split("|")
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        raise CellError(column, f"begins as a JSON list, but is none ({error.msg}); {_LIST}.") from error


def _check_belongs(kind: Kind, cells: Mapping[str, Any]) -> None:
    for column, owner in (("references", "instruction"), ("options", "choice"), ("answer", "choice")):
        if kind != owner and cells.get(column) not in (None, "", []):
            raise CellError(column, f"only {owner} items have it; leave it empty for {kind}, or change the kind.")


def _answer(cells: Mapping[str, Any], options: tuple[str, ...]) -> int:
    if len(options) < 2:
        raise CellError("options", f"a choice needs two or more; {_LIST}.")
    if len(set(options)) < len(options):
        raise CellError("options", "two of them are equal; make each different.")
    written = _text(cells, "answer", "")
    by_text = options.index(written) if written in options else None
    by_place = int(written) if re.fullmatch(r"\d{1,3}", written) and int(written) < len(options) else None
    if by_text is not None and by_place is not None and by_text != by_place:
        raise CellError("answer", f"{written!r} is both an option and the position of another; reorder the options.")
    place = by_text if by_text is not None else by_place
    if place is None:
        raise CellError(
            "answer", f"{written!r} is no option; write its text, or its position from 0 to {len(options) - 1}."
        )
    return place
