"""One merge to disk in a fresh process: `python offline_worker.py TOOL RECIPE.yaml OUT SHARD_BYTES`.

TOOL is `ours` or `mergekit`. Prints one JSON line: seconds of wall and processor time of the merge, of the imports (and
compiled loops) before it, and the process's peak resident memory in bytes after the imports and at the end. Only one of
the two is imported, so that this file runs in an environment that has but one of them.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

START = time.perf_counter()


def ours(recipe: str, out: str, shard_bytes: int) -> Callable[[], object]:
    """The merge of this repository, ready to run."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from merging import Recipe, fused, merge_to_folder

    torch.set_num_threads(1)
    fused.wait()  # the compiled loops are code that is loaded, as the imports are
    return lambda: merge_to_folder(Recipe.from_yaml(Path(recipe)), out, threads=1, shard_bytes=shard_bytes)


def mergekit(recipe: str, out: str, shard_bytes: int) -> Callable[[], object]:
    """The merge of mergekit, ready to run: its defaults, but for the size of a file."""
    import torch
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    torch.set_num_threads(1)
    config = MergeConfiguration.model_validate(yaml.safe_load(Path(recipe).read_text(encoding="utf-8")))
    options = MergeOptions(out_shard_size=shard_bytes, quiet=True, num_threads=1)
    return lambda: run_merge(config, out, options=options)


def peak() -> int:
    """Most bytes that were resident at once, mapped files among them."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a process that was forked starts at that of its parent
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run one merge."""
    tool, recipe, out, shard_bytes = sys.argv[1:]
    run = {"ours": ours, "mergekit": mergekit}[tool](recipe, out, int(shard_bytes))
    found = {"import_seconds": time.perf_counter() - START, "import_peak": peak()}
    wall, work = time.perf_counter(), time.process_time()
    run()
    found |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - work, "peak": peak()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
