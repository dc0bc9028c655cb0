"""Measure from a terminal.

    python -m eval RECIPE_OR_MODEL [--probe quick] [--json OUT.json]   measure a recipe file or one checkpoint
    python -m eval compare A B [--probe quick]                         both, and how they differ on the same items
    python -m eval landmarks [--dtype D] [--out FILE.jsonl]            measure what is shipped with the page, again
    python -m eval rejudge [--out FILE.jsonl]                          judge the shipped responses by the rules of today
    python -m eval bits RECIPE_OR_MODEL [--json OUT.json]              bits per byte of held-out text by language
    python -m eval judge --judge rules --in FILE.jsonl --out FILE.jsonl

Bad input is answered by one sentence and exit status 2; nothing is written then.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eval.errors import EvalError
from eval.metrics import compare
from eval.types import DTYPES, MEASURES, Measure, Measurement
from merging.errors import MergeError

COMMANDS = ("judge", "compare", "landmarks", "rejudge", "bits")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "assets" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
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
    }
    try:
        run[name](options)
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
        parser.add_argument("--judge", default="rules", help="which judge (rules)")
        parser.add_argument("--in", dest="source", type=Path, required=True, help="rows to label, JSONL")
        parser.add_argument("--out", type=Path, required=True, help="the same rows with a label, JSONL")
        return parser
    if name == "rejudge":
        parser.add_argument(
            "--out", type=Path, default=None, help="the file, rewritten in place (default: all shipped)"
        )
        return parser
    if name == "compare":
        parser.add_argument("a", help="recipe file or checkpoint")
        parser.add_argument("b", help="recipe file or checkpoint it is compared with")
    elif name == "landmarks":
        parser.add_argument("--recipes", type=Path, default=RESULTS / "recipes.yaml", help="what to measure")
        parser.add_argument("--out", type=Path, default=None, help="where to (default: what is shipped for the dtype)")
    else:
        parser.add_argument("recipe", help="recipe file (.yaml) or one checkpoint (zoo:..., folder, hub id)")
    if name in ("probe", "compare"):
        parser.add_argument("--probe", default="quick", help="probe set by name, or a .jsonl file")
        parser.add_argument("--store", type=Path, default=None, help="measurements are kept here")
    if name in ("probe", "bits"):
        parser.add_argument("--json", type=Path, default=None, help="also write the result here")
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
    bench = Bench(options.device, options.threads, options.store, options.dtype)
    found = bench.measure(bench.recipe(options.recipe), options.probe, _show)
    print(_table([found]))
    _write_json(options.json, found.summary())


def _compare(options: argparse.Namespace) -> None:
    from eval.bench import Bench

    bench = Bench(options.device, options.threads, options.store, options.dtype)
    recipes = [bench.recipe(name) for name in (options.a, options.b)]
    a, b = (bench.measure(recipe, options.probe, _show) for recipe in recipes)
    print(_table([a, b]))
    print(_paired_table(a, b, bench.reference(recipes[0], options.probe)))


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
    from eval.judges.rules import RuleJudge
    from eval.runner import rejudged
    from eval.store import read_jsonl, write_jsonl

    for path in [options.out] if options.out else shipped.files():
        found = rejudged(read_jsonl(path), RuleJudge())
        write_jsonl(path, found)
        print(f"{path.name}, {found[0].identity.decoding}\n{_table(found)}")


def _bits(options: argparse.Namespace) -> None:
    from eval.bench import Bench

    _writable(options.json)
    bench = Bench(options.device, options.threads, None, options.dtype)
    found = bench.bits(bench.recipe(options.recipe))
    for kind, by_language in found.items():
        print(f"{kind:8}" + "  ".join(f"{language} {value:.3f}" for language, value in by_language.items()))
    _write_json(options.json, {"recipe": options.recipe, "bits_per_byte": found})


def _judge(options: argparse.Namespace) -> None:
    from eval.judges.files import label_file

    print(f"{label_file(options.judge, options.source, options.out)} rows labelled in {options.out}")


def _show(done: int, total: int, text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:4} of {total}  {text:40}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _table(found: Sequence[Measurement]) -> str:
    lines = [f"{'':34}" + "".join(f"{name:>22}" for name in MEASURES)]
    for one in found:
        cells = "".join(f"{_cell(one.measures[name]):>22}" for name in MEASURES)
        lines.append(f"{one.label[:33]:34}{cells}   {one.seconds:.1f} s, n = {one.measures['harm'].n}")
    return "\n".join(lines)


def _cell(measure: Measure) -> str:
    if measure.value is None or measure.low is None or measure.high is None:
        return "undefined"
    form = ".0f" if max(abs(measure.low), abs(measure.high)) > 2 else ".2f"  # a percentage needs no decimals
    return f"{measure.value:{form}} [{measure.low:{form}}, {measure.high:{form}}]"


def _paired_table(a: Measurement, b: Measurement, reference: Measurement | None) -> str:
    lines = [f"\n{a.label} against {b.label}, paired on the same items:"]
    for measure in MEASURES:
        for language in (None, *a.measures[measure].by_language):
            got = compare(a, b, measure, language, reference=reference)
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
