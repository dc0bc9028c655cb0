"""Measure from a terminal.

    python -m eval RECIPE_OR_MODEL [--probe quick] [--json OUT.json]   measure a recipe file or one checkpoint
    python -m eval compare A B [--probe quick]                         both, and how they differ on the same items
    python -m eval landmarks [--dtype D] [--out FILE.jsonl]            measure what is shipped with the page, again
    python -m eval rejudge [--judge J --in FILE.jsonl --out FILE.jsonl]   judge stored responses again, none generated
    python -m eval bits RECIPE_OR_MODEL [--json OUT.json]              bits per byte of held-out text by language
    python -m eval instant RECIPE_OR_MODEL [--json OUT.json]           which way it leans, from likelihoods alone
    python -m eval instant --calibrate [--dtype D]                     what that is worth, fitted on the shipped recipes
    python -m eval judge [--judge J] --in FILE.jsonl --out FILE.jsonl   label rows of id, language, request, response
    python -m eval agree --in A.jsonl B.jsonl                          how far two judges of the same responses agree
    python -m eval judge-quality                                       how well the rules label rows labelled by hand
    python -m eval sets [--sample N]                                   sets on the hub, and how precise they can be
    python -m eval check-probe FILE.csv                                is an own probe right, and how precise can it be
    python -m eval RECIPE_OR_MODEL --tasks belebele_fra_Latn,...       standard tasks, by lm-evaluation-harness
    python -m eval win A B --judge endpoint:MODEL [--in FILE.jsonl]    whose answers a judge prefers, in both orders
    python -m eval paper [--out FOLDER] [--dry-run]                    the paper's whole comparison, resumable

A probe is a shipped set, hub:NAME[@REVISION], or a .csv or .jsonl file; --languages, --category and --sample narrow it.
A judge J is rules, guard:NAME, classifier:NAME or endpoint:MODEL; =FOLDER_OR_ID after it names another checkpoint.
Bad input is answered by one sentence and exit status 2; nothing is written then.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eval import judging, probes, sets
from eval.errors import EvalError, JudgeError
from eval.judges import quality
from eval.judges.judged import judged_of
from eval.judges.registry import open_judge
from eval.metrics import compare
from eval.paper import command as paper
from eval.probes import ProbeSet
from eval.sets import options as set_options
from eval.sets import report
from eval.types import DTYPES, MEASURES, Measure, Measurement
from merging.errors import MergeError

COMMANDS = (
    *("judge", "compare", "landmarks", "rejudge", "bits", "agree", "instant", "sets", "check-probe", "win"),
    "judge-quality",
)
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "assets" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["paper"]:  # a command with a parser of its own
        return _status(lambda: paper.run(given[1:], lambda line: print(line, flush=True)))
    name = given[0] if given and given[0] in COMMANDS else "probe"
    parser = _parser(name)
    options = parser.parse_args(given[1:] if name != "probe" else given)
    run: dict[str, Callable[[argparse.Namespace], None]] = {
        "probe": _probe,
        "judge": _judge,
        "compare": _compare,
        "landmarks": _landmarks,
        "rejudge": _rejudge,
        "bits": _bits,
        "agree": _agree,
        "instant": _instant,
        "sets": _sets,
        "check-probe": _check_probe,
        "win": _win,
        "judge-quality": _judge_quality,
    }
    return _status(lambda: run[name](options))


def _status(work: Callable[[], None]) -> int:
    """The exit status of some work."""
    try:
        work()
    except (EvalError, MergeError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; finished batches are kept.", file=sys.stderr)
        return 130
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval" + ("" if name == "probe" else f" {name}"),
        description=__doc__ if name == "probe" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name == "judge":
        judging.add_judge_options(parser)
        parser.add_argument("--in", dest="source", type=Path, required=True, help="rows to label, JSONL")
        parser.add_argument("--out", type=Path, required=True, help="the same rows with a label, JSONL")
        return parser
    if name == "rejudge":
        judging.add_judge_options(parser)
        parser.add_argument("--in", dest="source", type=Path, default=None, help="measurements, JSONL (default: --out)")
        parser.add_argument("--out", type=Path, default=None, help="where to (default: what is shipped, in place)")
        return parser
    if name == "agree":
        parser.add_argument("--in", dest="sources", type=Path, nargs=2, required=True, metavar=("A", "B"))
        parser.add_argument("--show", type=int, default=judging.SHOWN, help="disagreements listed")
        parser.add_argument("--json", type=Path, default=None, help="also write the result here")
        return parser
    if name == "judge-quality":
        parser.add_argument("--out", type=Path, default=quality.QUALITY, help="where to (default: what is shipped)")
        return parser
    if name == "sets":
        parser.add_argument("--sample", type=int, default=None, help="items of a kind in a language")
        return parser
    if name == "check-probe":
        parser.add_argument("probe", help="a .csv or .jsonl file, or any other set")
        set_options.add(parser)
        return parser
    if name == "win":
        judging.add_judge_options(parser, default="")
        parser.add_argument("a", help="label or key of a measurement")
        parser.add_argument("b", help="label or key of the one it is compared with")
        parser.add_argument("--in", dest="source", type=Path, default=RESULTS / "embedded.jsonl", help="measurements")
        parser.add_argument("--json", type=Path, default=None, help="also write the result here")
        return parser
    if name == "compare":
        parser.add_argument("a", help="recipe file or checkpoint")
        parser.add_argument("b", help="recipe file or checkpoint it is compared with")
    elif name == "landmarks":
        parser.add_argument("--recipes", type=Path, default=RESULTS / "recipes.yaml", help="what to measure")
        parser.add_argument("--out", type=Path, default=None, help="where to (default: what is shipped for the dtype)")
    else:
        one = None if name != "instant" else "?"
        parser.add_argument("recipe", nargs=one, help="recipe file (.yaml) or one checkpoint (zoo:..., folder, hub id)")
    if name == "instant":
        parser.add_argument("--calibrate", action="store_true", help="fit on the shipped recipes and ship the result")
        parser.add_argument("--recipes", type=Path, default=RESULTS / "recipes.yaml", help="what to fit on")
    if name in ("probe", "compare"):
        parser.add_argument("--probe", default="quick", help="set by name, hub:NAME, or a .csv or .jsonl file")
        set_options.add(parser)
        parser.add_argument("--store", type=Path, default=None, help="measurements are kept here")
        judging.add_judge_options(parser, many=True)
    if name in ("probe", "bits", "instant"):
        parser.add_argument("--json", type=Path, default=None, help="also write the result here")
    if name == "probe":
        parser.add_argument("--tasks", default=None, help="standard tasks in place of a probe, as a,b")
        parser.add_argument("--limit", type=int, default=None, help="documents of each task")
        parser.add_argument("--include-path", type=Path, default=None, help="folder of more tasks; its code is run")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="passes run in the merge's own dtype (recipe) or in float32 (default: what is fast on the device)",
    )
    return parser


def _probe(options: argparse.Namespace) -> None:
    from eval.bench import Bench

    _writable(options.json)
    if options.tasks is not None:
        return _tasks(options)
    asked = _announced(options)
    bench = Bench(options.device, options.threads, options.store, options.dtype)
    recipe = bench.recipe(options.recipe)
    judges = [open_judge(name, judging.choice_of(options, _show)) for name in options.judge or ["rules"]]
    found = [bench.measure(recipe, asked, _show, judge=judge) for judge in judges]
    for one, judge in zip(found, judges, strict=True):
        parts = [
            f"{name}: {_cell(half)}, n = {half.n}" for name, half in report.halves(one, probes.load(asked)).items()
        ]
        head = [one.identity.judge] if len(found) > 1 else []
        print("\n".join([*head, _table([one]), *parts, *judging.spent(judge)]))
    for other in found[1:]:
        both = [judged_of([one], one.identity.judge, probes.load(asked)) for one in (found[0], other)]
        print("\n" + judging.agree(*both)[0])
    halves = {name: one.to_json() for name, one in report.halves(found[0], probes.load(asked)).items()}
    more = {"probe": report.facts(probes.load(asked))} | ({"halves": halves} if halves else {})
    _write_json(options.json, found[0].summary() | more)
    return None


def _tasks(options: argparse.Namespace) -> None:
    from eval import tasks
    from eval.bench import Bench

    bench = Bench(options.device, options.threads, None, options.dtype)
    recipe = bench.recipe(options.recipe)
    asked = [name.strip() for name in options.tasks.split(",") if name.strip()]
    found = bench.tasks(recipe, tasks.Tasks(asked, include=options.include_path, limit=options.limit))
    print(tasks.as_text(found))
    _write_json(options.json, {"recipe": recipe.to_yaml(), "tasks": tasks.as_json(found)})


def _compare(options: argparse.Namespace) -> None:
    from eval.bench import Bench

    asked = _announced(options)
    bench = Bench(options.device, options.threads, options.store, options.dtype)
    recipes = [bench.recipe(name) for name in (options.a, options.b)]
    for judge in [open_judge(name, judging.choice_of(options, _show)) for name in options.judge or ["rules"]]:
        a, b = (bench.measure(recipe, asked, _show, judge=judge) for recipe in recipes)
        print("\n".join([judge.id, _table([a, b]), *judging.spent(judge)]))
        print(_paired_table(a, b, bench.reference(recipes[0], asked, judge=judge), probes.load(asked)))


def _announced(options: argparse.Namespace) -> str:
    """The set that is asked for, said before the work with its licence and how precise it can be, if not shipped."""
    asked = set_options.asked(options)
    if sets.handles(asked):
        print(report.contents(probes.load(asked)) + "\n")
    return asked


def _sets(options: argparse.Namespace) -> None:
    print(report.table(options.sample))


def _check_probe(options: argparse.Namespace) -> None:
    print(set_options.checked(options))


def _landmarks(options: argparse.Namespace) -> None:
    from eval import shipped
    from eval.bench import Bench, read_recipes

    recipes = read_recipes(options.recipes)
    bench = Bench(options.device, options.threads, None, options.dtype)
    out = options.out or shipped.path(bench.dtype_of(recipes[0]))
    done = bench.landmarks(recipes, out, _show)
    print(f"{len(done)} measurements in {out}")


def _rejudge(options: argparse.Namespace) -> None:
    from eval import shipped
    from eval.runner import rejudged
    from eval.store import read_jsonl, write_jsonl

    source = options.source or options.out
    if options.judge != "rules" and (options.out is None or options.out == source):
        raise JudgeError(
            "Give --in and another file as --out: what is shipped stays under the judge it was measured by."
        )
    _writable(options.out)
    judge = open_judge(options.judge, judging.choice_of(options, _show))
    for path in [source] if source else shipped.files():
        out = options.out or path
        found = rejudged(read_jsonl(path), judge)
        write_jsonl(out, found)
        print(f"{out.name}, {found[0].identity.decoding}\n{_table(found)}")
    print("\n".join([judge.id, *judging.spent(judge)]))


def _agree(options: argparse.Namespace) -> None:
    _writable(options.json)
    said, found = judging.agree_files(options.sources, show=options.show)
    print(said)
    _write_json(options.json, {on: judging.agreement_json(one) for on, one in found.items()})


def _win(options: argparse.Namespace) -> None:
    _writable(options.json)
    said, found = judging.win(options, _show)
    print(said)
    _write_json(options.json, found)


def _judge_quality(options: argparse.Namespace) -> None:
    found = quality.measure(quality.rows())
    quality.write(found, options.out)
    print(quality.table(found))


def _bits(options: argparse.Namespace) -> None:
    from eval.bench import Bench

    _writable(options.json)
    bench = Bench(options.device, options.threads, None, options.dtype)
    found = bench.bits(bench.recipe(options.recipe))
    for kind, by_language in found.items():
        print(f"{kind:8}" + "  ".join(f"{language} {value:.3f}" for language, value in by_language.items()))
    _write_json(options.json, {"recipe": options.recipe, "bits_per_byte": found})


def _instant(options: argparse.Namespace) -> None:
    from eval import calibration
    from eval.bench import Bench, read_recipes

    if options.calibrate == (options.recipe is not None):
        raise EvalError("Give a recipe or checkpoint, or --calibrate.")
    _writable(options.json)
    bench = Bench(options.device, options.threads, None, options.dtype)
    if options.calibrate:
        made = bench.calibrate(read_recipes(options.recipes), _show)
        calibration.keep(made)
        print(f"{made.scoring}, {made.recipes} recipes, in {calibration.path()}")
        for name, line in made.lines.items():
            print(f"  {name:14}from {line.leaning:10} r = {line.correlation:+.2f}, off by {line.error:.2f} (left out)")
        return
    found = bench.instant(bench.recipe(options.recipe))
    for name, measure in found.measures.items():
        print(
            f"{name:10}{_cell(measure):>22}  "
            + "  ".join(f"{c} {e.value:+.2f}" for c, e in measure.by_language.items())
        )
    known = calibration.calibration_of(found)
    estimates = known.estimates(found) if known else {}
    for name, one in estimates.items():
        print(f"{name:14}about {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]")
    values = {name: measure.to_json() for name, measure in found.measures.items()}
    _write_json(
        options.json, {"recipe": found.recipe, "tier": found.tier, "seconds": found.seconds, "measures": values}
    )


def _judge(options: argparse.Namespace) -> None:
    print(judging.judge_rows(options, _show))


def _show(done: int, total: int, text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:4} of {total}  {text:40}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _table(found: Sequence[Measurement]) -> str:
    lines = [f"{'':34}" + "".join(f"{name:>22}" for name in MEASURES)]
    for one in found:
        cells = "".join(f" {_cell(one.measures[name]):>21}" for name in MEASURES)
        lines.append(f"{one.label[:33]:34}{cells}   {one.seconds:.1f} s, n = {one.measures['harm'].n}")
    return "\n".join(lines)


def _cell(measure: Measure) -> str:
    if measure.value is None or measure.low is None or measure.high is None:
        return "undefined"
    mark = f" ({','.join(measure.over)})" if measure.over else ""
    form = ".0f" if max(abs(measure.low), abs(measure.high)) > 2 else ".2f"  # a percentage needs no decimals
    return f"{measure.value:{form}} [{measure.low:{form}}, {measure.high:{form}}]{mark}"


def _paired_table(a: Measurement, b: Measurement, reference: Measurement | None, probe: ProbeSet) -> str:
    lines = [f"\n{a.label} against {b.label}, paired on the same items:"]
    for measure, found in {**{name: a.measures[name] for name in MEASURES}, **report.halves(a, probe)}.items():
        for language in (None, *found.by_language):
            got = compare(a, b, measure, language, reference=reference, probe=probe)
            where = f"  {measure:14}{language or 'all':5}"
            if got.difference is None:
                lines.append(f"{where}undefined: {got.reason}")
                continue
            needed = f"; {got.items_needed} items would tell" if got.items_needed else ""
            lines.append(
                f"{where}{got.difference:+8.2f} [{got.low:+.2f}, {got.high:+.2f}]  {got.word}{needed}"
                f" (n = {got.n}, smallest difference these items can tell: {got.detectable:.2f})"
            )
    return "\n".join(lines)


def _writable(path: Path | None) -> None:
    """Find out before the work, not after it."""
    if path is not None and not path.parent.is_dir():
        raise EvalError(f"There is no folder {path.parent} to write {path.name} to.")


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is None:
        return
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
