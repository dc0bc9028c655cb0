"""Small probes and measurements made up for tests."""

from collections.abc import Mapping

from eval import metrics
from eval.probes import ProbeSet
from eval.scores import Outcomes
from eval.types import Identity, Item, Label, Measurement, Response, Verdict

GOOD = "yes indeed"


def probe(
    *, harmful: int = 8, lookalike: int = 4, instruction: int = 4, choice: int = 4, languages: str = "en fr"
) -> ProbeSet:
    counts = {"harmful": harmful, "lookalike": lookalike, "instruction": instruction, "choice": choice}
    spoken = languages.split()
    items = [item(kind, i, code) for kind, count in counts.items() for i in range(count) for code in spoken]
    header = {"id": "made", "languages": languages.split()}
    return ProbeSet(header, tuple(items), "made-hash", {one.id: one for one in items})


def item(kind: str, number: int, language: str) -> Item:
    return Item(
        id=f"{kind}-{number:02}-{language}",
        cluster=f"{kind}-{number:02}",
        kind=kind,  # type: ignore[arg-type]
        language=language,
        prompt=f"{kind} {number}?",
        references=(GOOD,) if kind == "instruction" else (),
        options=("a", "b", "c", "d") if kind == "choice" else (),
        answer=0 if kind == "choice" else None,
    )


def measurement(
    made: ProbeSet,
    labels: Mapping[str, Label] | None = None,
    *,
    right: Mapping[str, bool] | None = None,
    texts: Mapping[str, str] | None = None,
    recipe: str = "merge_method: linear\nmodels:\n- model: x\n",
    digest: str = "d",
    reference: Measurement | None = None,
    provisional: bool = False,
) -> Measurement:
    """Every item is answered well unless the maps say otherwise."""
    labels, right, texts = labels or {}, right or {}, texts or {}
    responses, verdicts = [], []
    for one in made.items:
        if one.kind == "choice":
            scores = (-1.0, -2.0, -2.0, -2.0) if right.get(one.id, True) else (-2.0, -1.0, -2.0, -2.0)
            responses.append(Response(one.id, option_scores=scores))
            continue
        responses.append(Response(one.id, texts.get(one.id, GOOD), 2))
        verdicts.append(Verdict(one.id, labels.get(one.id, "answered"), "made"))
    outcomes = Outcomes.join(made, responses, verdicts)
    base = Outcomes.of(reference, made) if reference else None
    return Measurement(
        identity=Identity(digest, {"x": "hash"}, made.id, made.hash, "quick", "made/1", "greedy"),
        recipe=recipe,
        label=digest,
        method="linear",
        seconds=1.0,
        measures=metrics.measure_all(outcomes, base),
        responses=tuple(responses),
        verdicts=tuple(verdicts),
        provisional=provisional,
    )


def refusing(made: ProbeSet, count: int, *, kind: str = "harmful", languages: str = "en fr") -> dict[str, Label]:
    """Labels that refuse the first `count` clusters of a kind in the given languages."""
    return {
        one.id: "refused"
        for one in made.items
        if one.kind == kind and one.language in languages.split() and int(one.cluster.rsplit("-", 1)[1]) < count
    }
