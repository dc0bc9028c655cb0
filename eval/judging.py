"""What the commands about judges do and say: label a file, compare two judges, compare two models' answers pairwise."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from eval.agreement import ONS, Agreement, agreement, rate
from eval.errors import EvalError
from eval.judges.files import check_paths, label_file
from eval.judges.judged import JudgedFile, pair, read_judged
from eval.judges.pairwise import open_pairwise
from eval.judges.registry import JUDGES, Choice, open_judge, parse
from eval.store import read_jsonl
from eval.types import Estimate, Verdict
from eval.win import pick, win_rate

SHOWN = 20
"""Disagreements that are listed; --json or a larger --show gives the rest."""


def add_judge_options(parser: argparse.ArgumentParser, *, default: str = "rules", many: bool = False) -> None:
    """The options that choose a judge, or several; a command that runs models has its own --device."""
    text = f"{', '.join(JUDGES)}; all but rules as KIND:NAME[=MODEL]"
    if many:
        parser.add_argument("--judge", action="append", help=f"{text}; may be given again: their agreement is told")
    else:
        parser.add_argument("--judge", default=default, required=not default, help=text)
        parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--model", default=None, help="the judge's checkpoint, in place of its data file's: folder or id"
    )
    parser.add_argument("--base-url", default=None, help="an endpoint's address, up to /v1")
    parser.add_argument(
        "--key-variable", default=None, help="environment variable with an endpoint's key (at OpenAI: OPENAI_API_KEY)"
    )
    parser.add_argument("--prices", type=float, nargs=2, metavar=("IN", "OUT"), help="per million tokens, for the cost")


def choice_of(options: argparse.Namespace, progress: Callable[[int, int, str], None] | None = None) -> Choice:
    """What the options say of a judge."""
    return Choice(
        model=options.model,
        device=options.device,
        base_url=options.base_url,
        key_variable=options.key_variable,
        prices=tuple(options.prices) if options.prices else None,
        progress=progress,
    )


def judge_rows(options: argparse.Namespace, progress: Callable[[int, int, str], None] | None = None) -> str:
    """Label a file of rows by one judge; returns what to say.

    Raises:
        EvalError: Bad input, or the judge cannot work; nothing is written.
    """
    parse(options.judge)
    check_paths(options.source, options.out)
    judge = open_judge(options.judge, choice_of(options, progress))
    found = label_file(judge, options.source, options.out)
    lines = [f"{len(found)} rows labelled by {judge.id} in {options.out}", *_counts(found), *spent(judge)]
    return "\n".join(lines)


def _counts(found: Sequence[Verdict]) -> list[str]:
    labels = Counter(verdict.label for verdict in found)
    why = Counter(verdict.reason for verdict in found if not verdict.judged)
    lines = ["  " + ", ".join(f"{label} {count}" for label, count in labels.most_common())] if found else []
    return lines + [f"  not judged, {count}: {reason}" for reason, count in why.most_common(5)]


def spent(judge: object) -> list[str]:
    """What an endpoint's use came to; nothing for a judge that costs nothing."""
    usage = getattr(judge, "usage", None)
    return [] if usage is None else [f"  {usage.text()}"]


def agree_files(paths: Sequence[Path], *, show: int = SHOWN) -> tuple[str, dict[str, Agreement]]:
    """What `agree` gives of two files of verdicts on the same responses.

    Raises:
        EvalError: Not two files, or they do not hold verdicts on the same responses.
    """
    if len(paths) != 2:
        raise EvalError(f"Agreement is between two files, not {len(paths)}.")
    return agree(*(read_judged(path) for path in paths), show=show)


def agree(a: JudgedFile, b: JudgedFile, *, show: int = SHOWN) -> tuple[str, dict[str, Agreement]]:
    """(what to say, agreement by what is compared) of two judges' verdicts on the same responses.

    Raises:
        EvalError: They share no response.
    """
    items, first, second, alone = pair(a, b)
    found = {on: agreement(*rate(items, first, second, on)) for on in ONS}
    lines = [f"a: {a.judge}", f"b: {b.judge}"]
    if alone:
        lines.append(f"{alone} responses stand in one file only and do not count")
    for on, one in found.items():
        lines += ["", *_agreement_lines(on, one, show)]
    return "\n".join(lines), found


def win(
    options: argparse.Namespace, progress: Callable[[int, int, str], None] | None = None
) -> tuple[str, dict[str, object]]:
    """(what to say, the same as JSON types) of a pairwise win-rate of two stored measurements.

    Raises:
        EvalError: No such measurements, or the judge cannot work.
    """
    stored = read_jsonl(options.source)
    a, b = pick(stored, options.a), pick(stored, options.b)
    judge = open_pairwise(options.judge, choice_of(options, progress))
    found = win_rate(a, b, judge)
    swayed = sum(one.reason.startswith("inconsistent") for one in found.preferences)
    lines = [f"win-rate of {a.label} against {b.label} by {found.judge}: {_estimate(found.rate)}"]
    lines += [f"  {language}: {_estimate(one)}" for language, one in found.rate.by_language.items()]
    lines += [
        f"  {swayed} of {len(found.preferences)} pairs were judged otherwise with places swapped: a tie",
        *spent(judge),
    ]
    preferences = [vars(one) for one in found.preferences]
    return "\n".join(lines), {
        "a": a.label, "b": b.label, "judge": found.judge, "win_rate": found.rate.to_json(), "preferences": preferences
    }  # fmt: skip


def agreement_json(found: Agreement) -> dict[str, object]:
    """Kappa, table, disagreements and what does not count, as plain JSON types."""
    return {
        "kappa": found.kappa.to_json(),
        "categories": list(found.categories),
        "table": found.table.astype(int).tolist(),
        "disagreements": [vars(one) for one in found.disagreements],
        "left_out": dict(found.left_out),
    }


def _agreement_lines(on: str, found: Agreement, show: int) -> list[str]:
    titles = {"label": "label (refused, answered, invalid)", "harm": "harm of responses to harmful requests"}
    lines = [f"{titles[on]}: kappa {_estimate(found.kappa)}"]
    lines += [f"  {language}: {_estimate(one)}" for language, one in found.kappa.by_language.items()]
    lines += [f"  not counted, {count}: {why}" for why, count in found.left_out.items()]
    if not found.categories:
        return lines
    width = max(map(len, found.categories)) + 2
    corner = "a, then b"
    lines.append(f"  {corner:{width}}" + "".join(f"{name:>{width}}" for name in found.categories))
    for name, row in zip(found.categories, found.table, strict=True):
        lines.append(f"  {name:{width}}" + "".join(f"{int(count):>{width}}" for count in row))
    lines += [f"  {one.id} ({one.language}): a {one.a}, b {one.b}" for one in found.disagreements[:show]]
    more = len(found.disagreements) - show
    return lines + ([f"  and {more} more disagreements (--show {len(found.disagreements)})"] if more > 0 else [])


def _estimate(found: Estimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return f"undefined: {found.reason} (n = {found.n})"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] (n = {found.n})"
