from pathlib import Path

import pytest
import torch

from tests.merging import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and waiting for a busy machine's other cores costs much."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A base and descendants, by role: bfloat16 (the production dtype), one tensor of "b" equal to the base's."""
    folder = tmp_path_factory.mktemp("family")
    base = tiny.weights(0, torch.bfloat16)
    found = {"base": base, "a": tiny.moved(base, 1), "b": tiny.moved(base, 2), "c": tiny.moved(base, 3, 0.5)}
    found["b"]["model.layers.0.self_attn.v_proj.weight"] = base["model.layers.0.self_attn.v_proj.weight"].clone()
    for name, tensors in found.items():
        tiny.write_model(folder / name, tensors)
    tiny.write_adapter(folder / "lora", str(folder / "base"), ("self_attn.q_proj", "mlp.down_proj"), seed=5)
    return {name: str(folder / name) for name in (*found, "lora")}


@pytest.fixture
def untied(tmp_path: Path) -> dict[str, str]:
    """Two float32 models with a head of their own."""
    base = tiny.weights(7, tied=False)
    found = {"x": base, "y": tiny.moved(base, 8)}
    return {name: str(tiny.write_model(tmp_path / name, tensors)) for name, tensors in found.items()}
