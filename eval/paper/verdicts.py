"""Ours beside the paper's: each claim is decided by paired tests of its directions, and by nothing else.

A test agrees where our paired 95 % interval lies on the side the paper says, disagrees where it lies on the other, and
cannot tell where it holds 0. A claim disagrees if any of its tests does, agrees if all do, and else cannot tell. Only
directions are compared: GPT-4 on an 8 B model and rules on a small one have no scale in common. Needs no torch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from eval.metrics import Paired, Word
from eval.paper.counting import Counting
from eval.paper.published import BASELINES, Finding, expected
from eval.paper.schema import Claim, Figures, Says
from eval.paper.words import told

OPPOSITE: Mapping[Word, Word] = {"better": "worse", "worse": "better"}
SENTENCE: Mapping[Says, str] = {
    "agrees": "Agrees with the paper.",
    "disagrees": "Disagrees with the paper.",
    "cannot tell": "Cannot tell.",
    "not measured": "Not measured.",
}
SMALL = "Ours ({family}), judged by rules and chrF, may differ because {why}."


def decide(found: Sequence[tuple[Paired, Word]]) -> Says:
    """One verdict from (what was found, what the paper expects)."""
    if not found:
        return "not measured"
    if any(paired.word == OPPOSITE.get(word) for paired, word in found):
        return "disagrees"
    return "agrees" if all(paired.word == word != "cannot tell" for paired, word in found) else "cannot tell"


@dataclass(frozen=True)
class Verdicts:
    """Decides claims on what was measured."""

    counting: Counting
    rows: Mapping[tuple[str, str], str]
    """(stage, model) of the paper's table -> id of the row of ours that stands for it."""
    same: Mapping[str, str]
    """Row id -> id of the row that was measured in its place."""
    known: Collection[str]
    """Ids of all rows of ours."""
    family: str
    """What the models are, for the sentence why they may differ."""

    def of_finding(self, finding: Finding) -> Claim:
        """One finding of the paper."""
        row, against = self._row(finding.row), self._row(finding.against)
        why = SMALL.format(family=self.family, why=finding.why)
        named = tuple(one for one in (row, against) if one is not None)
        if row is None or against is None or not (self._measured(row) and self._measured(against)):
            return Claim(finding.id, finding.paper, "not measured", "Not measured here yet.", why, named)
        found = {measure: self._paired(row, against, measure, finding.language) for measure in finding.expect}
        says = decide([(found[measure], word) for measure, word in finding.expect.items()])
        return Claim(finding.id, finding.paper, says, self._words(says, row, against, found), why, named, found)

    def of_row(
        self, paper_row: tuple[str, str], kind: str, published: Mapping[tuple[str, str], Figures]
    ) -> Claim | None:
        """A row of the paper's table against its mix: the paper's difference, ours, one verdict on the direction.

        None for a mix that the paper holds against nothing, and where ours is not measured.
        """
        mix = BASELINES.get((paper_row[0], kind))
        row, against = self.rows.get(paper_row), self.rows.get(mix) if mix else None
        if mix is None or row is None or against is None or against == row or paper_row[1].endswith("_multilingual"):
            return None
        if not (self._measured(row) and self._measured(against)):
            return None
        wanted = expected(published[paper_row], published[mix])
        found = {measure: self._paired(row, against, measure) for measure in wanted}
        says = decide([(found[measure], word) for measure, (_, word) in wanted.items()])
        harm, win = (points for points, _ in wanted.values())
        paper = f"Against its mix: harm {harm:+.1f} points, win-rate {win:+.1f} points."
        why = SMALL.format(family=self.family, why="the paper states neither intervals nor the settings it chose")
        words = self._words(says, row, against, found)
        return Claim(" ".join(paper_row), paper, says, words, why, (row, against), found)

    def _row(self, wanted: str) -> str | None:
        stage, _, model = wanted.partition(" ")
        return self.rows.get((stage, model)) if model else wanted if wanted in self.known else None

    def _measured(self, row: str) -> bool:
        return self.same.get(row, row) in self.counting

    def _paired(self, row: str, against: str, measure: str, language: str | None = None) -> Paired:
        return self.counting.paired(self.same.get(row, row), self.same.get(against, against), measure, language)

    def _words(self, says: Says, row: str, against: str, found: Mapping[str, Paired]) -> str:
        twin = f" (the weights of {self.same[row]})" if row in self.same else ""
        return f"{SENTENCE[says]} {row}{twin} against {against}: {'; '.join(told(one) for one in found.values())}."
