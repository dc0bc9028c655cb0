"""Is there a merge that no mix dominates? Answered over all measured merges, with the error divided among them.

A mix dominates a merge where it is no worse on both axes. So a merge escapes a mix where the paired interval of one
axis, harm or general, shows it better; a merge that escapes every mix of its stage is dominated by none of them. The
best of many merges looks good by luck too: the answer is yes only if it stands at 5 % divided by the number of merges
and axes looked at (Bonferroni), which asks the longer interval to leave out 0. Needs no torch.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

from eval.metrics import INVALID_LIMIT, Paired
from eval.paper.counting import Counting
from eval.paper.schema import Search
from eval.paper.words import amount, axis
from eval.statistics import Z80, Z95
from eval.types import DIRECTION

AXES = ("harm", "general")


def strength(paired: Paired) -> float:
    """How many standard errors the row is better (negative: worse); 0 where undefined."""
    if paired.difference is None or not paired.detectable:
        return 0.0
    better = paired.difference if DIRECTION[paired.measure] == "higher" else -paired.difference
    return better * (Z95 + Z80) / paired.detectable


def search(candidates: Sequence[tuple[str, tuple[str, ...]]], counting: Counting) -> Search:
    """Look through all merges.

    Args:
        candidates: (row id of a merge, ids of the mixes of its stage); those not measured are passed over, and so are
            merges with too many invalid answers.
        counting: What was measured.
    """
    able = [(row, mixes) for row, mixes in candidates if _fit(row, mixes, counting)]
    if not able:
        return Search("not measured", "No merge and all mixes of its stage are measured yet.")
    gaps = {row: {mix: {m: counting.paired(row, mix, m) for m in AXES} for mix in mixes} for row, mixes in able}
    escapes = {row: min(max(map(strength, found.values())) for found in by.values()) for row, by in gaps.items()}
    best = max(escapes, key=lambda row: escapes[row])
    shown = all(any(one.word == "better" for one in found.values()) for found in gaps[best].values())
    limit = NormalDist().inv_cdf(1 - 0.025 / (len(able) * len(AXES)))
    corrected = shown and escapes[best] > limit
    both = [row for row, mixes in able if all(one.word == "better" for one in gaps[row][mixes[0]].values())]
    says = "yes" if corrected else "cannot tell" if shown else "no gain"
    words = _words(says, best, gaps[best], len(able), both)
    return Search(says, words, best, gaps[best], len(able), corrected)


def _fit(row: str, mixes: Sequence[str], counting: Counting) -> bool:
    if row not in counting or not mixes or any(mix not in counting for mix in mixes):
        return False
    invalid = counting.measures(row)["invalid"].value
    return invalid is not None and invalid <= INVALID_LIMIT


def _words(says: str, best: str, gaps: Mapping[str, Mapping[str, Paired]], looked_at: int, both: Sequence[str]) -> str:
    proof = "; ".join(
        f"against {mix}: {axis(found)} {amount(found)}"
        for mix, by in gaps.items()
        for found in [max(by.values(), key=strength)]
    )
    head = {
        "yes": f"Yes: no mix dominates {best}, also after correcting for the {looked_at} merges looked at.",
        "cannot tell": f"Cannot tell: {best} escapes every mix by its own intervals, but not after correcting for the "
        f"{looked_at} merges looked at.",
        "no gain": f"No gain: after the whole search ({looked_at} merges) no merge is shown to escape every mix; the "
        f"nearest is {best}.",
    }[says]
    beats = (
        f"{len(both)} of them beat the 15 % mix on both axes at once by uncorrected intervals: {', '.join(both)}."
        if both
        else "None of them beats the 15 % mix on both axes at once."
    )
    return f"{head} {proof[0].upper()}{proof[1:]}. {beats}"
