"""`tables.json` read and written: the schema's objects, checked, one row a line. Needs no torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from eval.errors import PaperError
from eval.metrics import Paired
from eval.paper.schema import (
    VERSION,
    Claim,
    Figures,
    Gap,
    Payment,
    Row,
    Screening,
    Search,
    Table,
    Tables,
)
from eval.types import Measure

FIGURES = 6
"""Significant digits kept of every number."""
_MAY_BE_NONE = ("difference", "low", "high", "items_needed", "detectable", "reason")
_PAID = ("harm", "general", "win_rate")


def read(path: Path) -> Tables:
    """The tables of a file.

    Raises:
        PaperError: The file is missing, of another version, or breaks the schema.
    """
    if not path.is_file():
        raise PaperError(f"There is no {path.name}: make it with `python -m eval paper --out {path.parent}`.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["version"]
        if version != VERSION:
            raise PaperError(f"{path.name} has version {version}, this program reads {VERSION}: make it again.")
        found = from_json(raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PaperError(f"{path.name} does not follow the schema ({type(error).__name__}: {error}).") from error
    if missing := sorted(_named(found) - set(found.rows)):
        raise PaperError(f"{path.name} names a row that it does not hold: {missing[0]!r}.")
    return found


def write(path: Path, tables: Tables) -> None:
    """Write the tables, whole or not at all; the same tables always give the same bytes."""
    raw = to_json(tables)
    rows = [f"  {json.dumps(name)}: {_line(row)}" for name, row in raw.pop("rows").items()]
    head = [f" {json.dumps(key)}: {_line(value)}" for key, value in raw.items()]
    text = "{\n" + ",\n".join([*head, ' "rows": {\n' + ",\n".join(rows) + "\n }"]) + "\n}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def to_json(tables: Tables) -> dict[str, Any]:
    """Plain JSON types, numbers to six significant digits; what is empty or None is left out of a row."""
    raw = {f.name: getattr(tables, f.name) for f in fields(Tables)}
    raw |= {
        "measured_as": dict(tables.measured_as),
        "rows": {name: _row_json(row) for name, row in tables.rows.items()},
        "tables": [asdict(table) for table in tables.tables],
        "claims": [_claim_json(claim) for claim in tables.claims],
        "who_pays": [_payment_json(one) for one in tables.who_pays],
        "search": {**asdict(tables.search), "gaps": _pairs_json(tables.search.gaps)},
    }
    return _rounded(raw)


def from_json(raw: Mapping[str, Any]) -> Tables:
    """The inverse of `to_json`; KeyError or TypeError where a field is missing or unknown."""
    search = {**raw["search"], "gaps": _pairs(raw["search"]["gaps"])}
    return Tables(
        **{
            **raw,
            "languages": tuple(raw["languages"]),
            "rows": {name: _row(one) for name, one in raw["rows"].items()},
            "tables": tuple(Table(**{**one, "rows": tuple(one["rows"])}) for one in raw["tables"]),
            "claims": tuple(_claim(one) for one in raw["claims"]),
            "who_pays": tuple(_payment(one) for one in raw["who_pays"]),
            "search": Search(**search),
            "limits": tuple(raw["limits"]),
        }
    )


def _row_json(row: Row) -> dict[str, Any]:
    raw = {f.name: getattr(row, f.name) for f in fields(Row)} | {
        "settings": dict(row.settings),
        "screening": asdict(row.screening) if row.screening else None,
        "measures": {name: measure.to_json() for name, measure in row.measures.items()},
        "differences": {
            mix: {name: _gap_json(gap) for name, gap in gaps.items()} for mix, gaps in row.differences.items()
        },
        "paper": asdict(row.paper) if row.paper else None,
        "verdict": _claim_json(row.verdict) if row.verdict else None,
    }
    return {key: value for key, value in raw.items() if value not in (None, {}, "")}


def _row(raw: Mapping[str, Any]) -> Row:
    built: dict[str, Any] = {
        "measures": {name: Measure.from_json(one) for name, one in raw.get("measures", {}).items()},
        "differences": {
            mix: {name: _gap(name, one) for name, one in gaps.items()}
            for mix, gaps in raw.get("differences", {}).items()
        },
    }
    for key, kind in (("screening", Screening), ("paper", Figures)):
        if key in raw:
            built[key] = kind(**raw[key])
    if "verdict" in raw:
        built["verdict"] = _claim(raw["verdict"])
    return Row(**{**raw, **built})


def _gap_json(gap: Gap) -> dict[str, Any]:
    by_language = {language: _paired_json(one) for language, one in gap.by_language.items()}
    return {**_paired_json(gap.overall), "by_language": by_language}


def _gap(measure: str, raw: Mapping[str, Any]) -> Gap:
    head = {key: value for key, value in raw.items() if key != "by_language"}
    by_language = {language: _paired(one, measure, language) for language, one in raw["by_language"].items()}
    return Gap(_paired(head, measure, None), by_language)


def _paired_json(paired: Paired, *, alone: bool = False) -> dict[str, Any]:
    """Without what is None; also without measure and language unless it stands alone."""
    left_out = () if alone else ("measure", "language")
    return {k: v for k, v in asdict(paired).items() if k not in left_out and v is not None}


def _paired(raw: Mapping[str, Any], measure: str, language: str | None) -> Paired:
    return Paired(**{**dict.fromkeys(_MAY_BE_NONE), "measure": measure, "language": language, **raw})


def _claim_json(claim: Claim) -> dict[str, Any]:
    return {
        **{f.name: getattr(claim, f.name) for f in fields(Claim)},
        "rows": list(claim.rows),
        "gaps": {name: _paired_json(one, alone=True) for name, one in claim.gaps.items()},
    }


def _claim(raw: Mapping[str, Any]) -> Claim:
    gaps = {name: _paired(one, one["measure"], one.get("language")) for name, one in raw["gaps"].items()}
    return Claim(**{**raw, "rows": tuple(raw["rows"]), "gaps": gaps})


def _payment_json(one: Payment) -> dict[str, Any]:
    return {f.name: getattr(one, f.name) for f in fields(Payment)} | {
        name: _paired_json(getattr(one, name)) for name in _PAID
    }


def _payment(raw: Mapping[str, Any]) -> Payment:
    return Payment(**{**raw, **{name: _paired(raw[name], name, raw["language"]) for name in _PAID}})


def _pairs_json(gaps: Mapping[str, Mapping[str, Paired]]) -> dict[str, Any]:
    return {row: {name: _paired_json(one) for name, one in by.items()} for row, by in gaps.items()}


def _pairs(raw: Mapping[str, Any]) -> dict[str, dict[str, Paired]]:
    return {row: {name: _paired(one, name, None) for name, one in by.items()} for row, by in raw.items()}


def _named(tables: Tables) -> set[str]:
    """Every row id that something refers to."""
    found = {tables.base} | {row for table in tables.tables for row in table.rows}
    found |= {table.baseline for table in tables.tables if table.baseline}
    found |= {row for claim in tables.claims for row in claim.rows}
    for row in tables.rows.values():
        found |= {row.id, *row.differences, *([row.identical_to] if row.identical_to else [])}
    for one in tables.who_pays:
        found |= {one.row, one.against}
    return found | set(tables.search.gaps) | ({tables.search.row} if tables.search.row else set())


def _rounded(node: Any) -> Any:
    if isinstance(node, float):
        return float(f"{node:.{FIGURES}g}")
    if isinstance(node, Mapping):
        return {key: _rounded(value) for key, value in node.items()}
    return [_rounded(value) for value in node] if isinstance(node, list | tuple) else node


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
