"""Merging to disk takes memory by the largest tensor, not by the model."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from merging import Recipe
from tests.merging import tiny

ROOT = Path(__file__).resolve().parents[2]
PEAK = """
import sys
import torch
from merging import Recipe, fused, merge_to_folder
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
torch.set_num_threads(1)
fused.wait()
small, large, out = sys.argv[1:]
grown = []
for text in (small, large):
    merge_to_folder(Recipe.from_yaml(text), f"{out}/{len(grown)}", threads=1, shard_bytes=2**24)
    grown.append(peak())
print(grown[1] - grown[0])
"""
ROWS = 1 << 17  # embedding of 2 MiB in bfloat16; every layer below adds three such matrices


def trio(folder: Path, layers: int) -> str:
    """The recipe of a TIES merge of models of so many layers, whose tensors are alike in size."""
    names = []
    for number in range(3):
        tensors = tiny.weights(number, torch.bfloat16, layers=layers, vocab=ROWS)
        for layer in range(layers):
            for part in ("gate_proj", "up_proj", "down_proj"):
                tensors[f"model.layers.{layer}.mlp.{part}.weight"] = tensors["model.embed_tokens.weight"].clone()
        config = {"num_hidden_layers": layers, "intermediate_size": ROWS}
        names.append(str(tiny.write_model(folder / f"{layers}-{number}", tensors, **config)))
    pair = [{"weight": 0.5, "density": 0.5}] * 2
    return Recipe.build("ties", models=names[1:], base_model=names[0], per_model=pair).to_yaml()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_four_times_the_model_takes_no_more_memory(tmp_path: Path) -> None:
    small, large = trio(tmp_path, 2), trio(tmp_path, 8)  # 15 and 52 MB a model
    command = [sys.executable, "-c", PEAK, small, large, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 15e6
