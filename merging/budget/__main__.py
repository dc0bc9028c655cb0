"""Say what a live merge will hold: `python -m merging.budget RECIPE.yaml [--device D] [--slots N]`."""

import argparse
import sys
from pathlib import Path

from merging.budget import memory_plan
from merging.errors import MergeError
from merging.pool import Pool
from merging.recipe import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 where the recipe fits, 2 with one sentence on stderr where it does not."""
    parser = argparse.ArgumentParser(prog="python -m merging.budget", description="Say what a live merge will hold.")
    parser.add_argument("recipe", type=Path, help="YAML file; paths in it are relative to the working directory")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--slots", type=int, default=1, help="live models on the same checkpoints (the app has two)")
    given = parser.parse_args(arguments)
    try:
        plan = memory_plan(Recipe.from_yaml(given.recipe), Pool(given.device), slots=given.slots)
    except MergeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(plan.words())
    return 0


if __name__ == "__main__":
    sys.exit(main())
