"""mergekit's merge of tensors in memory: `python live_worker.py THREADS BASE FIRST SECOND`, a method a line on stdin.

For each it merges once and prints the seconds. Runs in an environment with `benchmarks/requirements.txt`.
"""

import sys
import time
from pathlib import Path

import torch
from mergekit.merge_methods.api import merge_state_dicts
from safetensors.torch import load_file


def main() -> None:
    """Serve until stdin ends."""
    torch.set_num_threads(int(sys.argv[1]))
    base, first, second = (load_file(Path(name) / "model.safetensors") for name in sys.argv[2:5])
    half = {"weight": [0.5, 0.6], "density": [0.5, 0.5]}
    for line in sys.stdin:
        method = line.strip()
        start = time.perf_counter()
        if method == "linear":
            merge_state_dicts([first, second], "linear", parameters={"weight": [0.5, 0.6]})
        elif method == "slerp":
            merge_state_dicts({"a": first, "b": second}, "slerp", parameters={"t": 0.4}, base="a")
        else:
            merge_state_dicts({"o": base, "a": first, "b": second}, method, parameters=half, base="o")
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
