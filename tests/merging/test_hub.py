"""Hub ids against a local server that speaks the hub's layout, in a fresh process with a cache of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file

from merging import Recipe, hub
from tests.merging import test_gguf, tiny
from tests.merging.hub_server import COMMIT, Hub, Repository, from_folder, serve

ROOT = Path(__file__).resolve().parents[2]
HEADER = 100_001  # bytes the library asks of a safetensors file, in the hope that the header is among them
SCRIPT = """
import json, sys
from merging import Recipe, merge_to_folder
from merging.errors import MergeError
for number, text in enumerate(json.loads(sys.argv[1])):
    try:
        merge_to_folder(Recipe.from_yaml(text), f"{sys.argv[2]}-{number}")
        print("merged")
    except MergeError as error:
        print("refused:", error)
"""


def big(seed: int, **kind: Any) -> dict[str, torch.Tensor]:
    """Weights of which a file is three times as long as what is asked for its header."""
    return tiny.weights(seed, **{"vocab": 10_000, **kind})


def repositories(folder: Path) -> dict[str, Repository]:
    words = ["u", "a"]
    plain = tiny.write_model(folder / "tiny", big(0), words)
    deeper = tiny.write_model(folder / "deeper", big(1, layers=3), num_hidden_layers=3)
    other = tiny.write_model(folder / "other", big(2), model_type="mistral")
    wider = {n: torch.zeros(13, 8) if "up_proj" in n else t for n, t in big(3).items()}
    lora = tiny.write_adapter(folder / "lora", "org/tiny", revision="v1")
    strange = tiny.write_adapter(folder / "strange", "org/deeper")
    renamed = {
        n.replace("layers.1", "layers.2"): t for n, t in load_file(strange / "adapter_model.safetensors").items()
    }
    save_file(renamed, strange / "adapter_model.safetensors")
    found = {path.name: from_folder(path) for path in (deeper, other, lora, strange)}
    found["tiny"] = from_folder(plain, card={"license": "apache-2.0"})
    found["taken"] = Repository(found["tiny"].files, card={"license": "cc-by-nc-4.0"})
    found["wider"] = from_folder(tiny.write_model(folder / "wider", wider))
    found["words"] = from_folder(tiny.write_model(folder / "words", big(4, vocab=20_000), ["a", "u"]))
    found["closed"] = Repository(found["tiny"].files, is_gated=True)
    found["pickled"] = Repository({"config.json": b"{}", "pytorch_model-00001-of-00001.bin": b"pickle"})
    packed = test_gguf.write(
        folder / "packed" / "tiny.gguf", "llama", test_gguf.model_of("llama", folder / "l"), Kind.F16
    )
    found["packed"] = from_folder(packed.parent)
    return {f"org/{name}": repository for name, repository in found.items()}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(repositories(tmp_path_factory.mktemp("hub"))) as server:
        yield server


@pytest.fixture
def server(standing: Hub) -> Hub:
    standing.asked.clear()
    return standing


def run(recipes: list[Recipe], tmp_path: Path, url: str, script: str = SCRIPT, **environment: str) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": url}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **environment}
    texts = json.dumps([recipe.to_yaml() for recipe in recipes])
    command = [sys.executable, "-c", script, texts, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip().splitlines()


def average(*names: str, **more: Any) -> Recipe:
    return Recipe.build("linear", models=list(names), parameters={"weight": 1}, **more)


def test_fetches_safetensors_and_never_a_pickle(server: Hub, tmp_path: Path) -> None:
    assert run([Recipe.single("org/tiny@v1")], tmp_path, server.url) == ["merged"]
    assert (tmp_path / "out-0" / "tokenizer.json").exists()
    assert server.sent(".safetensors") and not server.sent(".bin")
    again = Recipe.single(f"org/tiny@{COMMIT}")
    other = tmp_path / "again"
    other.mkdir()
    cache = str(tmp_path / "cache")
    assert run([again], other, "http://127.0.0.1:9", HF_HUB_OFFLINE="1", HF_HOME=cache) == ["merged"]  # from the cache


def test_an_adapter_brings_its_base_at_the_revision_it_was_trained_on(server: Hub, tmp_path: Path) -> None:
    assert run([Recipe.single("org/lora"), average("org/tiny+org/lora", "org/tiny")], tmp_path, server.url) == [
        "merged",
        "merged",
    ]
    assert any(path.startswith("/api/models/org/tiny/revision/v1") for path, _ in server.asked)


def test_licences_are_known_before_any_download(server: Hub, tmp_path: Path) -> None:
    script = """
