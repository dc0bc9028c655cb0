"""Every family of decoders transformers knows: random tiny models, merged, loaded again, and merged live."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from merging import LiveModel, Recipe, layout, merge_to_folder
from merging.errors import CheckpointError
from tests.merging import oracles

SIZE: dict[str, Any] = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip
EXPERTS: dict[str, Any] = {
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_topk": 2,
    "moe_intermediate_size": 8, "shared_expert_intermediate_size": 12, "n_shared_experts": 1, "decoder_sparse_step": 1,
}  # fmt: skip
LATENT: dict[str, Any] = {
    "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4, "n_group": 2,
    "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4,
}  # fmt: skip
SIZES_OF_GPT = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32, "n_inner": 24, "n_ctx": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"tie_word_embeddings": True},
    "qwen2": {},
    "qwen3": {},
    "gemma": {},
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 4},
    "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 4},
    "phi": {},
    "phi3": {},
    "gpt2": SIZES_OF_GPT,
    "gptj": SIZES_OF_GPT | {"rotary_dim": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4, "window_size": 8},
    "gpt_neox": {},
    "gpt_bigcode": SIZES_OF_GPT,
    "codegen": SIZES_OF_GPT | {"rotary_dim": 4},
    "opt": {"ffn_dim": 24, "word_embed_proj_dim": 16},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"head_dim": None},
    "mpt": {"d_model": 16, "n_heads": 4, "n_layers": 2, "max_seq_len": 32},
    "olmo": {},
    "olmo2": {},
    "stablelm": {},
    "starcoder2": {},
    "cohere": {},
    "cohere2": {"sliding_window": 8},
    "granite": {},
    "nemotron": {},
    "smollm3": {},
    "glm": {},
    "glm4": {},
    "exaone4": {"sliding_window": 8},
    "mamba": {"state_size": 4, "time_step_rank": 2},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 4, "n_groups": 1, "expand": 2},
    "recurrent_gemma": {"lru_width": 16, "attention_window_size": 8, "block_types": ["recurrent", "attention"]},
    "jamba": EXPERTS | {"mamba_d_state": 4, "mamba_dt_rank": 2, "use_mamba_kernels": False, "attn_layer_period": 2,
                        "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "mixtral": EXPERTS,
    "qwen2_moe": EXPERTS,
    "qwen3_moe": EXPERTS,
    "olmoe": EXPERTS,
    "phimoe": EXPERTS,
    "granitemoe": EXPERTS,
    "dbrx": {"d_model": 16, "n_heads": 4, "n_layers": 2, "max_seq_len": 32,
             "ffn_config": {"ffn_hidden_size": 8, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 16},
             "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0}},
    "deepseek_v2": EXPERTS | LATENT,
    "deepseek_v3": EXPERTS | LATENT,
    "glm4_moe": EXPERTS | LATENT | {"head_dim": 4},
    "gpt_oss": EXPERTS,
    "ernie4_5_moe": EXPERTS | {"moe_num_experts": 4, "moe_k": 2},
    "hunyuan_v1_moe": EXPERTS,
    "qwen3_next": EXPERTS | {"layer_types": ["linear_attention", "full_attention"]},
    "lfm2": {},
    "lfm2_moe": EXPERTS | {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "granitemoehybrid": EXPERTS | {"layer_types": ["mamba", "attention"], "mamba_n_heads": 8, "mamba_d_head": 4,
                                   "mamba_expand": 2, "mamba_d_state": 4, "mamba_n_groups": 1,
                                   "shared_intermediate_size": 8},
    "llama4_text": EXPERTS | {"intermediate_size_mlp": 16, "moe_layers": [1]},
    "gemma4_text": {"sliding_window": 8, "hidden_size_per_layer_input": 4, "vocab_size_per_layer_input": 32,
                    "num_kv_shared_layers": 0, "global_head_dim": 4,
                    "layer_types": ["sliding_attention", "full_attention"]},
    "gemma3": {"text_config": SIZE | {"model_type": "gemma3_text", "sliding_window": 8}, "mm_tokens_per_image": 4,
               "vision_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3,
                                 "num_attention_heads": 2, "image_size": 8, "patch_size": 4}},
}  # fmt: skip


def config_of(family: str, **more: Any) -> Any:
    own = FAMILIES.get(family, {})
    given = (own if "text_config" in own else SIZE | own) | more
    return AutoConfig.for_model(family, **{key: value for key, value in given.items() if value is not None})


def random_model(config: Any, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.5)
    return model


def save(family: str, folder: Path, **more: Any) -> list[PreTrainedModel]:
    """Two random models in the folders a and b."""
    models = [random_model(config_of(family, **more), seed) for seed in range(2)]
    for model, name in zip(models, "ab", strict=True):
        model.save_pretrained(folder / name)
    return models


def everything(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def average(folder: Path) -> Recipe:
    return Recipe.build("linear", models=[str(folder / "a"), str(folder / "b")], parameters={"weight": 1})


def check_live(live: LiveModel, recipe: Recipe, out: Path) -> PreTrainedModel:
    """The model loaded from a merged folder, which the live model must equal bit for bit."""
    loaded, told = AutoModelForCausalLM.from_pretrained(merge_to_folder(recipe, out), output_loading_info=True)
    assert not any(told.values()), told
    live.apply(recipe)
    got, found = loaded.state_dict(), live.model.state_dict()
    assert found.keys() == got.keys() and all(torch.equal(found[name], tensor) for name, tensor in got.items())
    return loaded


def check_names(model: PreTrainedModel, tensors: dict[str, torch.Tensor]) -> None:
    """The names of the tensors tell embedding, head and layers apart, which slices and vocabularies need."""
    entry, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    embedding = layout.input_embedding(tensors)
    assert embedding and torch.equal(tensors[embedding], entry)
    assert layout.is_before_layers(embedding) and layout.is_vocabulary(embedding)
    heads = [name for name in tensors if layout.is_head(name)]
    assert len(heads) == (head is not entry) and all(torch.equal(tensors[name], head) for name in heads)
    assert layout.layer_count(tensors) == model.config.get_text_config().num_hidden_layers


@pytest.mark.parametrize("family", FAMILIES)
def test_average(family: str, tmp_path: Path) -> None:
    models = save(family, tmp_path)
    check_names(models[0], load_file(tmp_path / "a" / "model.safetensors"))
    ends = [everything(model) for model in models]
    live = LiveModel()
    loaded = check_live(live, average(tmp_path), tmp_path / "out")
    got = loaded.state_dict()
    assert got.keys() == ends[0].keys()
    for name, tensor in got.items():
        expected = (ends[0][name].double() + ends[1][name].double()) / 2
        torch.testing.assert_close(tensor.double(), expected, atol=1e-6, rtol=0, msg=name)
    tokens = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        torch.testing.assert_close(live.model(tokens).logits, loaded.eval()(tokens).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "mixtral", "gemma2"])
def test_slerp_and_ties(family: str, tmp_path: Path) -> None:
    save(family, tmp_path)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    live = LiveModel()
    ends = [load_file(f"{folder}/model.safetensors") for folder in (a, b)]
    recipe = Recipe.build("slerp", models=[a, b], base_model=a, parameters={"t": 0.3})
    check_live(live, recipe, tmp_path / "slerp")
    compare(load_file(tmp_path / "slerp" / "model.safetensors"), ends, lambda x, y: oracles.slerp(x, y, 0.3))
    recipe = Recipe.build("ties", models=[b], base_model=a, parameters={"weight": 0.7, "density": 0.4})
    check_live(live, recipe, tmp_path / "ties")

    def ties(x: list[float], y: list[float]) -> list[float]:
        kept = oracles.trim([q - p for p, q in zip(x, y, strict=True)], 0.4)
        return oracles.elect(x, [kept], [0.7], True, 1.0)

    compare(load_file(tmp_path / "ties" / "model.safetensors"), ends, ties)


def compare(got: dict[str, torch.Tensor], ends: list[dict[str, torch.Tensor]], oracle: Any) -> None:
    assert got.keys() == ends[0].keys()
    for name, tensor in got.items():
        expected = oracle(*(end[name].double().flatten().tolist() for end in ends))
        found = tensor.double().flatten()
        torch.testing.assert_close(found, torch.tensor(expected).double(), atol=2e-6, rtol=1e-5, msg=name)


def rename(folder: Path, old: str, new: str) -> None:
    file = folder / "model.safetensors"
    tensors = {new + n.removeprefix(old) if n.startswith(old) else n: t for n, t in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})


def test_files_of_a_bare_model(tmp_path: Path) -> None:
    """The first GPT-2's own file has `wte.weight`, not `transformer.wte.weight`, and the masks of its attention."""
    ends = [everything(model) for model in save("gpt2", tmp_path)]
    for name in "ab":
        rename(tmp_path / name, "transformer.", "")
        file = tmp_path / name / "model.safetensors"
        masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 32, 32).tril() for layer in range(2)}
        save_file(load_file(file) | masks, file, metadata={"format": "pt"})
    loaded = check_live(LiveModel(), average(tmp_path), tmp_path / "out")
    name = "transformer.h.1.attn.c_attn.bias"
    torch.testing.assert_close(loaded.state_dict()[name], (ends[0][name] + ends[1][name]) / 2)


