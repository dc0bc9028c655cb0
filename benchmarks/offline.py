"""Merging to disk against mergekit 0.1.5, by turns in one run: wall time, processor time, peak memory, and the results.

    python -m benchmarks.offline --mergekit-python PATH [--rounds N] [--layers N] [--shard-bytes N] [--json OUT]

PATH is the interpreter of an environment with `benchmarks/requirements.txt`; mergekit never enters the app's own.
Every merge runs in a fresh process with one thread and writes to the same disk, ours and mergekit's alternately; before
each, both read the sources once, so that they lie in the page cache for both (`--cold` drops them for both instead).
Seconds are those of the merge inside the process, the imports before it are told apart. mergekit computes in the
recipe's dtype, bfloat16, as its users run it. Both results are compared with `benchmarks.reference`, plain float64
rounded once. DARE is random: what is compared there is the length of the merged change.
"""

import argparse
import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks.reference import REFERENCES

WIDTH, INNER, WORDS, KEYS = 1024, 3648, 32_000, 256
WORKER = Path(__file__).with_name("offline_worker.py")
ASKED = {"linear": 1.0, "slerp": 2.5, "dare_ties": 6.0, "ties": 10.0}  # how many times faster we want to be
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def synthetic(folder: Path, layers: int, shard_bytes: int) -> list[str]:
    """Three bfloat16 Llama checkpoints with tied heads: a base and two descendants that differ from it everywhere."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": layers, "num_attention_heads": 16, "num_key_value_heads": KEYS // 64, "vocab_size": WORDS,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    }  # fmt: skip
    parts = {
        "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (KEYS, WIDTH), "self_attn.v_proj": (KEYS, WIDTH),
        "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER), "input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,),
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (WORDS, WIDTH), "model.norm.weight": (WIDTH,)}
    shapes |= {f"model.layers.{i}.{name}.weight": shape for i in range(layers) for name, shape in parts.items()}
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator).mul_(0.02) for name, shape in shapes.items()}
    for name, step in (("base", 0.0), ("a", 0.003), ("b", 0.003)):
        moved = {n: t + step * torch.randn(t.shape, generator=generator) if step else t for n, t in base.items()}
        save(folder / name, config, {n: t.bfloat16() for n, t in moved.items()}, shard_bytes)
    return [str(folder / name) for name in ("base", "a", "b")]


def save(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], shard_bytes: int) -> None:
    """Write a model, in files of about `shard_bytes`."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    files: list[dict[str, torch.Tensor]] = [{}]
    for name, tensor in tensors.items():
        if files[-1] and sum(t.nbytes for t in files[-1].values()) + tensor.nbytes > shard_bytes:
            files.append({})
        files[-1][name] = tensor
    places = {}
    for number, members in enumerate(files, 1):
        file = "model.safetensors" if len(files) == 1 else f"model-{number:05}-of-{len(files):05}.safetensors"
        save_file(members, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(members, file)
    if len(files) > 1:
        total = sum(tensor.nbytes for tensor in tensors.values())
        tree = {"metadata": {"total_size": total}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(tree))


def recipes(base: str, first: str, second: str) -> dict[str, dict[str, Any]]:
    """A recipe of each method, as mergekit's users write them."""

    def pair(**parameters: float) -> list[dict[str, Any]]:
        return [{"model": name, "parameters": dict(parameters)} for name in (first, second)]

    trees: dict[str, dict[str, Any]] = {
        "linear": {"models": pair(weight=0.5)},
        "slerp": {"models": [{"model": first}, {"model": second}], "base_model": first, "parameters": {"t": 0.4}},
        "dare_ties": {"models": pair(weight=0.5, density=0.5), "base_model": base},
        "ties": {"models": pair(weight=0.5, density=0.5), "base_model": base},
    }
    return {name: {"merge_method": name, **tree, "dtype": "bfloat16"} for name, tree in trees.items()}


def prepare_cache(models: list[str], *, cold: bool) -> None:
    """Read the sources once, or drop them from the page cache; the same before every merge of either tool."""
    os.sync()
    for file in sorted(file for model in models for file in Path(model).glob("*.safetensors")):
        with file.open("rb", buffering=0) as stream:
            if cold:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            buffer = bytearray(1 << 24)
            while not cold and stream.readinto(buffer):
                pass


def merge(python: str, tool: str, tree: Mapping[str, Any], out: Path, shard_bytes: int) -> dict[str, float]:
    """One merge in a fresh process.

    Raises:
        SystemExit: It failed; the process's own words are shown.
    """
    recipe = out.with_suffix(".yaml")
    recipe.write_text(json.dumps(tree))  # JSON is YAML
    command = [python, str(WORKER), tool, str(recipe), str(out), str(shard_bytes)]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool} failed on {tree['merge_method']}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def tensors_of(folder: Path) -> dict[str, Any]:
    """The opened file of each tensor of a model."""
    files = [safe_open(file, "pt") for file in sorted(folder.glob("*.safetensors"))]
    return {name: file for file in files for name in list(file.keys())}


