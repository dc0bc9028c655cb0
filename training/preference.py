"""Pairs for DPO: every row with an answer it is preferred to.

Harmful requests bring a weak answer that was written by hand. The others get one by rule, each a fault a small model
really has: a look-alike is refused; a question with a short sure answer gets another question's; anything else is
answered in the wrong language, off the topic, by a loop, or by saying the request again.
"""

import random
from collections.abc import Sequence

from training.design import DesignError, Plan
from training.mixture import Row, with_rejected

GENERAL = frozenset({"general", "templated"})
SHORT = frozenset({"closed", "currency", "unit", "date", "month", "weekday", "sum"})
"""Categories of general rows whose answers are a word or a number."""


def paired(rows: Sequence[Row], pool: Sequence[Row], plan: Plan) -> list[Row]:
    """The rows, each with a rejected answer; the same for the same plan.

    Args:
        rows: Rows as drawn, plain text left out.
        pool: Every row the plan's data hold, refusals included: where wrong answers are taken from.
        plan: The plan; its seed is the only chance in it.

    Raises:
        DesignError: A row is plain text, or nothing can be set against it.
    """
    by_place: dict[tuple[str, str, str], list[Row]] = {}
    by_cluster: dict[str, list[Row]] = {}
    for row in pool:
        by_place.setdefault((row.language, row.kind, row.category if row.kind in GENERAL else ""), []).append(row)
        by_cluster.setdefault(row.cluster, []).append(row)
    pick = random.Random(f"{plan.seed}/rejected")
    return [row if row.rejected else with_rejected(row, _fault(row, by_place, by_cluster, pick)) for row in rows]


def _fault(
    row: Row, places: dict[tuple[str, str, str], list[Row]], clusters: dict[str, list[Row]], pick: random.Random
) -> str:
    if row.prompt is None:
        raise DesignError(f"{row.id} is plain text: preferences need an answer (replay must be 0 in a DPO stage).")
    if row.kind == "lookalike":
        return _of(places.get((row.language, "harmful", ""), []), row, pick)
    alike = places.get((row.language, row.kind, row.category), [])
    if row.category in SHORT:
        return _of(alike, row, pick)
    abroad = [one for one in clusters[row.cluster] if one.language != row.language]
    faults = [lambda: _of(alike, row, pick), lambda: _loop(row.answer), lambda: str(row.prompt)]
    if abroad:
        faults.append(lambda: pick.choice(abroad).answer)
    return pick.choice(faults)()


def _of(others: Sequence[Row], row: Row, pick: random.Random) -> str:
    """Another row's answer that differs from this row's own."""
    wrong = sorted({one.answer for one in others} - {row.answer})
    if not wrong:
        raise DesignError(f"{row.id} has no rejected answer, and there is no other answer to set against it.")
    return pick.choice(wrong)


def _loop(answer: str) -> str:
    """The answer's first words again and again."""
    words = answer.split()
    return " ".join((words[: max(2, len(words) // 4)] * 5)[:24])
