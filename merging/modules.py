"""The parts of a checkpoint with several: a language model, a vision tower, a projector; by the tensors' names.

As in mergekit, the language model with its embeddings and head is called `text_decoder`; the others are called what
the checkpoint calls them (`vision_tower`, `multi_modal_projector`, `visual`, …).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from merging import layout
from merging.errors import RecipeError, did_you_mean

TEXT = "text_decoder"
ONLY = ("default", TEXT)  # what a recipe may call the module of a checkpoint with one
_OWN = re.compile(r"language|text|llm")
_OTHER = re.compile(
    r"vision|visual|image|audio|speech|projector|connector|resampler|perceiver|^mm_|^multi_modal|_tower$"
)
_WORDS = {"vision": "vision_config", "visual": "vision_config", "image": "vision_config", "audio": "audio_config"}


def split(names: Iterable[str]) -> dict[str, str]:
    """The module of every tensor; `text_decoder` for all where there is one module only."""
    names = list(names)
    embeddings = [_part(name) for name in names if layout.input_embedding([name])]
    # `model.language_model.embed_tokens`: the text has a part of its own, and what lies beside it is something else.
    own = next((part for part in embeddings if _OWN.search(part)), None)
    found = {}
    for name in names:
        part = _part(name)
        beside = own is not None and part != own and not name.startswith("lm_head.")
        found[name] = part if _OTHER.search(part) or beside else TEXT
    # A tensor that lies loose beside the parts (LLaVA's `image_newline`) goes with what joins pictures to the text.
    joint = next((part for part in sorted({*found.values()}) if "projector" in part), TEXT)
    return {name: joint if name.rpartition(".")[2] == part else part for name, part in found.items()}


def _part(name: str) -> str:
    """The first word of a tensor's name that tells its part of the model: `model.vision_tower.x` -> `vision_tower`."""
    words = name.split(".")
    return words[1] if words[0] == "model" and len(words) > 1 else words[0]


def check_listed(listed: Sequence[str], found: Iterable[str], model: str) -> None:
    """Refuse a recipe whose `modules` are not those of its checkpoints.

    Args:
        listed: The recipe's modules.
        found: The checkpoints' modules.
        model: A checkpoint's name, for the message.

    Raises:
        RecipeError: One is unknown, or lacking.
    """
    there = sorted(set(found))
    for name in listed:
        if name not in (there if len(there) > 1 else ONLY):
            raise RecipeError(
                f"{model!r} has no module {name!r}.{did_you_mean(name, there)} Its modules: {', '.join(there)}.",
                at=f"modules.{name}",
            )
    lacking = [name for name in there if name not in listed] if len(there) > 1 else []
    if lacking:
        raise RecipeError(
            f"modules lacks {', '.join(lacking)}: list every module of {model!r} with the models it comes from.",
            at="modules",
        )
    if len(there) == 1 and len(listed) > 1:
        raise RecipeError(f"{model!r} has one module only: keep one of {' and '.join(listed)}.", at="modules")


def config_key(module: str, config: Mapping[str, object]) -> str | None:
    """The key of the config that describes a module other than the text; None where there is none."""
    key = next((key for word, key in _WORDS.items() if word in module), None)
    return key if isinstance(config.get(key or ""), Mapping) else None