from merging.checkpoint import outline
from merging.licences import conflicts
ends = [outline(name) for name in ("org/tiny", "org/taken+org/lora")]
print(*(type(end).__name__ for end in ends), *(end.tokenizer_hash()[:4] for end in ends), *conflicts(ends))
"""
    [said] = run([], tmp_path, server.url, script=script)
    assert said.startswith("Outline Outline") and "'org/taken+org/lora' is under cc-by-nc-4.0" in said
    assert said.split()[2] == said.split()[3]
    assert all(size <= HEADER for size in server.sent("model.safetensors").values())


def test_a_gguf_file(server: Hub, tmp_path: Path) -> None:
    recipes = [Recipe.single("org/packed:tiny.gguf"), Recipe.single("org/packed@v1:tiny.gguf")]
    home = str(tmp_path / "home")
    assert run(recipes, tmp_path, server.url, MERGE_FRONTIER_HOME=home) == ["merged", "merged"]
    first, second = (load_file(tmp_path / f"out-{number}" / "model.safetensors") for number in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


UNMERGEABLE = {
    "layers": (("org/tiny", "org/deeper"), "2 and 3 layers"),
    "architecture": (("org/tiny", "org/other"), "different architecture"),
    "shapes": (("org/tiny", "org/wider"), "up_proj.weight has shape"),
    "vocabularies": (("org/tiny", "org/words"), "vocabularies of 10000 and 20000 tokens"),
    "an adapter of another model": (("org/tiny", "org/tiny+org/strange"), "layers.2.self_attn.q_proj.weight, which"),
    "base of an adapter": (("org/deeper", "org/lora"), "3 and 2 layers"),
    "the third": (("org/tiny", "org/tiny@v1", "org/deeper"), "2 and 3 layers"),
}


def test_what_cannot_be_merged_is_said_before_any_download(server: Hub, tmp_path: Path) -> None:
    said = run([average(*names) for names, _ in UNMERGEABLE.values()], tmp_path, server.url)
    for line, (names, words) in zip(said, UNMERGEABLE.values(), strict=True):
        assert line.startswith("refused:") and words in line, names
    for path, size in server.sent(".safetensors").items():
        whole = len(server.repositories["/".join(path.split("/")[1:3])].files[path.split("/")[-1]])
        requests = sum(asked == path for asked, _ in server.asked)
        assert size <= requests * min(HEADER, whole), path
        assert whole > 3 * HEADER or "adapter" in path
    blobs = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > HEADER]
    assert not blobs and not list(tmp_path.glob("out-*"))


REFUSED = {
    "org/gone": "no such model on the hub",
    "org/tiny@v9": "no revision 'v9'",
    "org/pickled": "as a pickle, which can run code and is never read. Convert it",
    "org/closed": "asks for its terms",
    "org/tiny+org/gone": "no such model on the hub",
    "org/tiny+org/tiny": "is no LoRA adapter",
    "org/packed": "name one of them, as in org/packed:tiny.gguf",
    "org/packed:more.gguf": "has no file more.gguf",
    "org/gone:tiny.gguf": "no such model on the hub",
}


def test_refused(server: Hub, tmp_path: Path) -> None:
    said = run([Recipe.single(name) for name in REFUSED], tmp_path, server.url)
    for line, (name, words) in zip(said, REFUSED.items(), strict=True):
        assert line.startswith("refused:") and words in line, name
    assert not list(tmp_path.glob("out-*"))


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    [said] = run([Recipe.single("org/tiny")], tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert said.startswith("refused:") and "hub cannot be reached" in said and "HF_HUB_OFFLINE" in said


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("org/repo", True),
        ("org/repo@v1.0", True),
        ("a/b/c", False),
        ("./a", False),
        ("/a/b", False),
        ("a", False),
        ("~/a", False),
    ],
)
def test_what_reads_as_a_hub_id(name: str, is_id: bool) -> None:
    assert hub.is_hub_id(name) is is_id
