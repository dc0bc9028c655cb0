"""The paper's comparison -> what the Paper view of Study draws: plain JSON, both the paper's figures and ours."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.metrics import Paired
from eval.paper import exchange
from eval.paper.schema import Claim, Payment, Row, Table, Tables
from eval.types import Estimate
from merging.registry import Method
from ui.measures import BY_KEY, LANGUAGES, figure, interval, languages, signed, signed_short
from ui.plots import placing

PERCENT = ("harm_vs_base", "win_rate")
"""Measures that the paper reports too: written in percent, on the chart and in the tables."""
COLUMNS = ("harm_vs_base", "win_rate", "general", "harm", "over_refusal", "invalid")
HELD = ("harm", "general", "win_rate")
"""Measures whose paired difference from the mix a table shows."""
STAGES = {"SFT": "SFT", "DPO": "DPO", "SFT_then_merge_then_DPO": "SFT, merge, DPO"}
SAYS = ("agrees", "disagrees", "cannot tell", "not measured")
TITLES = {"mix": "data mix", "slerp_gradient": "SLERP by layer"}
KIN = {"slerp_gradient": ("hexagon", "slerp")}
"""Families of rows that are no method of their own: their shape, and whose colour they share."""


def stored(path: Path) -> Tables:
    """The comparison in a file, read again only when the file has changed.

    Raises:
        PaperError: It is missing, or does not follow the schema; the text says what to do.
    """
    state = path.stat() if path.is_file() else None
    return _read(path, state and (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _read(path: Path, state: tuple[int, int] | None) -> Tables:
    return exchange.read(path)


def view(tables: Tables, methods: Sequence[Method]) -> dict[str, Any]:
    """The value of the Paper view."""
    said = [*tables.claims, *(row.verdict for row in tables.rows.values() if row.verdict)]
    return {
        "message": "",
        "family": tables.family,
        "measured": ", ".join(
            f"{key} {tables.measured_as[key]}" for key in ("probe", "judge") if key in tables.measured_as
        ),
        "answer": {"says": tables.search.says, "words": tables.search.words, "row": tables.search.row or ""},
        "chart": chart(tables, methods),
        "claims": [_claim(claim) for claim in said],
        "counts": {says: sum(claim.says == says for claim in said) for says in SAYS},
        "tables": [_table(table, tables) for table in tables.tables],
    }


def nothing(message: str) -> dict[str, Any]:
    """The value of the view where there is no comparison to show, with what to do about it."""
    return {"message": message}


# The chart


def chart(tables: Tables, methods: Sequence[Method]) -> dict[str, Any]:
    """Both figures of every row that has any: harm against the base and win-rate, in percent; base is (0, 50)."""
    places = placing(methods)
    first = set(tables.tables[0].rows) if tables.tables else set()
    drawn = [
        _mark(row, places) for row in tables.rows.values() if row.paper or (row.id in first and row.state == "measured")
    ]
    marks = [mark for mark in drawn if mark["ours"] or mark["paper"]]
    names: list[str] = list(dict.fromkeys(str(mark["method"]) for mark in marks))
    titles: dict[str, str] = TITLES | {method.name: method.title for method in methods}
    made = [(key, label) for key, label in STAGES.items() if any(mark["stage"] == key for mark in marks)]
    return {
        "marks": marks,
        "stages": [{"key": key, "label": label} for key, label in made],
        "methods": [_family(name, titles.get(name, name), places) for name in names],
        "x": {"title": "harm against base, %  ← lower is better", "range": _range(marks, "x", 0.0)},
        "y": {"title": "win-rate against base, %  → higher is better", "range": _range(marks, "y", 50.0)},
    }


def _family(name: str, title: str, places: dict[str, tuple[str, int]]) -> dict[str, Any]:
    symbol, colour = _place(name, places)
    return {"name": name, "title": title, "symbol": symbol, "colour": colour}


def _mark(row: Row, places: dict[str, tuple[str, int]]) -> dict[str, Any]:
    harm, wins = (_estimate(row, name) for name in PERCENT)
    ours, words = None, ""
    if harm and wins:
        ours = {**_span(harm, "x", 1), **_span(wins, "y", 100)}
        words = f"ours: harm {_written('harm_vs_base', harm)}, wins {_written('win_rate', wins)}"
    return {
        **_family(row.method, row.label, places),
        "id": row.id,
        "stage": row.stage,
        "label": row.label,
        "method": row.method,
        "mix": row.kind == "mix",
        "ours": ours,
        "paper": {"x": row.paper.harm_rel_pct, "y": row.paper.win_rate_pct} if row.paper else None,
        "says": row.verdict.says if row.verdict else "",
        "words": words,
    }


def _place(name: str, places: dict[str, tuple[str, int]]) -> tuple[str, int]:
    if name in KIN:
        symbol, kin = KIN[name]
        return symbol, places.get(kin, ("", 0))[1]
    return places.get(name, ("circle", -1))


def _span(found: Estimate, axis: str, scale: float) -> dict[str, float | None]:
    ends = {axis: found.value, f"{axis}lo": found.low, f"{axis}hi": found.high}
    return {name: None if value is None else scale * value for name, value in ends.items()}


def _range(marks: Iterable[dict[str, Any]], axis: str, parity: float) -> list[float]:
    """Both points and intervals fit, and the base's own place too."""
    ends = [parity]
    for mark in marks:
        for side in (mark["ours"], mark["paper"]):
            ends += [side[name] for name in (axis, f"{axis}lo", f"{axis}hi") if side and side.get(name) is not None]
    room = max(2.0, 0.06 * (max(ends) - min(ends)))
    return [min(ends) - room, max(ends) + room]


# Claims and tables


