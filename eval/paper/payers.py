"""Who pays: what every language gains or loses where a merge takes the place of the usual mix. Needs no torch."""

from collections.abc import Iterable, Mapping

from eval.paper.counting import Counting
from eval.paper.schema import Payment

PAID = ("harm", "general", "win_rate")


def payments(pairs: Iterable[tuple[str, str]], counting: Counting, same: Mapping[str, str]) -> tuple[Payment, ...]:
    """Every language's change for each (merge, mix), where both are measured."""
    found = []
    for row, mix in pairs:
        ours, theirs = same.get(row, row), same.get(mix, mix)
        if ours not in counting or theirs not in counting:
            continue
        for language in counting.probe.languages:
            change = {measure: counting.paired(ours, theirs, measure, language) for measure in PAID}
            pays = any(one.word == "worse" for one in change.values())
            found.append(Payment(row, mix, language, **change, pays=pays))
    return tuple(found)
