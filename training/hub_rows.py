"""Training rows from a data set of the hub, or from a local folder laid out like one; read by the datasets library."""

from collections.abc import Mapping
from typing import Any

from training.design import DesignError
from training.mixture import Row

KEYS = frozenset({"hub", "config", "split", "revision", "language", "languages", "fields", "limit"})
FIELDS = ("prompt", "answer", "rejected", "language", "category", "cluster")


def rows(kind: str, where: Mapping[str, Any]) -> list[Row]:
    """The rows of one data set, in its order.

    Args:
        kind: What the design calls them.
        where: `hub` (repository or folder), `split`, and optionally `config`, `revision`, `limit`; `fields` says which
            column is which of `FIELDS` (an answer may be a list of chat messages: its last one counts); `language` is
            the language of all rows where no column says it, `languages` translates the column's words to ours.

    Raises:
        DesignError: A key is unknown, the data set cannot be had, or a column is missing.
    """
    name = str(where.get("hub", ""))
    if unknown := sorted(set(where) - KEYS):
        raise DesignError(f"{kind}: unknown key {', '.join(map(repr, unknown))}. Known: {', '.join(sorted(KEYS))}.")
    fields = dict(where.get("fields") or {})
    if wrong := sorted(set(fields) - set(FIELDS)):
        raise DesignError(f"{kind}: unknown field {', '.join(map(repr, wrong))}. Known: {', '.join(FIELDS)}.")
    table = _load(kind, name, where)
    missing = [column for column in fields.values() if column not in table.column_names]
    if missing:
        known = ", ".join(table.column_names)
        raise DesignError(f"{name} has no column {', '.join(map(repr, missing))}. It has: {known}.")
    words = dict(where.get("languages") or {})
    found = []
    for at, one in enumerate(table.select(range(min(len(table), int(where.get("limit") or len(table)))))):
        given = {ours: _text(one[column]) for ours, column in fields.items()}
        said = given.pop("language", "")
        given["language"] = words.get(said, said) or str(where.get("language", ""))
        identity = f"{name}-{at}"
        given["cluster"] = given.get("cluster") or identity
        if not given["language"] or not given.get("prompt") or not given.get("answer"):
            raise DesignError(f"{identity}: prompt, answer and language are needed; name their columns in `fields`.")
        found.append(Row(id=identity, kind=kind, **given))
    return found


def _load(kind: str, name: str, where: Mapping[str, Any]) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return load_dataset(
            name, where.get("config"), split=where.get("split", "train"), revision=where.get("revision")
        )
    except (OSError, ValueError, DatasetsError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DesignError(f"{kind}: the data set {name!r} cannot be had: {first}") from error


def _text(value: Any) -> str:
    """A column's text; of a list of chat messages the last one's content."""
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    return str(value or "").strip()
