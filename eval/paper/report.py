"""The tables as Markdown, for people. Needs no torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.metrics import Paired
from eval.paper.schema import Claim, Row, Table, Tables
from eval.paper.words import amount
from eval.types import Measure

COLUMNS = ("harm", "harm_vs_base", "general", "win_rate", "over_refusal", "invalid")
HEAD = ("harm ↓", "harm against base, % ↓", "general ↑", "chrF win-rate ↑", "over-refusal ↓", "invalid ↓")
SIGNS = {"better": " ✓", "worse": " ✗", "cannot tell": ""}


def write(path: Path, tables: Tables) -> None:
    """Write the text, whole or not at all."""
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text("\n".join(lines(tables)) + "\n", encoding="utf-8", newline="\n")
    draft.replace(path)


def lines(tables: Tables) -> Iterator[str]:
    """The whole text, line by line."""
    yield "# Mixing data against merging models"
    yield ""
    yield f"{tables.family}. Made by `python -m eval paper`; measured as {', '.join(tables.measured_as.values())}."
    yield "Values with 95 % intervals; differences are paired, ✓ better, ✗ worse, no sign: cannot tell."
    yield ""
    yield f"**Is there a merge that no mix dominates?** {tables.search.words}"
    for table in tables.tables:
        yield from _table(table, tables)
    yield from _claims("Rows of the paper", [row.verdict for row in tables.rows.values() if row.verdict])
    yield from _claims("Findings of the paper", tables.claims)
    yield from _payments(tables)
    yield from ["", "## What to know", ""]
    for sentence in tables.limits:
        yield f"- {sentence}"


def _table(table: Table, tables: Tables) -> Iterator[str]:
    yield from ["", f"## {table.id}. {table.title}", "", table.question + (f" {table.note}" if table.note else ""), ""]
    yield "| stage | recipe | " + " | ".join(HEAD) + " | Δ harm, Δ general against its mix | paper: harm %, wins % |"
    yield "|---" * (len(HEAD) + 4) + "|"
    waiting = []
    for row in tables.rows_of(table):
        if row.state == "measured":
            yield _line(row, row)
        elif row.state == "identical" and row.identical_to:
            yield (
                f"| {row.stage} | {row.label} | same weights as `{row.identical_to}` "
                + "| " * len(HEAD)
                + f"| {_paper(row)} |"
            )
        elif row.state == "not measured":
            waiting.append(row)
    passed = sum(row.state == "screened" for row in tables.rows_of(table))
    if passed:
        yield from ["", f"{passed} further settings were screened and passed over."]
    if waiting:
        yield from ["", f"Not measured: {'; '.join(_missing(row) for row in waiting)}"]


def _line(row: Row, shown: Row) -> str:
    cells = [_cell(shown.measures[name]) for name in COLUMNS]
    gaps = next(iter(shown.differences.values()), None)
    against = "" if gaps is None else f"{_gap(gaps['harm'].overall)}; {_gap(gaps['general'].overall)}"
    return f"| {row.stage} | {row.label} | " + " | ".join(cells) + f" | {against} | {_paper(row)} |"


def _cell(measure: Measure) -> str:
    if measure.value is None or measure.low is None or measure.high is None:
        return "undefined"
    form = ".0f" if max(abs(measure.low), abs(measure.high)) > 2 else ".2f"  # a percentage needs no decimals
    return f"{measure.value:{form}} [{measure.low:{form}}, {measure.high:{form}}]"


def _gap(paired: Paired) -> str:
    return amount(paired) + SIGNS[paired.word]


def _paper(row: Row) -> str:
    return f"{row.paper.harm_rel_pct:g}, {row.paper.win_rate_pct:g}" if row.paper else ""


def _missing(row: Row) -> str:
    return f"{row.id}" + (f" ({row.note.rstrip('.')})" if row.note else "")


def _claims(title: str, claims: Sequence[Claim]) -> Iterator[str]:
    if not claims:
        return
    yield from ["", f"## {title}", "", "| paper | verdict | ours | why it may differ |", "|---|---|---|---|"]
    for claim in claims:
        yield f"| {claim.id}: {claim.paper} | **{claim.says}** | {claim.words} | {claim.why} |"


def _payments(tables: Tables) -> Iterator[str]:
    if not tables.who_pays:
        return
    yield from ["", "## Who pays", "", "What a language gains or pays where the merge takes the place of the mix.", ""]
    yield "| merge | against | language | Δ harm | Δ general | Δ chrF win-rate | pays |"
    yield "|---|---|---|---|---|---|---|"
    for one in tables.who_pays:
        cells = " | ".join(_gap(paired) for paired in (one.harm, one.general, one.win_rate))
        yield f"| {one.row} | {one.against} | {one.language} | {cells} | {'pays' if one.pays else ''} |"
