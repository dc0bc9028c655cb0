"""What the paper reports: its aggregate table as a file, and its findings as claims that a measurement can meet.

"Mix Data or Merge Models?" (Aakanksha et al. 2024, https://arxiv.org/abs/2410.10801). Needs no torch.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eval.errors import PaperError
from eval.metrics import Word
from eval.paper.schema import Figures
from eval.types import MEASURES

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "paper"
BASELINES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("SFT", "objective_merge"): ("SFT", "mix_15"),
    ("DPO", "objective_merge"): ("DPO", "mix_15"),
    ("SFT", "mix"): ("SFT", "mix_15"),
    ("DPO", "mix"): ("DPO", "mix_15"),
    ("SFT", "language_merge"): ("SFT", "mix_15_multilingual"),
    ("SFT_then_merge_then_DPO", "continual"): ("DPO", "mix_15"),
}
"""(stage, kind) of a row of the paper -> the mix that the paper holds it against."""


@dataclass(frozen=True)
class Finding:
    """A claim of the paper: how one row should do against another."""

    id: str
    paper: str
    row: str
    """"STAGE MODEL" of the paper's table, or the id of a row of ours."""
    against: str
    expect: Mapping[str, Word]
    """Measure -> whether `row` should be better or worse."""
    why: str
    """Why this family may differ; the end of a sentence that begins with "because"."""
    language: str | None = None


def figures(path: Path = FOLDER / "paper_results.csv") -> dict[tuple[str, str], Figures]:
    """(stage, model) -> what the paper's table says.

    Raises:
        PaperError: The file is missing or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                (row["stage"], row["model"]): Figures(float(row["harm_rel_pct"]), float(row["win_rate_pct"]))
                for row in csv.DictReader(file)
            }
    except FileNotFoundError as error:
        raise PaperError(f"There is no {path.name}: the paper's own table belongs there.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise PaperError(f"{path.name} needs stage, model, harm_rel_pct and win_rate_pct in every row.") from error


def findings(path: Path = FOLDER / "findings.yaml") -> tuple[Finding, ...]:
    """The paper's findings, in the file's order.

    Raises:
        PaperError: The file is missing or an entry breaks the schema.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError) as error:
        raise PaperError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    return tuple(_finding(entry, path.name) for entry in raw)


def _finding(entry: Mapping[str, Any], where: str) -> Finding:
    try:
        found = Finding(**entry)
    except TypeError as error:
        raise PaperError(f"{where}: {entry!r:.60} is no finding ({error}).") from error
    for measure, word in found.expect.items():
        if measure not in MEASURES or word not in ("better", "worse"):
            raise PaperError(f"{where}: {found.id}: expect must say better or worse of {', '.join(MEASURES)}.")
    return found


def expected(of: Figures, mix: Figures) -> dict[str, tuple[float, Word]]:
    """The paper's own difference between two rows: measure -> (points, the word for it)."""
    harm, win = of.harm_rel_pct - mix.harm_rel_pct, of.win_rate_pct - mix.win_rate_pct
    return {
        "harm_vs_base": (harm, "better" if harm < 0 else "worse" if harm > 0 else "cannot tell"),
        "win_rate": (win, "better" if win > 0 else "worse" if win < 0 else "cannot tell"),
    }
