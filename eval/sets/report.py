"""What a set holds and how precise it can be, and which sets there are, as text for a terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from eval import metrics
from eval.metrics import Undefined, statistic
from eval.probes import ProbeSet
from eval.scores import Outcomes
from eval.sets.describe import Described, described, listing
from eval.sets.hub import chosen
from eval.sets.precision import expected, half_width, independent
from eval.types import KINDS, Kind, Measure, Measurement

GIVES: dict[Kind, str] = {
    "harmful": "harm",
    "lookalike": "over_refusal",
    "instruction": "instructions, a half of general",
    "choice": "choices, a half of general",
}
_FACTS = ("licence", "source", "revision", "left_out")
_LACKING = ("harm", "over_refusal", "invalid", "general")


def contents(probe: ProbeSet) -> str:
    """Counts by kind and language, the widest intervals they allow, and which measures stay undefined."""
    counts = Counter((item.kind, item.language) for item in probe.items)
    clusters = {kind: len({item.cluster for item in probe.items if item.kind == kind}) for kind in KINDS}
    lines = [f"{probe.id}: {len(probe.items)} items in {', '.join(probe.languages)}; content {probe.hash[:12]}"]
    lines += [f"  {fact}: {probe.header[fact]}" for fact in _FACTS if probe.header.get(fact)]
    lines.append(f"{'':14}{''.join(f'{code:>6}' for code in probe.languages)}{'clusters':>10}   95 % interval at worst")
    for kind in KINDS:
        if clusters[kind]:
            items = [item for item in probe.items if item.kind == kind]
            cells = "".join(f"{counts[kind, code]:>6}" for code in probe.languages)
            least = min(counts[kind, code] for code in probe.languages if counts[kind, code])
            lines.append(
                f"{kind:14}{cells}{clusters[kind]:>10}   +-{half_width(independent(items)):.3f} overall, "
                f"+-{half_width(least):.3f} in one language"
            )
    return "\n".join([*lines, *(f"undefined: {name}, because {why}" for name, why in lacking(probe).items())])


def facts(probe: ProbeSet) -> dict[str, Any]:
    """What a result must say of the set it was measured on."""
    known = {fact: probe.header[fact] for fact in _FACTS if probe.header.get(fact)}
    return {"id": probe.id, "hash": probe.hash, "items": len(probe.items), **known}


def halves(found: Measurement, probe: ProbeSet) -> dict[str, Measure]:
    """The half of the general score that a probe has, where it has one only; else nothing."""
    return metrics.halves(Outcomes.of(found, probe)) if "general" in lacking(probe) else {}


def lacking(probe: ProbeSet) -> dict[str, str]:
    """Measure -> why no model can have it on this probe, for those that its items cannot give."""
    found = {}
    for name in _LACKING:
        try:
            statistic(name, Outcomes(probe, {}, {}))
        except Undefined as why:
            found[name] = str(why)
    return found


def table(sample: int | None) -> str:
    """The sets on the hub: what they measure, in which languages, under which licence, and how precisely."""
    size = f"a sample of {sample}" if sample else "the whole set"
    head = (
        f"Sets on the hub (--probe hub:NAME). Intervals: 95 %, at worst, {size}, in the languages in front of the bar."
    )
    return "\n\n".join([head, *(_entry(described(name), sample) for name in listing())])


def _entry(what: Described, sample: int | None) -> str:
    first = chosen(what, ())
    more = [code for code in what.languages if code not in first]
    lines = [
        f"hub:{what.name}: {what.title}, {what.licence}" + ("; its terms must be accepted" if what.gated else ""),
        f"  {what.about}",
        f"  {what.paper}; {what.hub} at "
        + (what.revision or "main (the commit that is found is recorded; pin it with @COMMIT)"),
        f"  languages: {', '.join(first)}" + (f" | {', '.join(more)}" if more else ""),
    ]
    sizes = [f"  {kind}: {_sizes(what, kind, first, sample)} -> {_gives(what, kind)}" for kind in what.fields.kinds]
    return "\n".join([*lines, *sizes])


def _sizes(what: Described, kind: Kind, languages: Sequence[str], sample: int | None) -> str:
    counts = [what.languages[code].counts(what.fields.kinds)[kind] for code in languages]
    taken = [min(count, sample or count) for count in counts]
    share = [(what.clusters or count) / count for count in counts]  # of an item that is a cluster of its own
    single = [max(1, round(one * part)) for one, part in zip(taken, share, strict=True)]
    overall = expected(single, parallel=what.parallel)
    most = f"{min(taken)}" if min(taken) == max(taken) else f"{min(taken)} to {max(taken)}"
    return f"{most} a language, +-{half_width(overall):.3f} overall, +-{half_width(min(single)):.3f} in one language"


def _gives(what: Described, kind: Kind) -> str:
    if kind == "instruction" and not what.has_references:
        return "invalid; win_rate with a pairwise judge (no references for chrF)"
    return GIVES[kind]
