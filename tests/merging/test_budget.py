"""What a merge will hold is said before it is loaded; what does not fit is streamed, or refused with the numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Pool, Recipe, budget, merge_to_folder
from merging.errors import TooBigError

ROOT = Path(__file__).resolve().parents[2]


def recipe(family: dict[str, str], method: str = "ties", **knobs: float) -> Recipe:
    own = {"weight": 0.5, **knobs}
    return Recipe.build(method, models=[family["a"], family["b"]], base_model=family["base"], per_model=[own, own])


def bytes_of(folder: str) -> int:
    return sum(tensor.nbytes for tensor in load_file(f"{folder}/model.safetensors").values())


def test_counts_what_the_files_hold(family: dict[str, str]) -> None:
    plan = budget.memory_plan(recipe(family), Pool(), free=1 << 40, slots=2, compute_dtype="float32")
    each = bytes_of(family["base"])
    assert plan.checkpoints == plan.kept == 3 * each
    assert plan.merged == 2 * each * 2  # float32 parameters of bfloat16 checkpoints, two slots
    assert plan.mode == "resident"
    assert plan.total <= plan.free


def test_adapters_share_their_base(family: dict[str, str]) -> None:
    of = Recipe.build("linear", models=[family["base"], family["lora"]], parameters={"weight": 1})
    plan = budget.memory_plan(of, Pool(), free=1 << 40)
    assert plan.checkpoints == bytes_of(family["base"])
    assert plan.memo > 0  # the adapter's weights are added in float32


@pytest.mark.parametrize(
    ("share", "mode"), [pytest.param(8, "resident", id="room"), pytest.param(3, "streamed", id="tight")]
)
def test_mode(family: dict[str, str], share: int, mode: str) -> None:
    plan = budget.memory_plan(recipe(family), Pool(), free=share * bytes_of(family["base"]))
    assert plan.mode == mode
    assert plan.total <= plan.free
    assert plan.device.upper() in plan.words()
    assert ("streamed" in plan.words()) == (mode == "streamed")


def test_too_big_is_refused_with_the_numbers(family: dict[str, str]) -> None:
    with pytest.raises(TooBigError, match=r"merged model takes .* has .* free"):
        budget.memory_plan(recipe(family), Pool(), free=bytes_of(family["base"]))


@pytest.mark.parametrize("method", ["slerp", "ties", "della"])
@pytest.mark.parametrize("share", [1.5, 2.2, 2.9])
def test_a_streamed_merge_is_the_same(
    family: dict[str, str], method: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "free_bytes", lambda device: int(share * bytes_of(family["base"])))
    live = LiveModel(memo_bytes=0)
    base = family["a"] if method == "slerp" else family["base"]
    for t in (0.3, 0.6):
        own = {"t": t} if method == "slerp" else {"weight": t, "density": 0.5}
        of = Recipe.build(method, models=[family["a"], family["b"]], base_model=base, parameters=own)
        live.apply(of)
        assert live.pool.limit is not None
        assert live.pool.held <= live.pool.limit < 3 * bytes_of(family["base"])
        written = load_file(merge_to_folder(of, tmp_path / f"{t}") / "model.safetensors")
        assert all(torch.equal(live.model.state_dict()[name], tensor) for name, tensor in written.items())


def test_a_refusal_leaves_the_model_as_it_was(family: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveModel()
    live.apply(recipe(family, density=0.5))
    before = {name: tensor.clone() for name, tensor in live.model.state_dict().items()}
    monkeypatch.setattr(budget, "free_bytes", lambda device: 100)
    bigger = Recipe.build("linear", models=[family["a"]], parameters={"weight": 1}, out_dtype="float32")
    live.pool.release()
    with pytest.raises(TooBigError):
        live.apply(bigger)
    assert all(torch.equal(before[name], tensor) for name, tensor in live.model.state_dict().items())


def test_the_memo_keeps_to_its_budget(family: dict[str, str]) -> None:
    live = LiveModel(memo_bytes=20_000)
    for density in (0.2, 0.4, 0.6):
        live.apply(recipe(family, "della", density=density, epsilon=0.1))
        assert live.pool.stages.used <= 20_000


def test_command(family: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe(family, density=0.5).to_yaml())
    done = subprocess.run(
        [sys.executable, "-m", "merging.budget", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "A move takes about" in done.stdout


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_streaming_to_a_gpu_gives_the_same(family: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LiveModel(device="cuda")
    whole.apply(recipe(family, density=0.5))
    monkeypatch.setattr(budget, "free_bytes", lambda device: 3 * bytes_of(family["base"]))
    tight = LiveModel(device="cuda", memo_bytes=0)
    tight.apply(recipe(family, density=0.5))
    assert tight.pool.limit is not None
    assert all(torch.equal(t, whole.model.state_dict()[n]) for n, t in tight.model.state_dict().items())
