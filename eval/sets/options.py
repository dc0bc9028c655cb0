"""The options of a command line that choose a set or a part of it."""

import argparse
from pathlib import Path

from eval import probes
from eval.errors import ProbeError
from eval.sets import own, report
from eval.sets.request import Request

MOST_PROBLEMS = 20
"""Of an own probe, listed at once."""


def add(parser: argparse.ArgumentParser) -> None:
    """Give a parser --languages, --category, --sample and --seed."""
    parser.add_argument("--languages", default=None, help="only these, as en,fr")
    parser.add_argument("--category", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--sample", type=int, default=None, help="at most so many items of a kind in a language")
    parser.add_argument("--seed", type=int, default=None, help="which sample (default 0)")


def asked(options: argparse.Namespace) -> str:
    """The set that the options ask for, as the text that `eval.probes.load` reads.

    Raises:
        ProbeError: An option is out of range.
    """
    return str(
        Request.parse(options.probe).with_options(
            languages=options.languages,
            categories=tuple(options.category),
            sample=options.sample,
            seed=options.seed,
        )
    )


def checked(options: argparse.Namespace) -> str:
    """What the set that is asked for holds, and how precise it can be.

    Raises:
        ProbeError: An own file is not right; the text lists its problems, one a line.
    """
    path = Path(options.probe)
    problems = own.check(path)[1] if own.is_own(path) else []
    if problems:
        more = [f"... and {len(problems) - MOST_PROBLEMS} more."] if len(problems) > MOST_PROBLEMS else []
        raise ProbeError("\n".join([*problems[:MOST_PROBLEMS], *more]))
    return report.contents(probes.load(asked(options)))
