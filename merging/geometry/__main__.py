"""Print the geometry of checkpoints around their base: `python -m merging.geometry BASE MODEL MODEL... [--json]`."""

import argparse
import json
import math
import sys
from dataclasses import asdict
from typing import Any

from merging.errors import MergeError
from merging.geometry import Geometry, geometry

WIDTH = 10


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when it is printed, 2 with one sentence on stderr when something must be mended."""
    parser = argparse.ArgumentParser(
        prog="python -m merging.geometry",
        description="How far models moved from their base, and whether they agree, layer by layer.",
    )
    parser.add_argument("base", help="the common ancestor: zoo:..., a folder, a hub id")
    parser.add_argument("models", nargs="+", help="its descendants")
    parser.add_argument("--json", action="store_true", help="print JSON, with null for what is undefined")
    given = parser.parse_args(arguments)
    try:
        from merging.pool import Pool

        found = geometry(given.base, given.models, Pool(resident=False))
    except MergeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(_plain(asdict(found)), ensure_ascii=False) if given.json else table(found))
    return 0


def _plain(tree: Any) -> Any:
    """The same tree with None for what JSON cannot hold."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def table(found: Geometry) -> str:
    """The figures as text: a row for each group, a column for each model and two for each pair."""
    names = [f"{chr(97 + i % 26)}{i // 26 or ''}" for i in range(len(found.models))]
    pairs = [f"{names[one]}·{names[two]}" for one, two in found.pairs]
    heads = [f"|{n}|/|base|" for n in names] + [f"cos {p}" for p in pairs] + [f"signs {p}" for p in pairs]
    columns = [
        ["-" if math.isnan(value) else f"{value:{form}}" for value in (*column, total)]
        for form, columns, totals in (
            (".3g", found.norms, found.total.norms),
            (".3f", found.cosines, found.total.cosines),
            (".3f", found.conflicts, found.total.conflicts),
        )
        for column, total in zip(columns, totals, strict=True)
    ]
    labels = [*found.groups, "all"]
    left = max(map(len, labels))
    lines = [f"base = {found.base}"]
    lines += [f"{name} = {model}" for name, model in zip(names, found.models, strict=True)]
    lines += ["norms of the task vectors, cosines between them, share of shared changes with opposite signs", ""]
    lines.append(" ".join([" " * left, *(f"{head:>{WIDTH}}" for head in heads)]))
    for row, label in enumerate(labels):
        lines.append(" ".join([f"{label:<{left}}", *(f"{column[row]:>{WIDTH}}" for column in columns)]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
