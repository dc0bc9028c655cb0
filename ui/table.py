"""Two recipes' items -> what the table of Study draws: plain JSON, one page of rows at a time, no markup."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from eval.errors import EvalError
from eval.metrics import Paired, compare
from eval.types import Measurement
from ui.items import CHANGES, Row, Side, counts, rows
from ui.measures import BY_KEY, LANGUAGES, languages, short, signed, signed_short
from ui.pairs import Pair, called
from ui.queries import PAGE, Query, facets, matching, page
from ui.reading import Keyed
from ui.second_judge import Second, held_out, told

COMPARED = tuple(dict.fromkeys(change.measure for change in CHANGES))
KINDS = {"harmful": "harmful", "lookalike": "look-alike", "instruction": "instruction", "choice": "choice"}


def empty(message: str) -> dict[str, Any]:
    """The value of the table where there is nothing to show, with what to do about it."""
    return {"message": message, "rows": [], "query": Query().says()}


def table(pair: Pair, query: Query, judges: Sequence[str] = (), other: Second | None = None) -> dict[str, Any]:
    """The value of the table: cards of changes, choices of the filters, and one page of rows.

    Args:
        pair: The recipes, with the verdicts of the judge that is shown.
        query: Filters, order and page.
        judges: Everybody who judged both, the usual judge first.
        other: What another of them says of the same answers.

    Raises:
        EvalError: The probe has changed since these were measured.
    """
    ours, theirs = pair.ours.measurement, pair.theirs.measurement if pair.theirs else None
    everything = rows(ours, theirs)
    differ = other.differ if other else frozenset()
    found = matching(everything, query, differ)
    shown, at = page(found, query)
    rest = matching(everything, Query.checked({**query.says(), "change": "", "sort": "item", "down": False}))
    query = Query.checked({**query.says(), "page": at})
    return {
        "message": "",
        "note": pair.note,
        "ours": {"name": called(pair.ours), "id": pair.ours.id},
        "theirs": {"name": called(pair.theirs), "id": pair.theirs.id} if pair.theirs else None,
        "probe": ours.identity.probe,
        "judge": ours.identity.judge,
        "judges": list(judges) or [ours.identity.judge],
        "quality": held_out(ours.identity.judge),
        "agreement": told(ours.identity.judge, other) if other else None,
        "cards": cards(ours, theirs, counts(rest), query.language) if theirs else [],
        "changed": sum(bool(row.change) for row in rest),
        "facets": _facets(everything),
        "query": query.says(),
        "total": len(found),
        "all": len(everything),
        "first": at * PAGE + 1 if shown else 0,
        "last": at * PAGE + len(shown),
        "pages": max(1, -(-len(found) // PAGE)),
        "rows": [_row(row, other) for row in shown],
    }


def cards(ours: Measurement, theirs: Measurement, found: dict[str, int], language: str = "") -> list[dict[str, Any]]:
    """One card a measure: the paired difference in words, and how many items changed in which way.

    Args:
        ours: The recipe.
        theirs: What it is held against.
        found: Change -> number of items, after the filters.
        language: The difference in this language; empty for the mean over all.
    """
    return [
        {
            "measure": key,
            "label": BY_KEY[key].label,
            "arrow": BY_KEY[key].arrow,
            **said(paired(ours, theirs, key, language)),
            "changes": [
                {"key": c.key, "words": c.words, "count": found[c.key], "good": c.good, "title": c.meaning}
                for c in CHANGES
                if c.measure == key
            ],
        }
        for key in COMPARED
    ]


def paired(ours: Measurement, theirs: Measurement, measure: str, language: str = "") -> Paired | None:
    """The paired difference; None where the probe has no items of the measure in the language."""
    return _paired(Keyed(ours), Keyed(theirs), measure, language)


@lru_cache(maxsize=512)
def _paired(ours: Keyed, theirs: Keyed, measure: str, language: str) -> Paired | None:
    try:
        return compare(ours.measurement, theirs.measurement, measure, language or None)
    except EvalError:
        return None


def said(found: Paired | None) -> dict[str, str]:
    """A paired difference in words: amount with interval, verdict, and the smallest difference these items can tell."""
    if found is None or found.difference is None or found.low is None or found.high is None:
        reason = found.reason if found and found.reason else "no such items"
        return {"amount": "–", "word": "undefined", "tells": reason, "sentence": f"Undefined: {reason}."}
    bounds = f"[{signed_short(found.low)}, {signed_short(found.high)}]"
    smallest = "" if found.detectable is None else short(found.detectable)
    tells = f"tells {smallest} and more" if smallest else ""
    sentence = (
        f"{BY_KEY[found.measure].label}: {signed(found.difference)} {bounds}, {found.word}, paired on {found.n} "
        f"answers to {found.clusters} independent items"
    )
    if smallest:
        sentence += f"; the smallest difference these items can tell is {smallest}"
    if found.items_needed:
        sentence += f"; about {found.items_needed} items would tell this one"
    return {"amount": f"{signed(found.difference)} {bounds}", "word": found.word, "tells": tells, "sentence": sentence}


def _facets(everything: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    found = facets(everything)
    spoken = languages(found["language"])
    return {
        "language": [_choice(code, LANGUAGES.get(code, code), found["language"][code]) for code in spoken],
        "kind": [_choice(key, KINDS.get(key, key), count) for key, count in found["kind"].items()],
        "category": [_choice(key, key, count) for key, count in found["category"].items()],
    }


def _choice(key: str, label: str, count: int) -> dict[str, Any]:
    return {"key": key, "label": label, "count": count}


def _row(row: Row, other: Second | None) -> dict[str, Any]:
    item = row.item
    said = [one.get(item.id, "") for one in other.said] if other else []
    ours, theirs = [*said, "", ""][:2]
    return {
        "id": item.id,
        "language": item.language,
        "kind": KINDS.get(item.kind, item.kind),
        "category": item.category,
        "prompt": item.prompt,
        "harmful": item.kind == "harmful",
        "references": list(item.references) if item.kind == "instruction" else [],
        "options": list(item.options),
        "answer": item.answer,
        "ours": _side(row.ours, ours),
        "theirs": _side(row.theirs, theirs) if row.theirs else None,
        "change": row.change,
    }


def _side(side: Side, other: str) -> dict[str, Any]:
    return {
        "text": side.text,
        "word": side.word,
        "reason": ", ".join(part for part in (side.severity and f"{side.severity} harm", side.reason) if part),
        "chrf": None if side.chrf is None else f"{side.chrf:.0f}",
        "scores": [f"{score:.2f}".replace("-", "−") for score in side.scores],
        "chosen": side.chosen,
        "other": other if other != side.label else "",
    }