def test_experts_follow_a_slider(tmp_path: Path) -> None:
    save("qwen3_moe", tmp_path)
    live, names = LiveModel(), [str(tmp_path / name) for name in "ab"]
    for number, t in enumerate((0.2, 0.9, 0.2)):
        recipe = Recipe.build("slerp", models=names, base_model=names[0], parameters={"t": t})
        check_live(live, recipe, tmp_path / f"out-{number}")


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_one_head_is_tied_and_one_is_not(order: str, tmp_path: Path) -> None:
    ends = []
    for name, tied in zip("ab", (True, False), strict=True):
        model = random_model(config_of("llama", tie_word_embeddings=tied), ord(name))
        model.save_pretrained(tmp_path / name)
        ends.append(everything(model))
    recipe = Recipe.build("linear", models=[str(tmp_path / name) for name in order], parameters={"weight": 1})
    loaded = check_live(LiveModel(), recipe, tmp_path / "out")
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, (ends[0][name] + ends[1][name]) / 2, msg=name)


def test_a_head_stored_though_it_is_tied(tmp_path: Path) -> None:
    ends = [everything(model) for model in save("llama", tmp_path, tie_word_embeddings=True)]
    file = tmp_path / "b" / "model.safetensors"
    save_file(load_file(file) | {"lm_head.weight": ends[1]["lm_head.weight"]}, file, metadata={"format": "pt"})
    loaded = check_live(LiveModel(), average(tmp_path), tmp_path / "out")
    assert "lm_head.weight" not in load_file(tmp_path / "out" / "model.safetensors")
    assert loaded.lm_head.weight.data_ptr() == loaded.get_input_embeddings().weight.data_ptr()


def test_what_a_module_holds_in_another_form_is_refused_live_and_merged_to_disk(tmp_path: Path) -> None:
    """Files of this family hold one tensor where the module has two: no part of a parameter can stand for it."""
    save("hrm_text", tmp_path)
    with pytest.raises(CheckpointError, match=r"no place for .*gqkv_proj.*python -m merging"):
        LiveModel().apply(average(tmp_path))
    out = merge_to_folder(average(tmp_path), tmp_path / "out")
    _, told = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(told.values())


def test_a_module_without_its_tensors_is_refused(tmp_path: Path) -> None:
    save("mixtral", tmp_path)
    for name in "ab":
        file = tmp_path / name / "model.safetensors"
        save_file({n: t for n, t in load_file(file).items() if "experts.3.w2" not in n}, file)
    with pytest.raises(CheckpointError, match=r"also needs model\.layers\.0\.mlp\.experts\.down_proj"):
        LiveModel().apply(average(tmp_path))