def difference(out: Path, models: list[str], tree: Mapping[str, Any]) -> dict[str, float | None]:
    """How far a written model is from the reference: largest difference, share of other elements, length of the change.

    Raises:
        SystemExit: It does not hold the tensors of its base.
    """
    opened = [tensors_of(one) for one in (out, *map(Path, models))]
    if set(opened[0]) != set(opened[1]):
        raise SystemExit(f"{out} does not hold the tensors of {models[0]}.")
    largest = other = count = length = 0.0
    for name in sorted(opened[0]):
        made, base, first, second = (tensors[name].get_tensor(name) for tensors in opened)
        length += (made.double() - base.double()).square().sum().item()
        if tree["merge_method"] in REFERENCES:
            exact = REFERENCES[tree["merge_method"]](base, first, second).float().bfloat16()
            largest = max(largest, (made.float() - exact.float()).abs().max().item())
            other += (made != exact).sum().item()
            count += made.numel()
    return {"largest": largest, "other": other / count if count else None, "change": math.sqrt(length)}


def measure(python: str, models: list[str], folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per method: the rounds of both tools, best and median ratios, and how the results compare."""
    rows = []
    for method, tree in recipes(*models).items():
        if method not in given.methods:
            continue
        rounds: dict[str, list[dict[str, float]]] = {"ours": [], "mergekit": []}
        outs = {tool: folder / f"out-{tool}" for tool in rounds}
        for number in range(given.rounds):
            for tool in list(rounds)[:: 1 if number % 2 else -1]:  # who begins takes turns too
                shutil.rmtree(outs[tool], ignore_errors=True)
                prepare_cache(models, cold=given.cold)
                interpreter = sys.executable if tool == "ours" else python
                rounds[tool].append(merge(interpreter, tool, tree, outs[tool], given.shard_bytes))
        results = {tool: difference(outs[tool], models, tree) for tool in rounds}
        rows.append({"method": method, **ratios(rounds), "results": results, "rounds": rounds})
        show_row(rows[-1])
        for out in outs.values():
            shutil.rmtree(out)
    return rows


def ratios(rounds: Mapping[str, list[dict[str, float]]]) -> dict[str, float]:
    """The figure of mergekit over ours: of the best rounds, of the medians, and of the medians of processor time."""

    def over(key: str, pick: Any) -> float:
        return pick([r[key] for r in rounds["mergekit"]]) / pick([r[key] for r in rounds["ours"]])

    return {
        "best": over("seconds", min), "median": over("seconds", statistics.median),
        "cpu": over("cpu_seconds", statistics.median), "memory": over("peak", max),
    }  # fmt: skip


def show_head() -> None:
    """Print the head of the table."""
    print(
        f"{'':10}{'wall seconds, best (median)':^37}{'times faster':^30}{'peak MiB':^17}"
        f"{'not as float64':^19}{'change':^16}"
    )
    print(
        f"{'method':10}{'ours':>18}{'mergekit':>18} {'best':>8}{'median':>8}{'cpu':>6}{'asked':>7}"
        f"{'ours':>8}{'mergekit':>10}{'ours':>9}{'mergekit':>10}{'ours':>8}{'mergekit':>10}"
    )


def show_row(row: Mapping[str, Any]) -> None:
    """Print one row."""
    cells = []
    for tool in ("ours", "mergekit"):
        took = [r["seconds"] for r in row["rounds"][tool]]
        cells.append(f"{min(took):.2f} ({statistics.median(took):.2f})")
    peaks = [max(r["peak"] for r in row["rounds"][tool]) / 2**20 for tool in ("ours", "mergekit")]
    shares = [row["results"][tool]["other"] for tool in ("ours", "mergekit")]
    other = ["random" if share is None else f"{100 * share:.2f}%" for share in shares]
    change = [row["results"][tool]["change"] for tool in ("ours", "mergekit")]
    asked = ASKED[row["method"]]
    print(
        f"{row['method']:10}{cells[0]:>18}{cells[1]:>18} {row['best']:7.1f}x{row['median']:7.1f}x{row['cpu']:5.1f}x"
        f"{asked:6.1f}x{peaks[0]:8.0f}{peaks[1]:10.0f}{other[0]:>9}{other[1]:>10}{change[0]:8.2f}{change[1]:10.2f}",
        flush=True,
    )


def machine() -> dict[str, Any]:
    """The machine in words."""
    return {
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mergekit-python", default=None, help="interpreter of an environment with mergekit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=16, help="layers of the models (16: 254 M parameters)")
    parser.add_argument("--methods", nargs="+", choices=ASKED, default=list(ASKED))
    parser.add_argument("--shard-bytes", type=int, default=5 * 10**9, help="most bytes of a file, of sources too")
    parser.add_argument("--cold", action="store_true", help="drop the sources from the page cache before each merge")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="write all figures to this file")
    given = parser.parse_args()
    python = given.mergekit_python or (sys.executable if importlib.util.find_spec("mergekit") else None)
    if python is None:
        raise SystemExit("mergekit is not installed here: name an interpreter that has it by --mergekit-python.")
    before = machine()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        models = synthetic(Path(name), given.layers, given.shard_bytes)
        show_head()
        rows = measure(python, models, Path(name), given)
    if given.json:
        settings = {"layers": given.layers, "shard_bytes": given.shard_bytes, "cold": given.cold}
        tree = {"machine": before, "settings": settings, "threads": 1, "rows": rows}
        given.json.write_text(json.dumps(tree, indent=1) + "\n")


if __name__ == "__main__":
    main()
