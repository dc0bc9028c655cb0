"""The laws on every device there is: live is offline bit for bit there, and agrees with the CPU to one ulp."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from merging import LiveModel, Recipe, merge_to_folder, registry
from tests.merging.test_laws import METHODS, build

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
    ),
]


def stop(name: str, family: dict[str, str], weight: float, density: float = 0.5) -> Recipe:
    every = {"weight": (weight, 0.6), "t": weight, "density": (density, 0.4)}
    return build(name, family, {k: v for k, v in every.items() if k in registry.get(name).knobs})


def ulps(one: torch.Tensor, two: torch.Tensor) -> int:
    """The largest distance of two bfloat16 tensors, in steps of the format."""
    order = [t.view(torch.int16).int() for t in (one.contiguous(), two.contiguous())]
    order = [torch.where(bits < 0, -(bits & 0x7FFF), bits) for bits in order]
    return int((order[0] - order[1]).abs().max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", METHODS)
def test_live_is_offline_on_the_device(family: dict[str, str], name: str, device: str, tmp_path: Path) -> None:
    live = LiveModel(list(family.values()), device=device)
    for weight, density in ((0.2, 0.5), (0.7, 0.5), (0.4, 0.3)):
        live.apply(stop(name, family, weight, density))
    last = stop(name, family, 0.4, 0.3)
    there = load_file(merge_to_folder(last, tmp_path / "there", device=device) / "model.safetensors")
    here = load_file(merge_to_folder(last, tmp_path / "here") / "model.safetensors")
    state = live.model.state_dict()
    for key, tensor in there.items():
        assert torch.equal(state[key].cpu(), tensor), key
        assert ulps(tensor, here[key]) <= (0 if device == "cpu" else 1), key
