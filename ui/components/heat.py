"""The geometry of checkpoints as a heatmap: measures down, groups of layers across, and the same numbers as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from ui.names import short
from ui.survey import meaning

if TYPE_CHECKING:
    from merging.geometry import Geometry


KINDS = {
    "cosine": "cosine between task vectors",
    "conflict": "opposite signs, of what both changed",
    "norm": "change over the base's norm",
}
"""Kinds of rows, top to bottom, with their words."""


@dataclass(frozen=True)
class Row:
    """One measure along the layers.

    Attributes:
        name: Words beside the row: a model, or a pair.
        values: One number a group, then the whole model's; NaN where it is undefined.
        kind: "cosine" (-1 apart to 1 together), "conflict" (share of opposite signs; a half is chance), "norm".
    """

    name: str
    values: tuple[float, ...]
    kind: str

    def strength(self, value: float) -> float:
        """Where a number stands on its colour scale, in [-1, 1]; the square root spreads what is small."""
        if self.kind == "norm":
            largest = max((number for number in self.values if math.isfinite(number)), default=0.0)
            return min(1.0, value / largest) if largest > 0 else 0.0
        share = value if self.kind == "cosine" else 1 - 2 * value
        return math.copysign(math.sqrt(min(1.0, abs(share))), share)


def rows(found: "Geometry") -> list[Row]:
    """Cosines, then sign conflicts, then norms."""
    names = [short(name) for name in found.models]
    pairs = [f"{names[one]} · {names[two]}" for one, two in found.pairs]
    total = found.total
    tables = (
        ("cosine", pairs, found.cosines, total.cosines),
        ("conflict", pairs, found.conflicts, total.conflicts),
        ("norm", names, found.norms, total.norms),
    )
    return [
        Row(name, (*values, whole), kind)
        for kind, labels, table, wholes in tables
        for name, values, whole in zip(labels, table, wholes, strict=True)
    ]


def heat(found: "Geometry") -> str:
    """Markup of all of it."""
    measured, groups = rows(found), [*found.groups, "whole model"]
    names = ", ".join(short(name) for name in found.models)
    said = f"<p><b>{escape(names)}</b> around <b>{escape(short(found.base))}</b></p>"
    said += "".join(f"<p>{escape(sentence)}</p>" for sentence in meaning(found))
    bands = "".join(
        f'<p class="mf-heat-kind">{words}</p>' + "".join(_band(row, groups) for row in measured if row.kind == kind)
        for kind, words in KINDS.items()
        if any(row.kind == kind for row in measured)
    )
    label = "Heatmap of the geometry by layer; its numbers are in the table below"
    return (
        f'<div class="mf-geometry">{said}<div class="mf-heat" role="img" aria-label="{label}">{bands}'
        f'<div class="mf-heat-foot"><span></span><span>{escape(found.groups[0])}</span>'
        f"<span>{escape(found.groups[-1])}</span></div></div>{_legend()}{_table(measured, groups)}</div>"
    )


def _band(row: Row, groups: Sequence[str]) -> str:
    cells = "".join(_cell(row, group, value) for group, value in zip(groups, row.values, strict=True))
    return f'<div class="mf-heat-row"><span>{escape(row.name)}</span><div>{cells}</div></div>'


def _cell(row: Row, group: str, value: float) -> str:
    title = f"{escape(group)}, {escape(row.name)}, {KINDS[row.kind]}: {number(row, value)}"
    if not math.isfinite(value):
        return f'<i class="mf-heat-none" title="{title}"></i>'
    strength = row.strength(value)
    kind = "size" if row.kind == "norm" else "with" if strength >= 0 else "against"
    return f'<i class="mf-heat-{kind}" style="--v:{abs(strength):.0%}" title="{title}"></i>'


def number(row: Row, value: float) -> str:
    """A number of a row in words."""
    if not math.isfinite(value):
        return "undefined"
    if row.kind == "cosine":
        return f"{value:+.3f}".replace("-", "−")
    return f"{value:.1%}".replace("%", " %") if row.kind == "conflict" else f"{value:.2%}".replace("%", " %")


def _legend() -> str:
    return (
        '<p class="mf-heat-legend"><i class="mf-heat-against" style="--v:100%"></i>apart'
        '<i class="mf-heat-with" style="--v:0%"></i>neither<i class="mf-heat-with" style="--v:100%"></i>together'
        '<i class="mf-heat-size" style="--v:100%"></i>changed most</p>'
        "<p>Colours spread small numbers (square root). The last cell is the whole model.</p>"
    )


def _table(measured: Sequence[Row], groups: Sequence[str]) -> str:
    heads = {"cosine": "cos", "conflict": "signs", "norm": "change"}
    head = "".join(f'<th scope="col">{heads[row.kind]} {escape(row.name)}</th>' for row in measured)
    body = "".join(
        f'<tr><th scope="row">{escape(group)}</th>'
        + "".join(f"<td>{number(row, row.values[at])}</td>" for row in measured)
        + "</tr>"
        for at, group in enumerate(groups)
    )
    region = 'class="mf-scroll" tabindex="0" role="region" aria-label="Geometry in numbers"'
    return (
        f'<details class="mf-numbers"><summary>Numbers</summary><div {region}><table>'
        f'<thead><tr><th scope="col">group</th>{head}</tr></thead><tbody>{body}</tbody></table></div></details>'
    )