def _claim(claim: Claim) -> dict[str, Any]:
    tests = [_tested(name, gap) for name, gap in claim.gaps.items()]
    return {
        "id": claim.id, "paper": claim.paper, "says": claim.says, "words": claim.words, "why": claim.why,
        "row": claim.rows[0] if claim.rows else "", "tests": [test for test in tests if test],
    }  # fmt: skip


def _tested(name: str, gap: Paired) -> str:
    if gap.difference is None:
        return f"{name}: undefined ({gap.reason})"
    smallest = "" if gap.detectable is None else f"; these items tell {_points(gap.detectable, gap.measure)} and more"
    return f"{BY_KEY[gap.measure].label}: {_difference(gap)}, {gap.word}, {gap.clusters} independent items{smallest}"


def _table(table: Table, tables: Tables) -> dict[str, Any]:
    rows = tables.rows_of(table)
    return {
        "id": table.id,
        "title": table.title,
        "question": table.question,
        "note": table.note,
        "against": tables.rows[table.baseline].label if table.baseline else "",
        "heads": [
            {"key": "label", "label": "recipe"},
            *({"key": key, "label": f"{BY_KEY[key].label} {BY_KEY[key].arrow}"} for key in COLUMNS),
            *({"key": f"d_{key}", "label": f"Δ {BY_KEY[key].label}"} for key in HELD if table.baseline),
            {"key": "says", "label": "the paper"},
        ],
        "rows": [_row(row, table.baseline, tables) for row in rows],
        "screened": sum(row.state == "screened" for row in rows),
    }


def _row(row: Row, baseline: str | None, tables: Tables) -> dict[str, Any]:
    source = tables.rows[row.identical_to] if row.state == "identical" and row.identical_to else row
    cells = {key: _value(source, row, key) for key in COLUMNS}
    if baseline:
        gaps = held(source, baseline)
        cells |= {f"d_{key}": _gap(gaps.get(key)) for key in HELD}
    says = row.verdict.says if row.verdict else ""
    cells["label"] = {"text": row.label, "sort": row.label.casefold()}
    cells["says"] = {"text": says, "sort": SAYS.index(says) if says else None}
    note = f"Same weights as {source.label}. " if source is not row else ""
    return {
        "id": row.id, "stage": STAGES.get(row.stage, row.stage), "state": row.state, "note": (note + row.note).strip(),
        "cells": cells,
    }  # fmt: skip


def held(row: Row, baseline: str) -> dict[str, Paired]:
    """The row's differences from the baseline, or from the same mix of the row's own stage."""
    share = baseline.rpartition("/")[2]
    name = baseline if baseline in row.differences else f"{row.stage}/{share}"
    return {key: gap.overall for key, gap in row.differences.get(name, {}).items()}


def _value(source: Row, row: Row, key: str) -> dict[str, Any]:
    found = _estimate(source, key)
    cell: dict[str, Any] = {"text": _written(key, found), "sort": found.value if found else None}
    if row.paper and key in PERCENT:
        theirs = row.paper.harm_rel_pct if key == "harm_vs_base" else row.paper.win_rate_pct
        cell["paper"] = f"{theirs:.1f} %".replace("-", "−")
    return cell


def _gap(found: Paired | None) -> dict[str, Any]:
    if found is None or found.difference is None:
        return {"text": "–", "sort": None, "title": (found and found.reason) or "not measured"}
    title = "" if found.detectable is None else f"these items tell {_points(found.detectable, found.measure)} and more"
    return {"text": _difference(found), "sort": found.difference, "word": found.word, "title": f"{found.word}; {title}"}


def _estimate(row: Row, key: str) -> Estimate | None:
    found = row.measures.get(key)
    return found if found is not None and found.value is not None else None


def _written(key: str, found: Estimate | None) -> str:
    if found is None or found.value is None:
        return "–"
    if key == "win_rate":
        low, high = (None if end is None else 100 * end for end in (found.low, found.high))
        return f"{figure(100 * found.value, '%')} {interval(low, high, '%')}"
    unit = BY_KEY[key].unit
    return f"{figure(found.value, unit)} {interval(found.low, found.high, unit)}"


def _difference(found: Paired) -> str:
    low, high = found.low or 0.0, found.high or 0.0
    if found.measure == "harm_vs_base":
        text = f"{found.difference:+.0f} points [{low:+.0f}, {high:+.0f}]"
        return text.replace("-", "−")
    return f"{signed(found.difference or 0.0)} [{signed_short(low)}, {signed_short(high)}]"


def _points(value: float, measure: str) -> str:
    return f"{value:.0f} points" if measure == "harm_vs_base" else f"{value:.2f}".removeprefix("0")


# Who pays


def payers(tables: Tables) -> list[tuple[str, dict[str, dict[str, Paired]], str]]:
    """For every merge that takes a mix's place: its name, measure -> language -> difference, and who pays in words."""
    found: dict[tuple[str, str], list[Payment]] = {}
    for one in tables.who_pays:
        found.setdefault((one.row, one.against), []).append(one)
    return [
        (
            f"{_labelled(tables, row)} in place of {_labelled(tables, against)}",
            {key: {one.language: getattr(one, key) for one in paid} for key in HELD},
            _paying(paid),
        )
        for (row, against), paid in found.items()
    ]


def _labelled(tables: Tables, name: str) -> str:
    row = tables.rows[name]
    return f"{row.label} ({STAGES.get(row.stage, row.stage)})"


def _paying(paid: Sequence[Payment]) -> str:
    paying = [LANGUAGES.get(code, code) for code in languages(one.language for one in paid if one.pays)]
    if not paying:
        return "No language pays as far as these items can tell."
    return f"{_and(paying)} {'pays' if len(paying) == 1 else 'pay'}: worse on at least one measure, by its interval."


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
