"""Merge a recipe to a folder: `python -m merging RECIPE.yaml OUT`; check one: `python -m merging --verify FOLDER`."""

import argparse
import re
import sys
from pathlib import Path

from merging.errors import MergeError
from merging.recipe import Recipe

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when the folder is written, or is as its manifest says; 1 when it is not; 2 with one sentence on stderr when
        something must be mended; 130 when it was stopped.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.verify and (given.recipe is None or given.out is None):
        parser.error("name a RECIPE and a folder OUT, or --verify FOLDER")
    try:
        return _verify(given.verify) if given.verify else _merge(given)
    except MergeError as error:
        print(f"{'' if not sys.stderr.isatty() else chr(13)}error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on after the last finished file", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m merging", description="Merge a mergekit recipe to a model folder.")
    parser.add_argument("recipe", type=Path, nargs="?", help="YAML file; paths in it are relative to where you are")
    parser.add_argument(
        "out", type=Path, nargs="?", help="folder to write; must not exist or be empty; a run that was cut off goes on"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument(
        "--threads", type=int, default=None, help="threads of the arithmetic; the result does not depend on it"
    )
    parser.add_argument("--shard-size", default="5GB", help="most bytes of a file: 5GB (default), 500MB, 2GiB")
    parser.add_argument("--verify", type=Path, metavar="FOLDER", help="check a written folder against its manifest")
    return parser


def _merge(given: argparse.Namespace) -> int:
    if given.threads is not None and given.threads < 1:
        raise MergeError(f"--threads is {given.threads}: it must be 1 or more.")
    shard_bytes = byte_count(given.shard_size)
    recipe = Recipe.from_yaml(given.recipe)
    for note in recipe.notes():
        print(note, file=sys.stderr)
    from merging.offline import merge_to_folder

    out = merge_to_folder(
        recipe, given.out, device=given.device, threads=given.threads, progress=_show, shard_bytes=shard_bytes
    )
    print(out)
    return 0


def _verify(folder: Path) -> int:
    from merging.manifest import verify

    problems = verify(folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{folder}: every file is as the manifest says")
    return 1 if problems else 0


def byte_count(text: str) -> int:
    """Bytes from words such as 5GB, 500 MB, 2GiB.

    Raises:
        MergeError: It is no such word, or nothing.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        raise MergeError(f"--shard-size is {text!r}: write a number of bytes, or one with a unit such as 500MB or 2GB.")
    return int(float(found[1]) * unit)


def _show(share: float, name: str) -> None:
    if sys.stderr.isatty():
        end = "\n" if share == 1 else ""
        print(f"\r{share:6.1%} {name[:90]:<90}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
