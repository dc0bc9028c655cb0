"""What `assets/paper/tables.json` holds: rows by id, tables of row ids, claims of the paper with our verdicts.

    tables = eval.paper.exchange.read(Path("assets/paper/tables.json"))
    for table in tables.tables:
        for row in tables.rows_of(table): ...

A row stands in `Tables.rows` once and may be named by several tables. Measures and paired differences are those of
`eval/metrics.py` with their units: fractions, and percent for harm_vs_base. Needs no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from eval.metrics import Paired
from eval.types import Measure

VERSION = 1
"""Raised whenever a reader of an older file would misread a newer one."""

Stage = Literal["SFT", "DPO", "SFT_then_merge_then_DPO"]
"""When the merge is made, in the words of paper_results.csv; a merge of DPO models is "DPO"."""
Kind = Literal["base", "mix", "objective_merge", "language_merge", "continual"]
State = Literal["measured", "identical", "screened", "not measured"]
"""`identical`: the same weights as another row, measured there. `screened`: the instant tier passed it over."""
Says = Literal["agrees", "disagrees", "cannot tell", "not measured"]


@dataclass(frozen=True)
class Figures:
    """What the paper reports of a row."""

    harm_rel_pct: float
    """Change of harm against the base, percent; negative is safer. Ours is the measure `harm_vs_base`."""
    win_rate_pct: float
    """Win-rate against the base, percent, GPT-4 as judge. Ours is 100 times `win_rate`, by chrF."""


@dataclass(frozen=True)
class Screening:
    """What the instant tier made of a setting on the validation split; never shown as a result."""

    safety: float
    """Higher is safer: mean over harmful items of how much likelier a refusing opening is (nats / byte)."""
    general: float
    """Higher is better: share of right choices, chance not taken off."""
    rank: int | None
    """1 is the best setting of its method at its stage; None for one that is identical to another row."""


@dataclass(frozen=True)
class Gap:
    """A paired difference, this row minus another, overall and by language."""

    overall: Paired
    by_language: Mapping[str, Paired] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, ours in the same terms, and one verdict."""

    id: str
    paper: str
    """The paper's statement, with its figures."""
    says: Says
    words: str
    """What we found, in one or two plain sentences, with the paired interval and the smallest detectable difference."""
    why: str
    """One sentence: why this family may differ from the paper's."""
    rows: tuple[str, ...] = ()
    """The rows that the verdict rests on; the first is the merge in question."""
    gaps: Mapping[str, Paired] = field(default_factory=dict)
    """The paired tests behind it, by what is compared."""


@dataclass(frozen=True)
class Row:
    """One recipe of the comparison.

    `differences` holds, for each mix of the same stage (by row id, the baseline first) and each measure, this row minus
    that mix.
    """

    id: str
    """Such as "DPO/slerp/t=0.30"; unique."""
    stage: Stage
    kind: Kind
    method: str
    """The row's family: a merge method, "slerp_gradient", or "mix"."""
    label: str
    """A few words for a person, such as "SLERP, t = 0.3"."""
    recipe: str
    """mergekit YAML, for Explore to load."""
    state: State
    settings: Mapping[str, float | str] = field(default_factory=dict)
    """What was varied: weight (of the safety model), t, density, budget (share of rows), seed, languages."""
    identical_to: str | None = None
    """Id of the row with the same weights."""
    note: str = ""
    """What the method really did, or how to make what is missing: one sentence, may be empty."""
    screening: Screening | None = None
    key: str | None = None
    """Key of the measurement in measurements.jsonl."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Gap]] = field(default_factory=dict)
    paper: Figures | None = None
    """Only on the row that stands for a row of the paper."""
    verdict: Claim | None = None
    """Ours against the paper's figures, on the same rows as `paper`."""


@dataclass(frozen=True)
class Table:
    """One question of the comparison and its rows, in the order to show them."""

    id: str
    """"a" to "e"."""
    title: str
    question: str
    rows: tuple[str, ...]
    baseline: str | None
    """Row id of the mix that the table's merges are first of all held against; None where every stage has its own."""
    note: str = ""
    """How its rows were chosen, and the smallest paired difference that can be told."""


@dataclass(frozen=True)
class Payment:
    """What one language gains or pays when a merge takes the place of a mix."""

    row: str
    against: str
    language: str
    harm: Paired
    general: Paired
    win_rate: Paired
    pays: bool
    """Worse on at least one of the three, by its paired interval."""


@dataclass(frozen=True)
class Search:
    """Is there a merge that no mix dominates? The answer after the whole search."""

    says: Literal["yes", "cannot tell", "no gain", "not measured"]
    """`yes` only where it stands after correcting for the number of merges looked at."""
    words: str
    row: str | None = None
    """The merge that shows it, or the one that came nearest."""
    gaps: Mapping[str, Mapping[str, Paired]] = field(default_factory=dict)
    """That merge minus each mix: mix's row id -> measure -> paired difference."""
    looked_at: int = 0
    """Measured merges; the corrected verdict divides its error by them."""
    corrected: bool = False
    """Whether the answer stands when the error is divided by the number of merges (Bonferroni)."""


@dataclass(frozen=True)
class Tables:
    """All of the comparison, as the page shows it."""

    family: str
    """What the models are, one line."""
    base: str
    """Row id of the base that relative measures are relative to."""
    measured_as: Mapping[str, str]
    """probe, probe_hash, tier, judge, decoding: the same for every measured row."""
    languages: tuple[str, ...]
    rows: Mapping[str, Row]
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...] = ()
    who_pays: tuple[Payment, ...] = ()
    search: Search = Search("not measured", "Nothing is measured yet.")
    limits: tuple[str, ...] = ()
    """What a reader must know, one sentence each: one seed, one judge, the smallest detectable differences."""
    version: int = VERSION

    def rows_of(self, table: Table) -> list[Row]:
        """The rows of a table, in its order."""
        return [self.rows[name] for name in table.rows]
