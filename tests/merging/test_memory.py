"""A warm slider step takes its memory from buffers that are there: no operation makes a tensor as large as a weight."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from merging import LiveModel, Recipe, fused
from tests.merging import tiny

BUFFER = 1 << 19  # `arithmetic.CHUNK`: work on one chunk of a tensor may make a buffer of it


class Watch(TorchDispatchMode):
    """Collects the operations whose result is new memory for more elements than a chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, torch.Tensor) and made.untyped_storage().data_ptr() not in given:
                self.found += [str(func)] if made.untyped_storage().nbytes() > 4 * BUFFER else []
        return result


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("large")
    base = tiny.weights(0, torch.bfloat16, vocab=300_001)
    found = {"base": base, "a": tiny.moved(base, 1), "b": tiny.moved(base, 2)}
    return {name: str(tiny.write_model(folder / name, tensors)) for name, tensors in found.items()}


@pytest.mark.parametrize("way", ["compiled", "eager"])
@pytest.mark.parametrize(
    ("method", "fixed"),
    [
        pytest.param("slerp", {}, id="slerp"),
        pytest.param("linear", {}, id="linear"),
        pytest.param("task_arithmetic", {}, id="task arithmetic"),
        pytest.param("ties", {"density": 0.5}, id="ties"),
        pytest.param("dare_ties", {"density": 0.5}, id="dare ties"),
        pytest.param("della", {"density": 0.5}, id="della"),
        pytest.param("breadcrumbs", {"density": 0.5}, id="breadcrumbs"),
    ],
)
def test_a_warm_move_allocates_no_tensor(large: dict[str, str], method: str, fixed: dict[str, float], way: str) -> None:
    assert fused.wait()
    knob, base = ("t", large["a"]) if method == "slerp" else ("weight", large["base"])
    base = None if method == "linear" else base

    def recipe(value: float) -> Recipe:
        models = [large["a"], large["b"]]
        own = [{knob: value, **fixed}, {knob: 0.6, **fixed}] if knob == "weight" else None
        return Recipe.build(
            method, models=models, base_model=base, per_model=own, parameters={} if own else {knob: value}
        )

    live = LiveModel(list(large.values()), threads=2)
    with fused.eager() if way == "eager" else nullcontext():
        with Watch() as cold:
            live.apply(recipe(0.3))
        with Watch() as warm:
            live.apply(recipe(0.4))
    assert cold.found, "the watch sees nothing: it could not fail"
    assert not warm.found
