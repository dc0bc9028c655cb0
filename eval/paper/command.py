"""`python -m eval paper`: the whole comparison of merging against mixing, resumable.

    python -m eval paper --out assets/paper               screen, choose, measure, tabulate; goes on after a stop
    python -m eval paper --out assets/paper --dry-run     what is left to do, and about how long it takes
    python -m eval paper --out assets/paper --only a,c    some tables alone
    python -m eval paper --out assets/paper --tables      the tables again from what is there; no model is needed

The folder's plan.yaml says what is compared: change the names in a copy for another family of models.
"""

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from eval.errors import PaperError
from eval.paper.plan import read_plan
from eval.paper.published import FOLDER
from eval.paper.tables import TITLES, Found
from eval.paper.work import PLAN, TABLES, Comparison, Tell, outlook
from eval.types import DTYPES


def run(arguments: Sequence[str], tell: Tell) -> None:
    """Run the command.

    Raises:
        EvalError: Bad input, in one sentence; nothing was written.
        MergeError: The base cannot be loaded.
    """
    options = _parser().parse_args(arguments)
    only = _tables(options.only)
    comparison = Comparison(read_plan(_plan(options)), options.out, only, tell=tell)
    if options.dry_run:
        for line in outlook(comparison):
            tell(line)
        return
    _keep_plan(options)
    for why in dict.fromkeys(comparison.missing.values()):
        tell(f"{why} Its rows stay empty.")
    if not options.tables:
        from eval.paper.bench import PaperBench  # torch: only once the request is known to be sound

        comparison.bench = PaperBench(comparison.plan, options.device, options.threads, options.store, options.dtype)
        if options.limit is not None:
            comparison.deadline = time.monotonic() + 60 * options.limit
    tell(_summary(comparison.run(), options.out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of plan, measurements and tables")
    parser.add_argument("--plan", type=Path, default=None, help="the plan (default: plan.yaml in that folder)")
    parser.add_argument("--only", default="", help=f"tables to work on, e.g. a,c (of {', '.join(TITLES)})")
    parser.add_argument("--limit", type=float, default=None, metavar="MINUTES", help="begin no recipe after so long")
    parser.add_argument("--dry-run", action="store_true", help="say what is left to do and how long it would take")
    parser.add_argument("--tables", action="store_true", help="only make the tables again from what is there")
    parser.add_argument("--store", type=Path, default=None, help="full measurements are kept here")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="in which dtype passes run")
    return parser


def _tables(text: str) -> tuple[str, ...]:
    only = tuple(name for name in text.replace(" ", "").split(",") if name)
    if unknown := [name for name in only if name not in TITLES]:
        raise PaperError(f"There is no table {unknown[0]!r}. Known: {', '.join(TITLES)}.")
    return only


def _plan(options: argparse.Namespace) -> Path:
    return options.plan or (options.out / PLAN if (options.out / PLAN).is_file() else FOLDER / PLAN)


def _keep_plan(options: argparse.Namespace) -> None:
    """The plan belongs beside what was measured by it."""
    source, target = _plan(options), options.out / PLAN
    options.out.mkdir(parents=True, exist_ok=True)
    if source.resolve() != target.resolve():
        shutil.copyfile(source, target)


def _summary(found: Found, out: Path) -> str:
    left = len(found.choice.chosen) - len(found.kept)
    return f"{len(found.kept)} recipes are measured, {max(left, 0)} are left; tables in {out / TABLES}"
