"""Merge a recipe to a folder: `python -m merging RECIPE.yaml OUT [--device D] [--threads N]`."""

import argparse
import sys
from pathlib import Path

from merging.errors import MergeError
from merging.recipe import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when the folder is written, 2 with one sentence on stderr when something must be mended."""
    parser = argparse.ArgumentParser(prog="python -m merging", description="Merge a mergekit recipe to a model folder.")
    parser.add_argument("recipe", type=Path, help="YAML file; paths in it are relative to the working directory")
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument(
        "--threads", type=int, default=None, help="threads of the arithmetic; the result does not depend on it"
    )
    given = parser.parse_args(arguments)
    try:
        if given.threads is not None and given.threads < 1:
            raise MergeError(f"--threads is {given.threads}: it must be 1 or more.")
        recipe = Recipe.from_yaml(given.recipe)
        for note in recipe.notes():
            print(note, file=sys.stderr)
        from merging.offline import merge_to_folder

        out = merge_to_folder(recipe, given.out, device=given.device, threads=given.threads, progress=_show)
    except MergeError as error:
        print(f"{'' if not sys.stderr.isatty() else chr(13)}error: {error}", file=sys.stderr)
        return 2
    print(out)
    return 0


def _show(share: float, name: str) -> None:
    if sys.stderr.isatty():
        end = "\n" if share == 1 else ""
        print(f"\r{share:6.1%} {name[:90]:<90}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
